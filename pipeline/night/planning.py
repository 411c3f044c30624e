"""How a run begins: it chooses the model and lists the files, once. Classifies nothing."""

import contextlib
import dataclasses
import datetime
import itertools
from collections.abc import Mapping
from pathlib import Path

from pipeline.core.cells import listed_path
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.paths import MODEL as CURRENT
from pipeline.core.paths import PREDICTIONS, RAW, VALIDATION
from pipeline.core.text import shown
from pipeline.model.contract import Contract, ContractError, read_contract
from pipeline.night.awaited import unknown_labels
from pipeline.night.counts import read_labels, require_labels_of
from pipeline.night.kept_card import keep_card
from pipeline.night.kept_rows import keep_rows
from pipeline.night.ledger import MODEL, PLAN, Run, RunPlan, books_of, clear, known_of
from pipeline.night.new_files import came_since
from pipeline.night.options import NightOptions
from pipeline.night.outputs import unfinished_over
from pipeline.night.repeats import remember_last
from pipeline.night.rows import columns_of
from pipeline.night.shard import model_folder
from pipeline.night.shard_lists import read_all
from pipeline.night.summary import SUMMARY, NightSummary, SummaryError, read_summary
from pipeline.night.summary_faults import ForeignSummaryError
from pipeline.params.data import Tiles
from pipeline.params.file import Params
from pipeline.registry import champions, versions
from pipeline.registry.versions import Registered
from pipeline.storage.folders import Folder
from pipeline.storage.left_aside import LeftAside, Tally
from pipeline.storage.output_lock import InUse

SCENES_A_SHARD = 8
BYTES_A_ROW = 800  # in its part and in predictions.csv
OF_TRAINING = (RAW, CURRENT.parent, VALIDATION.parent)  # data/raw, models, reports


class ClassifyError(NightshiftError):
    """The run cannot start, or its rows do not add up."""


class NotThisCommand(ClassifyError):  # noqa: N818 - what happened
    """The same command can never work: the text says which one can."""


def require_possible(options: NightOptions, params: Params) -> None:
    """Raise NightshiftError for what can be seen at once: before a server is started, or a large library imported."""
    source, output = options.source, options.output
    refuse_odd_places(source, output)
    source.require_folder()
    if options.labels:
        read_labels(options.labels)
    if not Run.unfinished_in(output):  # else it has its model
        champions.require_champion(options.applied_to(params).register_.model_name)
    output.require_makeable()


def begin(options: NightOptions, params: Params) -> Run:
    """The unfinished run in the output, or a new one.

    Raises NightshiftError when the input is not a folder, holds no image, or the output holds an unfinished run over
    another input.
    """
    source, output = options.source, options.output
    refuse_odd_places(source, output)
    labels = read_labels(options.labels) if options.labels else {}  # refuse a wrong table now, not after hours
    output.sweep()
    if run := Run.unfinished_in(output):
        if not source.is_at(run.plan.input):
            raise NotThisCommand(
                f"{output} holds an unfinished run over {run.plan.input}. Finish it with `nightshift classify "
                f"{run.plan.input} {output}`, choose another folder, or delete {books_of(output)} to give it up."
            )
        if options.model_name not in (None, run.plan.model_name):
            raise NotThisCommand(
                f"{output} holds an unfinished run by the model {run.plan.model_name}, and you asked for "
                f"{options.model_name}. Finish it without --model, choose another folder, or leave OUTPUT out."
            )
        log.info("Resuming the run of %s (model version %s).", run.plan.started_at, run.plan.model_version)
        _mend_model(run)
        if options.labels:
            with model_folder(output) as folder:
                require_labels_of(read_contract(folder).class_names, labels, options.labels)
        return dataclasses.replace(run, came_since=came_since(run, source))
    _refuse_another_night(source, output, keep_finished=options.keep_finished)
    if options.since_last and not output.local:
        raise NotThisCommand(
            "--since-last needs an OUTPUT on this machine or a shared disk: it looks up earlier predictions there."
        )

    tally = Tally()

    images = tally.images(source.list_files())
    if (first := next(images, None)) is None:
        found = " ".join([f"{source} contains no image files (by extension or content).", *tally.found().lines])
        raise ClassifyError(f"{found} Check the path.")
    clear(output)  # left by a run that never finished its plan
    model, contract = _fetch_champion(output, params, options.labels, labels)

    def settle(files: int, shards: int) -> RunPlan:
        return _settle(options, params, (model, contract), (files, shards), tally.found())

    size = params.batch.shard_size
    # A scene, or a file of many frames, takes as long as many images, and finished shards survive.
    if contract.images.tiles or contract.images.frame == "all":
        size = min(size, SCENES_A_SHARD)
    return Run.begin(output, itertools.chain([first], images), size, settle)


def give_up(output: Folder) -> None:
    """Remove what a run that planned nothing has made in `output`. Never raises: an error is on its way."""
    with contextlib.suppress(NightshiftError, OSError):
        output.require()
        if not books_of(output).exists(PLAN):
            clear(output)


