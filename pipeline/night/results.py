"""How a run ends: the CSV, what is counted in it, the review, the pages. Asks no model."""

import dataclasses
import datetime
import importlib
import itertools
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.cells import csv_path
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.pages import Picture
from pipeline.core.pages import prepare as prepare_pages
from pipeline.model.contract import Contract, read_contract
from pipeline.model.precision import contract_in_use
from pipeline.model.reference import Reference, read_reference
from pipeline.night import scene_files, shadow
from pipeline.night.camera_looks import CameraLook
from pipeline.night.cameras import Cameras, earlier_looks, name_of
from pipeline.night.counts import Counted, Counts, LabelsError, OfFiles, Repeats, Truth, feed, read_labels
from pipeline.night.events import Events, best_images, to_show, write_events
from pipeline.night.file_frames import words_on_frames
from pipeline.night.input_place import from_output
from pipeline.night.kept_labels import read_kept
from pipeline.night.ledger import Run, known_of
from pipeline.night.missing import camera_gaps
from pipeline.night.morning import TEMPLATE as MORNING_TEMPLATE
from pipeline.night.morning import draw_safely
from pipeline.night.neighbours import as_typed, neighbours
from pipeline.night.planning import ClassifyError
from pipeline.night.repeats import Known
from pipeline.night.review import PAGE as REVIEW_PAGE
from pipeline.night.review import TEMPLATE as REVIEW_TEMPLATE
from pipeline.night.review import About, Candidates, on_page, thumbnails, write_review
from pipeline.night.review_labels import known_judgements
from pipeline.night.rows import PREDICTIONS_CSV, Row, of_files, read_rows
from pipeline.night.shard import model_folder
from pipeline.night.summary import Certified, Drift, NightSummary, OutlierTest
from pipeline.night.sure import SureAnswers
from pipeline.params.file import Params
from pipeline.storage.folders import folder_at

if TYPE_CHECKING:
    from pipeline.night.drift import Tonight


COMPARED = 30  # files; fewer are not compared with training


class TooManyUnreadable(NightshiftError):  # noqa: N818 - what happened
    """The rows are all there, but too many of them say that the file could not be read."""

    status = 3


@dataclass(frozen=True, slots=True)
class Results:
    """What a night has written so far, for the later steps."""

    summary: NightSummary
    pictures: Mapping[str, Picture]  # as `review.thumbnails` gives them
    sure: Mapping[str, list[Row]]  # as `SureAnswers` draws them


def prepare(run: Run) -> None:
    """Import and compile what `finish` needs, in another thread: this one waits while images are classified."""

    def work() -> None:
        prepare_pages(REVIEW_TEMPLATE, MORNING_TEMPLATE)
        if run.plan.files >= COMPARED:
            importlib.import_module("scipy.special")  # for the drift of so many

    threading.Thread(target=work, name="prepare", daemon=True).start()


def finish(run: Run, params: Params, labels: Path | None = None) -> Results:
    """Merge the parts into predictions.csv, write the review, summary.json and the pages; close the ledger.

    labels: a Parquet table with columns sha256 and label, to compare the answers with.
    Raises ClassifyError, after everything is written, when the rows are not those of the listed files, and
    TooManyUnreadable when more than batch.max_unreadable of them could not be read.
    """
    results = _write_results(run, params, labels)
    draw_safely(run.output, results.summary, params.batch, results.pictures, results.sure)
    _close(run, params, results.summary)
    return results


def finish_shadow(run: Run, beside: Run, results: Results, params: Params) -> Results:
    """Merge the shadow's parts and compare them with the night's rows; returns the night's results with both.

    run: the night, which is finished with `results`; beside: its shadow.
    """
    quiet = params.batch.model_copy(update={"max_unreadable": 1.0, "review": 0, "parquet": False})
    without_limits = params.model_copy(update={"batch": quiet})
    _close(beside, without_limits, _write_results(beside, without_limits, None).summary)
    found = shadow.compare(run.output, params.batch.review)
    summary = results.summary.model_copy(update={"shadow": found})
    summary.write(run.output)
    draw_safely(run.output, summary, params.batch, results.pictures, results.sure)
    return dataclasses.replace(results, summary=summary)


def without_shadow(run: Run, results: Results, params: Params, why: str) -> Results:
    """Say why a shadow that was asked for did not run, in summary and page; returns the night's results with that."""
    summary = results.summary.model_copy(update={"no_shadow": why})
    summary.write(run.output)
    draw_safely(run.output, summary, params.batch, results.pictures, results.sure)
    return dataclasses.replace(results, summary=summary)


