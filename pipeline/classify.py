"""Listing + engine + ledger -> one row a file, and nothing lost. Knows no orchestrator; imports no TensorFlow on a CPU.

A run is `begin`, `classify_shard` for each shard that is left, in any order, then `finish`; `classify` is all three.
"""

import datetime
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline import champions, ledger, registry, store_listing, stores
from pipeline.addresses import place
from pipeline.contract import CONTRACT, Contract, read_contract
from pipeline.engine import Engine, load_engine
from pipeline.errors import NightshiftError
from pipeline.files import replacing, write_json
from pipeline.images import decode
from pipeline.ledger import Plan
from pipeline.listing import Listed, list_images
from pipeline.params import Params
from pipeline.params_model import Compute
from pipeline.paths import PREDICTIONS
from pipeline.predictions import RANKS, Classified, Outcome, compare, csv_path, summarise, to_row
from pipeline.reading import Decoded, Decoder, Read, read_images
from pipeline.shards import classify_shards
from pipeline.stage import log
from pipeline.stores import Place

# Classifies the shards of these numbers; says of each its number and its count of files when its part is there.
Classifier = Callable[[Place, list[int], Plan, Params], Iterator[tuple[int, int]]]
_one_at_a_time = threading.Lock()  # a network that is being asked cannot be asked again


class ClassifyError(NightshiftError):
    """The run cannot start, or its rows do not add up."""


class TooManyUnreadable(NightshiftError):  # noqa: N818 - what happened
    """The rows are all there, but too many of them say that the file could not be read."""

    status = 3


def begin(source: Place, output: Place, params: Params) -> Plan:
    """The plan of the unfinished run in `output`, or a new one: the model and the files are settled here, once.

    Raises NightshiftError when the input is no folder, holds no image, or `output` holds an unfinished run of another.
    """
    _refuse_odd_places(source, output)
    if plan := ledger.read_plan(output):
        if plan.input != str(source.absolute()):
            raise ClassifyError(
                f"{output} holds an unfinished run over {plan.input}. Finish it with `nightshift classify "
                f"{plan.input} {output}`, name another folder, or delete {ledger.work_folder(output)} to give it up."
            )
        log.info("Going on with the run of %s (model version %s).", plan.started_at, plan.model_version)
        return plan
    stores.delete_tree(ledger.work_folder(output))  # a plan that was never finished
    files, shards = ledger.write_shards(output, _images_in(source), params.batch.shard_size)
    if not files:
        raise ClassifyError(f"{source} holds no images (files with an image's extension or first bytes).")
    model = champions.champion(params.register_.model_name)
    with replacing(_model_folder(output)) as beside:
        contract = read_contract(registry.fetch_model(model, beside))
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


def _model_folder(output: Place) -> Place:
    return ledger.work_folder(output) / "model"


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


@lru_cache(maxsize=1)
def _engine(model: Place, compute: Compute, contract_hash: str) -> Engine:
    """The model of a run, from the run's books. Raises ClassifyError when it is another one."""
    with tempfile.TemporaryDirectory(prefix="nightshift.") as room:
        if not isinstance(model, Path):  # a network is opened as a file; it is in memory then
            stores.download(model, Path(room))
            model = Path(room)
        folder = next((file.parent for file in model.rglob(CONTRACT)), model)
        engine = load_engine(folder, compute)
    if engine.contract.hash != contract_hash:
        raise ClassifyError(f"The model in {model} is not the one that this run was planned with. Begin a new run.")
    return engine


def classify_shard(output: Place, number: int, plan: Plan, params: Params) -> int:
    """Classify one shard and write its part; returns its number of files."""
    [(_, files)] = classify_shards(output, [number], plan, params)
    return files


def classify_here(
    output: Place, numbers: list[int], plan: Plan, params: Params, decoder: Decoder = decode
) -> Iterator[tuple[int, int]]:
    """Classify shards in this process; yields the number of each and its count of files when its part is on disk.

    Files of the next shard are read while the model is at the one before.
    """
    engine = _engine(_model_folder(output), params.compute, plan.contract_hash)
    source, size, threads = place(plan.input), params.batch.batch_size, params.compute.reading_threads
    if not isinstance(source, Path):  # threads wait for a store more than they work
        threads = max(threads, stores.THREADS)
    paths = (path for number in numbers for path in ledger.read_shard(output, number))
    # Two batches in flight bound the memory.
    reads = read_images(source, paths, engine.contract.images, threads, 2 * size, params.batch.file_timeout, decoder)
    for number in numbers:
        files = len(ledger.read_shard(output, number))
        outcomes = judge(itertools.islice(reads, files), engine, size)
        ledger.write_part(output, number, (to_row(outcome, plan.stamp) for outcome in outcomes))
        yield number, files


