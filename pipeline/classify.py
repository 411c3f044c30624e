"""Listing + engine + ledger -> one row a file, and nothing lost. Knows no orchestrator; imports no TensorFlow on a CPU.

    python -m pipeline.classify INPUT OUTPUT [--since-last] [--until 06:00]

A run is `begin`, `classify_shard` for each shard that is left, in any order, then `finish`; `classify` is all three.
"""

import argparse
import datetime
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from pipeline.core.command import run
from pipeline.core.disk_errors import require_room
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.model.contract import ContractError, read_contract
from pipeline.model.reference import read_reference
from pipeline.night import ledger, shadow
from pipeline.night.deadline import deadline_at, remember_last, stop_if_late
from pipeline.night.ledger import Plan
from pipeline.night.morning import draw_safely
from pipeline.night.repeats import Known
from pipeline.night.review import write_review
from pipeline.night.rows import TooManyUnreadable, compare, csv_path, read_rows, summarise
from pipeline.night.shard import model_folder, model_place
from pipeline.night.workers import Classifier, classify_shards, warm_up
from pipeline.notices import around
from pipeline.params.file import Params, load_params
from pipeline.registry import champions, history, versions
from pipeline.registry.versions import Registered
from pipeline.storage import store_listing, stores
from pipeline.storage.addresses import place
from pipeline.storage.files import read_json, replacing, write_json
from pipeline.storage.listing import Listed, list_images
from pipeline.storage.stores import Place

if TYPE_CHECKING:
    import pandas as pd

BYTES_A_ROW = 800  # in its part and in predictions.csv


class ClassifyError(NightshiftError):
    """The run cannot start, or its rows do not add up."""


def with_model(params: Params, name: str | None) -> Params:
    """The same parameters, for another registered model than register.model_name if one is named."""
    if not name:
        return params
    return params.model_copy(update={"register_": params.register_.model_copy(update={"model_name": name})})


def begin(source: Place, output: Place, params: Params, since_last: bool = False) -> Plan:
    """The plan of the unfinished run in `output`, or a new one: the model and the files are settled here, once.

    since_last: answers that the same model gave in the last run, here or beside, are repeated where a file's content is
    the same.

    Raises NightshiftError when the input is no folder, holds no image, or `output` holds an unfinished run of another.
    """
    _refuse_odd_places(source, output)
    ledger.sweep(output)
    if plan := ledger.read_plan(output):
        if plan.input != str(source.absolute()):
            raise ClassifyError(
                f"{output} holds an unfinished run over {plan.input}. Finish it with `nightshift classify "
                f"{plan.input} {output}`, name another folder, or delete {ledger.work_folder(output)} to give it up."
            )
        log.info("Going on with the run of %s (model version %s).", plan.started_at, plan.model_version)
        _mend_model(output, plan)
        return plan
    if since_last and not isinstance(output, Path):
        raise ClassifyError("--since-last needs an OUTPUT on this machine or a shared disk, where it looks things up.")
    stores.delete_tree(ledger.work_folder(output))  # a plan that was never finished
    files, shards = ledger.write_shards(output, _images_in(source), params.batch.shard_size)
    if not files:
        raise ClassifyError(f"{source} holds no images (files with an image's extension or first bytes).")
    if isinstance(output, Path):
        require_room(output, files * BYTES_A_ROW, f"a night over {files:,} files")
    model = champions.champion(params.register_.model_name)
    with replacing(model_place(output)) as beside:
        contract = read_contract(versions.fetch_model(model, beside))
    if since_last and isinstance(output, Path):
        remember_last(source, output, contract.hash)
    plan = Plan(
        input=str(source.absolute()),
        model_name=model.name,
        model_version=str(model.version),
        contract_hash=contract.hash,
        started_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        files=files,
        shards=shards,
    )
    ledger.write_plan(output, plan)
    return plan


def _images_in(source: Place) -> Iterator[Listed]:
    return list_images(source) if isinstance(source, Path) else store_listing.list_images(source)