def _write_results(run: Run, params: Params, labels: Path | None) -> Results:
    """Write everything except the morning page, which a shadow does not have."""
    output, plan, batch = run.output, run.plan, params.batch
    file, scenes = run.merge(), scene_files.merge(run)
    started, now = datetime.datetime.fromisoformat(plan.started_at), datetime.datetime.now(datetime.UTC)
    with model_folder(output) as folder:
        contract = contract_in_use(read_contract(folder), params.compute)
        reference = read_reference(folder, contract)
    known = Known(known_of(output))
    counts, repeats, candidates = Counts(run.listed()), Repeats(known), Candidates(batch.review, read_kept(output))
    truth, drift, draw = _truth(labels), _drift_from(reference, batch.max_drift), SureAnswers(plan.started_at)
    bursts = Events(contract.class_names, params.preprocess.burst_seconds, contract.events)
    cameras = Cameras(earlier_looks(output, plan.started_at), contract.images)
    of_drift = [] if scenes or not drift else [drift]
    every = (repeats, candidates, truth, draw, cameras, *of_drift)
    feed(read_rows(file), [counts, bursts, OfFiles(one for one in every if one)])
    if scenes and drift:
        feed(scene_files.with_tiles(output, read_rows(file)), [drift])
    known.close()
    looks = cameras.found(folder_at(plan.input), contract.images, params.compute.threads)
    rows = of_files(read_rows(file))  # seldom: read when asked
    again = scene_files.with_tiles(output, rows) if scenes else rows
    events = bursts.found()
    write_events(output, events)
    counted, review, moved = counts.found(), candidates.found(), drift.found() if drift else None
    sure = draw.found() if batch.review else {}
    shown = [*on_page(review.rows), *itertools.chain.from_iterable(sure.values()), *best_images(to_show(events))]
    pictures = thumbnails(folder_at(plan.input), shown, contract.images, params.compute.threads, output)
    model = f"{plan.model_name} version {plan.model_version} (model {plan.contract_hash[:8]})"
    links = tuple(neighbours(output, REVIEW_PAGE, plan.model_version))
    about = About(as_typed(output), plan.started_at, csv_path(plan.input), model, links)
    write_review(output, review, pictures, contract, moved, about, known_judgements())
    summary = NightSummary(
        **plan.model_dump(exclude={"files", "input", "columns"}),
        input=csv_path(plan.input),
        input_from_here=from_output(plan.input, output),
        finished_at=now.isoformat(timespec="seconds"),
        seconds=round((now - started).total_seconds(), 1),
        repeated=repeats.count,
        **dataclasses.asdict(counted),
        drift=moved,
        review=review.summary,
        compared=truth.found() if truth else None,
        outlier_test=_outlier_test(counted, reference),
        certificate=_certified(contract),
        events=bursts.counts(events),
        cameras=looks or None,
        few_pictures=cameras.few() or None,
        only_cameras=_only_cameras(looks, moved, again, _drift_from(reference, batch.max_drift)),
        scenes=scenes,
        camera_gaps=camera_gaps(folder_at(plan.input), output, started, params.collect, now) or None,
        came_since=run.came_since,
    )
    if summary.frames:
        told = summary.frames.model_copy(update={"words": words_on_frames(contract)})
        summary = summary.model_copy(update={"frames": told})
    if batch.parquet:
        from pipeline.night.parquet import write_parquet

        write_parquet(output)
    summary.write(output)
    return Results(summary, pictures, sure)


def _truth(labels: Path | None) -> Truth | None:
    try:
        return Truth(read_labels(labels)) if labels else None
    except LabelsError as error:  # it was right when the night began, whose rows are worth more than the comparison
        log.warning("The night's answers are not compared with known labels: %s", error)
        return None


def _outlier_test(counted: Counted, reference: Reference | None) -> OutlierTest | None:
    if not reference:
        return None
    from pipeline.night.outliers import outlier_test

    return outlier_test(counted.outliers, sum(counted.labels.values()), reference)


def _certified(contract: Contract) -> Certified | None:
    if not (found := contract.certificate):
        return None
    return Certified(**found.model_dump(include={"certified", "lower_bound", "more_images"}), words=found.words)


def _drift_from(reference: Reference | None, most: float) -> "Tonight | None":
    if not reference:
        return None
    from pipeline.night.drift import Tonight  # imports SciPy, which takes a second

    return Tonight(reference.about, most)


def _only_cameras(
    looks: Mapping[str, CameraLook], moved: Drift | None, rows: Iterable[Row], rest: "Tonight | None"
) -> bool | None:
    """Whether a night that has drifted has not, without the cameras that changed; None where it has no such."""
    changed = {name for name, look in looks.items() if look.changed}
    if not changed or not rest or not moved or not moved.drifted:
        return None
    feed((row for row in rows if name_of(row) not in changed), [rest])
    return not rest.found().drifted


def _close(run: Run, params: Params, summary: NightSummary) -> None:
    """Check what is written, and close the ledger. Raises ClassifyError, TooManyUnreadable."""
    file, files, most = run.output.path / PREDICTIONS_CSV, run.plan.files, params.batch.max_unreadable
    if not summary.reconciled:
        raise ClassifyError(f"{file} does not have one row for each of {files} listed files; see summary.json.")
    run.close()
    if summary.unreadable > most * files:
        raise TooManyUnreadable(
            f"{summary.unreadable} of {files} files are unreadable, more than batch.max_unreadable "
            f"({most:g}) allows. {file} is complete and has the reason for each file. Look for a common "
            "cause (a format, a copy that stopped halfway, missing rights), then run it again, or raise the limit."
        )