def classify_alone(output: Place, number: int, plan: Plan, params: Params) -> int:
    """Classify one shard in this process, which does one at a time; returns its number of files."""
    with _one_at_a_time:
        [(_, files)] = classify_here(output, [number], plan, params)
    return files


def judge(reads: Iterator[Read], engine: Engine, size: int) -> Iterator[Outcome]:
    """One outcome a file, in order; what could not be read never reaches the model."""
    while batch := list(itertools.islice(reads, size)):
        pictures = [read.picture.pixels for read in batch if isinstance(read, Decoded)]
        answers = iter(_predict(pictures, engine, size) if pictures else ())
        for read in batch:
            yield _outcome(read, next(answers), engine.contract) if isinstance(read, Decoded) else read


def _outcome(read: Decoded, row: NDArray[np.float32], contract: Contract) -> Classified:
    best = np.argsort(-row, kind="stable")[:RANKS]
    ranked = tuple((contract.class_names[index], float(row[index])) for index in best)
    unsure = ranked[0][1] < contract.unsure_below
    return Classified(read.path, read.sha256, read.picture.width, read.picture.height, ranked, unsure)


def _predict(pictures: list[NDArray[np.uint8]], engine: Engine, size: int) -> NDArray[np.float32]:
    """Probabilities of `pictures`, always asked in batches of `size`.

    A network may round differently for another batch size; so that an image's answer does not depend on its
    neighbours, the last batch is filled with black images, whose answers are dropped.
    """
    batch = np.zeros((size, *pictures[0].shape), np.uint8)
    batch[: len(pictures)] = pictures
    return engine.predict(batch)[: len(pictures)]


def finish(output: Place, plan: Plan, max_unreadable: float, truth: pd.DataFrame | None = None) -> dict[str, Any]:
    """Merge the parts into predictions.csv, write summary.json and return it; then close the books.

    truth: columns sha256 and label of images whose label is known, to be compared with the answers.
    Raises ClassifyError, after everything is written, when the rows are not those of the listed files, and
    TooManyUnreadable when more than `max_unreadable` of them could not be read.
    """
    file = ledger.merge(output, plan)
    started = datetime.datetime.fromisoformat(plan.started_at)
    now = datetime.datetime.now(datetime.UTC)
    summary = {
        **plan.model_dump(exclude={"files", "input"}),
        "input": csv_path(plan.input),
        "finished_at": now.isoformat(timespec="seconds"),
        "seconds": round((now - started).total_seconds(), 1),
        **summarise(file, ledger.listed(output, plan)),
    }
    if truth is not None:
        summary["compared"] = compare(file, truth)
    write_json(output / "summary.json", summary)
    if not summary["reconciled"]:
        raise ClassifyError(f"{file} does not have one row for each of {plan.files} listed files; see summary.json.")
    ledger.close(output)
    if summary["unreadable"] > max_unreadable * plan.files:
        raise TooManyUnreadable(
            f"{summary['unreadable']} of {plan.files} files are unreadable, more than batch.max_unreadable "
            f"({max_unreadable:g}) allows. {file} is whole and says why, file by file. Look for a common cause (a "
            "format, a copy that broke off, missing rights), then run it again, or raise the limit."
        )
    return summary


def classify(
    source: Place, output: Place, params: Params, truth: pd.DataFrame | None = None,
    classify_rest: Classifier = classify_shards,
) -> dict[str, Any]:  # fmt: skip
    """Classify the images in `source` into `output`/predictions.csv; returns the summary.

    classify_rest: who classifies the shards that are left.
    A run that was interrupted goes on where it stopped, with the model and the files it began with.
    """
    with ledger.held(output):
        began = time.perf_counter()
        plan = begin(source, output, params)
        left = ledger.unfinished(output, plan)
        with tqdm(desc="classify", total=plan.files, unit="image") as progress:
            progress.update(plan.files - ledger.count_files(output, plan, left))
            for _, files in classify_rest(output.absolute(), left, plan, params):
                progress.update(files)
        summary = finish(output, plan, params.batch.max_unreadable, truth)
        log.info("%d images in %.1f s", plan.files, time.perf_counter() - began)
    return summary


def folder_for_today() -> Path:
    """Where a run without a named output goes: one folder a day, in local time."""
    return PREDICTIONS / datetime.datetime.now().astimezone().date().isoformat()