def _refuse_odd_places(source: Place, output: Place) -> None:
    if output.suffix.lower() == ".csv" or (isinstance(output, Path) and output.is_file()):
        raise ClassifyError(
            f"{output} is to be a folder: it receives predictions.csv and summary.json. Name one without .csv."
        )
    if isinstance(source, Path) and isinstance(output, Path):
        inside = output.absolute().resolve().is_relative_to(source.absolute().resolve())
    else:
        inside = f"{output}/".startswith(f"{source}/")
    if inside:
        raise ClassifyError(f"{output} lies inside {source}. Results among the images would be read the next night.")


def _mend_model(output: Place, plan: Plan) -> None:
    """Fetch the run's model once more when its copy is not whole: a disk may have lost it in a power cut."""
    if not isinstance(output, Path):
        return
    try:
        with model_folder(output) as folder:
            if read_contract(folder).hash == plan.contract_hash:
                return
    except ContractError:
        pass
    log.warning("The copy of model version %s in %s is damaged: fetching it again.", plan.model_version, output)
    with replacing(model_place(output)) as beside:
        versions.fetch_model(Registered(plan.model_name, int(plan.model_version), run_id="", aliases=()), beside)


def classify_shard(output: Place, number: int, plan: Plan, params: Params) -> int:
    """Classify one shard and write its part; returns its number of files."""
    [(_, files)] = classify_shards(output, [number], plan, params)
    return files


def finish(output: Place, plan: Plan, params: Params, truth: "pd.DataFrame | None" = None) -> dict[str, Any]:
    """Merge the parts into predictions.csv, write the review, summary.json (returned) and the pages; close the books.

    truth: columns sha256 and label of images whose label is known, to be compared with the answers.
    Raises ClassifyError, after everything is written, when the rows are not those of the listed files, and
    TooManyUnreadable when more than batch.max_unreadable of them could not be read.
    """
    summary = _write_results(output, plan, params, truth)
    draw_safely(output, summary, params.batch)
    _close(output, plan, params, summary)
    return summary


def _write_results(output: Place, plan: Plan, params: Params, truth: "pd.DataFrame | None" = None) -> dict[str, Any]:
    """All but the morning's page, which is the night's and not its shadow's; returns the summary."""
    file = ledger.merge(output, plan)
    started = datetime.datetime.fromisoformat(plan.started_at)
    now = datetime.datetime.now(datetime.UTC)
    summary = {
        **plan.model_dump(exclude={"files", "input"}),
        "input": csv_path(plan.input),
        "finished_at": now.isoformat(timespec="seconds"),
        "seconds": round((now - started).total_seconds(), 1),
        "repeated": _repeated(output, file),
        **summarise(file, ledger.listed(output, plan)),
    }
    with model_folder(output) as folder:
        contract = read_contract(folder)
        reference = read_reference(folder, contract)
    drift: dict[str, Any] = {}
    if reference:
        from pipeline.night.drift import compare as compare_with_usual

        summary["drift"] = drift = compare_with_usual(read_rows(file), reference.about, params.batch.max_drift)
    summary["review"] = write_review(
        output, place(plan.input), contract, params.batch.review, params.compute.threads, drift
    )
    if truth is not None:
        summary["compared"] = compare(file, truth)
    if params.batch.parquet:
        from pipeline.night.parquet import write_parquet

        write_parquet(file, file.with_suffix(".parquet"))
    write_json(output / "summary.json", summary)
    return summary


def _close(output: Place, plan: Plan, params: Params, summary: dict[str, Any]) -> None:
    """Judge what is written, and close the books. Raises ClassifyError, TooManyUnreadable."""
    file = output / "predictions.csv"
    if not summary["reconciled"]:
        raise ClassifyError(f"{file} does not have one row for each of {plan.files} listed files; see summary.json.")
    ledger.close(output)
    if summary["unreadable"] > params.batch.max_unreadable * plan.files:
        raise TooManyUnreadable(
            f"{summary['unreadable']} of {plan.files} files are unreadable, more than batch.max_unreadable "
            f"({params.batch.max_unreadable:g}) allows. {file} is whole and says why, file by file. Look for a common "
            "cause (a format, a copy that broke off, missing rights), then run it again, or raise the limit."
        )


