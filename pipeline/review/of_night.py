"""A night as a review: all its answers, in the order that teaches most. Judges nothing."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from pipeline.core.cells import listed_path
from pipeline.core.errors import NightshiftError
from pipeline.core.text import counted
from pipeline.data.judgements import Judgements, folder_as_kept
from pipeline.night.neighbours import as_typed
from pipeline.night.outputs import latest_night
from pipeline.night.review import why_of
from pipeline.night.review_labels import show_known
from pipeline.night.rows import PREDICTIONS_CSV, Row, labels_in, of_files
from pipeline.night.scene_files import scenes_of
from pipeline.night.sound_rows import rows_as_written
from pipeline.night.summary import SUMMARY, NightSummary, read_summary
from pipeline.params.file import load_params
from pipeline.review.accuracy import write_accuracy
from pipeline.review.draw import seed_of
from pipeline.review.embedded import embeddings_of
from pipeline.review.opened import Opened
from pipeline.review.order import draw_of, ordered
from pipeline.review.proposer import Proposer, proposer
from pipeline.review.waiting import Candidate, Waiting
from pipeline.storage.folders import Folder, folder_at

DRAWN = 0.1  # share of the random draw, which measures the night
RANKS = ("", "_2", "_3")  # of a row's labels


class ReviewError(NightshiftError):
    """There is nothing to review; says what to do."""


def open_night(output: Folder, drawn: float = DRAWN) -> Opened:
    """The finished night in `output`. drawn: share of images by the random draw, from the first one on.

    Raises ReviewError, SummaryError, StoreError.
    """
    if (summary := read_summary(output)) is None:
        raise ReviewError(
            f"{output} holds no finished night. Give the folder of one (`nightshift status` names the latest), or run "
            "`nightshift classify INPUT`."
        )
    if not output.exists(PREDICTIONS_CSV):
        raise ReviewError(f"{output / PREDICTIONS_CSV} is missing. Run the night again.")
    source = folder_at(listed_path(summary.input))
    scenes, every = scenes_of(output), of_files(rows_as_written(output, summary))
    rows = of_rows((row for row in every if row["path"] not in scenes), source)
    waiting = ordered(rows, None, random_share=drawn, seed=seed_of(summary))
    params = load_params()

    def accuracy(judgements: Judgements) -> str:
        show_known(output, judgements)
        found = write_accuracy(output, judgements, params.batch)
        return found.sentence if found else ""

    def arranged(folder: Path) -> list[Waiting]:
        embeddings = embeddings_of(rows, folder, params.compute)
        return ordered(rows, embeddings, random_share=drawn, seed=seed_of(summary))

    model = proposer(summary.model_name, summary.model_version, summary.contract_hash)

    def edition() -> str:
        file = output.local / SUMMARY if output.local else None
        return str(file.stat().st_mtime_ns) if file and file.is_file() else ""

    return Opened(
        name=f"night {output.absolute()}",
        title=f"Night {output.name}",
        about=f"{counted(len(waiting), 'image')} of {as_typed(source)}, by {summary.model_name} version "
        f"{summary.model_version} ({as_typed(output)})",
        waiting=tuple(waiting),
        labels=_labels(summary, waiting, model),
        left_out=_left_out(len(scenes), source),
        images=model.images if model else params.images,
        model=model.folder if model else None,
        drawn=tuple(rows[number].sha256 for number in draw_of(rows, seed_of(summary))),
        accuracy=accuracy,
        arranged=partial(arranged, model.folder) if model else None,
        edition=edition,
    )


def _left_out(scenes: int, source: Folder) -> str:
    """What the page says of so many scenes; empty for none."""
    if not scenes:
        return ""
    return (
        f"{counted(scenes, 'scene is', 'scenes are')} left out: a scene shows several classes, and a model learns from "
        f"its tiles. Cut tiles to label with `nightshift data tiles {as_typed(source)} FOLDER`."
    )


def of_rows(rows: Iterable[Row], source: Folder) -> list[Waiting]:
    """The images with an answer, in the order of the rows."""
    folder = folder_as_kept(str(source))
    return [_waiting(row, source, folder) for row in rows if row["status"] in ("ok", "unsure")]


def _waiting(row: Row, source: Folder, folder: str) -> Waiting:
    named = {row[f"label{rank}"]: row[f"confidence{rank}"] for rank in RANKS if row[f"label{rank}"]}
    order = dict.fromkeys([*named, *labels_in(row.get("candidates", ""))])
    return Waiting(
        sha256=row["sha256"],
        path=row["path"],
        place=str(source / listed_path(row["path"])),
        source="night",
        proposed=row["label"],
        confidence=float(row["confidence"]),
        candidates=tuple(Candidate(one, float(named[one]) if named.get(one) else None) for one in order),
        status=row["status"],
        why=why_of(row),
        model_version=row["model_version"],
        folder=folder,
    )


def _labels(summary: NightSummary, waiting: Iterable[Waiting], model: Proposer | None) -> tuple[str, ...]:
    if model:
        return model.class_names
    seen = {candidate.label for one in waiting for candidate in one.candidates}
    return tuple(sorted({*seen, *summary.labels}))


def newest_night(predictions: Path) -> Path:
    """The folder of the night in `predictions` that ended last. Raises ReviewError."""
    if found := latest_night(predictions):
        return found
    raise ReviewError(
        f"{predictions}/ holds no finished night. Give the folder of one, or run `nightshift classify INPUT`."
    )