def _refuse_another_night(source: Folder, output: Folder, *, keep_finished: bool) -> None:
    """Raise NotThisCommand when `output` holds the finished night of another input, InUse when it must stay as it is.

    Log a warning when another folder beside it holds an unfinished run over the same input.
    """
    finished = _finished_in(output)
    if finished and not source.is_at(listed_path(finished.input)):
        raise NotThisCommand(
            f"{output} holds the finished night over {shown(finished.input)}, and this one is over {source}. Choose "
            "another folder, or leave OUTPUT out: the night then has one of its own in predictions/."
        )
    if finished and keep_finished:
        raise InUse(
            f"Another command has just finished a night over {source} in {output}, and it stays as it is. Run the same "
            "command again for a new night: it begins a folder of its own."
        )
    begun = unfinished_over(source, output.local.absolute().parent) if output.local else []
    if begun:
        log.warning(
            "%s holds an unfinished run over the same files, and this one begins again with the first. To go on where "
            "it stopped, leave OUTPUT out or name that folder.", max(begun),
        )  # fmt: skip


def _finished_in(output: Folder) -> NightSummary | None:
    """The night that `output` holds. A damaged one is a warning; of another program's file it raises NotThisCommand."""
    try:
        return read_summary(output)
    except ForeignSummaryError:
        raise NotThisCommand(
            f"{output / SUMMARY} is another program's, and a night would replace it. Choose another folder, or leave "
            "OUTPUT out."
        ) from None
    except (SummaryError, OSError) as error:
        log.warning("%s", error)
        return None


def _fetch_champion(
    output: Folder, params: Params, table: Path | None, labels: Mapping[str, str]
) -> tuple[Registered, Contract]:
    """The model of a run into `output`, which gets a copy.

    labels: as `read_labels` gives them of `table`, if there is one.
    """
    model = champions.champion(params.register_.model_name)
    with books_of(output).replacing(MODEL) as beside:
        contract = read_contract(versions.fetch_model(model, beside))
    if words := other_tiles(params.images.tiles, contract.images.tiles):
        log.warning("%s", words)
    if params.images.frame != contract.images.frame:
        log.warning(
            "images.frame is %s in params.yaml, but %s in the champion, and a night reads as the training did. "
            "`nightshift train` makes a model with the new setting.", params.images.frame, contract.images.frame,
        )  # fmt: skip
    for line in unknown_labels(params.notify.when, contract.class_names, f"{model.name} version {model.version}"):
        log.warning(line)
    if table:
        require_labels_of(contract.class_names, labels, table)
    return model, contract


def _settle(
    options: NightOptions, params: Params, champion: tuple[Registered, Contract], counts: tuple[int, int],
    left_aside: LeftAside,
) -> RunPlan:  # fmt: skip
    """The plan for so many files and shards by the model that was fetched. Fetches the last run's answers and a card.

    left_aside: by the listing.
    """
    source, output, (model, contract), (files, shards) = options.source, options.output, champion, counts
    output.require_room(files * BYTES_A_ROW, f"a night over {files:,} files")
    columns = columns_of(location=params.privacy.keeps_location)
    if options.since_last and output.local and (known := known_of(output)):
        remember_last(source, output.local, known, contract, columns)
    keep_rows(output, read_all(books_of(output), shards), location=params.privacy.keeps_location)
    keep_card(output, model, contract.hash)
    return RunPlan(
        input=str(source.absolute()),
        model_name=model.name,
        model_version=str(model.version),
        contract_hash=contract.hash,
        started_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        files=files,
        shards=shards,
        columns=len(columns),
        left_aside=left_aside or None,
        location=params.privacy.keeps_location,
        refused=champions.warning(model, None) or None,
    )


def other_tiles(asked: Tiles | None, learnt: Tiles | None) -> str:
    """What a night says where params.yaml cuts pictures otherwise than the champion's contract; empty: alike."""
    if asked == learnt:
        return ""
    cut = f"cut into tiles of {learnt.size} pixels" if learnt else "read whole"
    return (
        "images.tiles in params.yaml is not what the champion was trained with, and a night reads as the training did: "
        f"large pictures are {cut}. `nightshift train` makes a model with the new setting."
    )


def refuse_odd_places(source: Folder, output: Folder) -> None:
    """Raises NotThisCommand when `output` is named like a file, lies inside `source`, or is the project's own place."""
    if output.path.suffix.lower() == ".csv" or output.is_file():
        raise NotThisCommand(
            f"{output} must be a folder: it receives predictions.csv and summary.json. Choose one without .csv."
        )
    if source.contains(output):
        raise NotThisCommand(
            f"{output} lies inside {source}. The next night would read the results as input. Choose a folder outside."
        )
    place = output.local.resolve() if output.local else None
    if place and (place == Path.cwd() or any(place.is_relative_to(own.resolve()) for own in OF_TRAINING)):
        raise NotThisCommand(
            f"{output} belongs to the project: training reads and writes there. Choose a folder in {PREDICTIONS}/, or "
            "leave OUTPUT out."
        )


def _mend_model(run: Run) -> None:
    """Fetch the run's model again when its copy is damaged, for example by a power cut."""
    output, plan = run.output, run.plan
    if output.keeps_whole:
        return
    try:
        with model_folder(output) as folder:
            if read_contract(folder).hash == plan.contract_hash:
                return
    except ContractError:
        pass
    log.warning("The copy of model version %s in %s is damaged: fetching it again.", plan.model_version, output)
    with books_of(output).replacing(MODEL) as beside:
        versions.fetch_model(Registered(plan.model_name, int(plan.model_version), run_id="", aliases=()), beside)