def _repeated(output: Place, csv: Place) -> int:
    """How many rows repeat an answer of an earlier run."""
    known = Known(ledger.known_file(output))
    if not known.has_earlier:
        return 0
    count = sum(known.earlier(row["sha256"]) is not None for row in read_rows(csv) if row["label"])
    known.close()
    return count


def classify(
    source: Place, output: Place, params: Params, truth: "pd.DataFrame | None" = None,
    since_last: bool = False, until: str | None = None, with_shadow: bool = False,
    classify_rest: Classifier = classify_shards,
) -> dict[str, Any]:  # fmt: skip
    """Classify the images in `source` into `output`/predictions.csv; returns the summary.

    A run that was interrupted goes on where it stopped, with the model and the files it began with.

    since_last: see `begin`. until: time of day, such as 06:00, after which no further shard is begun. with_shadow: then
    also by the challenger, and how they differ. classify_rest: who classifies the shards that are left.

    Raises OutOfTime.
    """
    deadline, output = deadline_at(until), output.absolute()
    with ledger.held(output) as killed:
        around.of_killed(output, killed)
        if classify_rest is classify_shards:
            warm_up()
        began = time.perf_counter()
        plan = begin(source, output, params, since_last)
        beside = shadow.begin(output, plan) if with_shadow else None
        _classify_left(output, plan, params, deadline, classify_rest)
        summary = finish(output, plan, params, truth)
        log.info("%d images in %.1f s", plan.files, time.perf_counter() - began)
        if beside:
            _classify_left(output / shadow.SHADOW, beside, params, deadline, classify_rest)
            summary = finish_shadow(output, beside, params)
        if params.batch.track:
            history.record(output, summary)
    return summary


def _classify_left(
    output: Place, plan: Plan, params: Params, deadline: datetime.datetime | None, classify_rest: Classifier
) -> None:
    left = ledger.unfinished(output, plan)
    with tqdm(desc=output.name, total=plan.files, unit="image") as progress:
        progress.update(plan.files - ledger.count_files(output, plan, left))
        for _, files in classify_rest(output, left, plan, params):
            progress.update(files)
            if progress.n < plan.files:
                stop_if_late(deadline, output, plan)


def finish_shadow(output: Place, plan: Plan, params: Params) -> dict[str, Any]:
    """Merge the shadow's parts and compare them with the night's rows; returns the night's summary with both."""
    quiet = params.batch.model_copy(update={"max_unreadable": 1.0, "review": 0, "parquet": False})
    beside, without_limits = output / shadow.SHADOW, params.model_copy(update={"batch": quiet})
    _close(beside, plan, without_limits, _write_results(beside, plan, without_limits))
    summary: dict[str, Any] = {
        **read_json(output / "summary.json"),
        "shadow": shadow.compare(output, params.batch.review),
    }
    write_json(output / "summary.json", summary)
    draw_safely(output, summary, params.batch)
    return summary


def main() -> None:
    """The command that needs no orchestrator."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.classify", description=classify.__doc__)
    parser.add_argument("input", type=place, help="a folder of images, or its address")
    parser.add_argument("output", type=place, help="a folder for predictions.csv and summary.json, or its address")
    parser.add_argument("--since-last", action="store_true", help="repeat answers for unchanged files")
    parser.add_argument("--until", help="time of day to stop at, e.g. 06:00; the same command goes on")
    from pipeline.notices import around

    asked = parser.parse_args()
    summary = around.night(
        asked.output,
        lambda: classify(asked.input, asked.output, load_params(), since_last=asked.since_last, until=asked.until),
    )
    log.info("%s: %d rows, %d unreadable", asked.output, summary["listed"], summary["unreadable"])


if __name__ == "__main__":
    sys.exit(run(main))
