"""The morning page: whether all is well, what ran, the results, and what is usual. Judges no image.

It is built from the night's folder, and from earlier nights in MLflow, so it can be built again at any time.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

from pipeline.core.cells import listed_path
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.pages import Link, Picture, render
from pipeline.core.paths import MODEL
from pipeline.model.contract import ContractError, read_contract
from pipeline.night.accuracy import Estimate, element, read_accuracy
from pipeline.night.all_nights import write_all_nights
from pipeline.night.events import best_images, read_events, to_show
from pipeline.night.moments import spoken
from pipeline.night.neighbours import CARD, MORNING, as_typed, neighbours
from pipeline.night.outputs import is_in_predictions
from pipeline.night.review import KINDS, REVIEW, OnPage, by_kind, on_page, thumbnails
from pipeline.night.review import PAGE as REVIEW_PAGE
from pipeline.night.review_file import read_review
from pipeline.night.rows import Row, of_files
from pipeline.night.scene_files import colours_of, pictures_of, scenes_of
from pipeline.night.sound_rows import rows_as_written
from pipeline.night.summary import NightSummary, read_summary
from pipeline.night.sure import drawn_from
from pipeline.night.verdict import alarms
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.params.night import Batch
from pipeline.registry import history as nights
from pipeline.registry.history import Night
from pipeline.registry.store import Store
from pipeline.storage.folders import Folder, folder_at

PAGE = MORNING
TEMPLATE = "night/morning.html"
NIGHTS = 7  # earlier nights on the page
PICTURES = 12  # of each kind; review.html has more
UNREADABLE = 50  # files listed with their reasons
SCENES_ON_PAGE, CLASSES_OF_SCENE = 24, 6  # scenes.csv has all
CLASSES = 30  # bars, the most frequent first
NO_PAST = "MLflow has no record of this night (batch.track is false), so this page has no earlier nights."


class MorningError(NightshiftError):
    """There is no finished night to report."""


@dataclass(frozen=True, slots=True)
class Past:
    """The nights before this one, the newest first, or why they are not known."""

    nights: tuple[Night, ...] = ()
    unknown: str = ""


class Mix(NamedTuple):
    """A class's shares of the predictions, 0 to 1; None where they are not known."""

    label: str
    images: int
    tonight: float
    usual: float | None  # of the model's predictions on the validation images
    lately: float | None  # mean of the earlier nights


@dataclass(frozen=True, slots=True)
class ShownScene:
    """A scene (images.tiles) on the page."""

    path: str
    picture: Picture | None
    classes: Sequence[Row]  # its rows of scenes.csv


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows beside the summary."""

    output: str  # the night's folder as a person names it
    kinds: Mapping[str, list[OnPage]]  # rows of the review, as `review.by_kind` gives them
    sure: Mapping[str, list[OnPage]]  # label -> rows that the model is sure of
    links: Sequence[Link] = ()
    scenes: Sequence["ShownScene"] = ()
    colours: Mapping[str, str] = field(default_factory=dict)  # of labels in the scenes' pictures
    accuracy: Estimate | None = None  # of the `ok` rows, as people have judged them
    events: Sequence[OnPage] = ()  # some rows of events.csv, with `when` and the picture of the best image


def draw_safely(
    output: Folder, summary: NightSummary, batch: Batch, pictures: Mapping[str, Picture], sure: Mapping[str, list[Row]]
) -> None:
    """Write the page at the end of a night; an error becomes a warning."""
    try:
        output.delete(PAGE)  # a page of an earlier night must not stand for this one
        draw(output, summary, batch, pictures, sure)
    except Exception as error:  # noqa: BLE001 - a failed page must not fail a complete night
        log.warning(
            "predictions.csv is complete, but %s could not be written (%s: %s). To write it: `nightshift report %s`.",
            output / PAGE, type(error).__name__, error, output,
        )  # fmt: skip


def draw_again(output: Folder, params: Params) -> Folder:
    """Write the page of a finished night again; returns it. Raises MorningError when there is none in `output`.

    Its pictures are made again from the images; an image that is gone or has changed has none.
    """
    if not (summary := read_summary(output)):
        raise MorningError(
            f"{output} holds no finished night: summary.json is missing. Give the folder of one, or run "
            f"`nightshift classify INPUT {output}`."
        )
    source = folder_at(listed_path(summary.input))
    drawn = drawn_from(of_files(rows_as_written(output, summary)), summary.started_at)
    sure = drawn if params.batch.review else {}
    shown = [*on_page(_review_of(output)), *itertools.chain.from_iterable(sure.values())]
    shown += best_images(to_show(read_events(output)))
    pictures = thumbnails(source, shown, _rules_of(summary, params), params.compute.threads, output)
    return draw(output, summary, params.batch, pictures, sure)


def _rules_of(summary: NightSummary, params: Params) -> Images:
    """How to decode the night's images: as its model does, if it is the current one; else as params.yaml says."""
    try:
        contract = read_contract(MODEL)
    except (ContractError, OSError):
        return params.images
    return contract.images if contract.hash == summary.contract_hash else params.images


def draw(
    output: Folder, summary: NightSummary, batch: Batch, pictures: Mapping[str, Picture], sure: Mapping[str, list[Row]]
) -> Folder:
    """Write the page beside predictions.csv in `output`; returns it. Raises OSError, StoreError.

    pictures: of the rows of the review and of `sure`, by their paths; sure: as `SureAnswers` draws them.
    """
    scenes = [*scenes_of(output).items()][:SCENES_ON_PAGE]
    overlays, colours = pictures_of(output, dict(scenes)), colours_of(output, dict(scenes))
    shown = Shown(
        as_typed(output),
        by_kind(on_page(_review_of(output)), pictures),
        {label: [_sure_picture(row, pictures) for row in rows] for label, rows in sure.items()},
        tuple(neighbours(output, PAGE, summary.model_version)),
        [ShownScene(path, overlays.get(path), rows[:CLASSES_OF_SCENE]) for path, rows in scenes],
        colours,
        read_accuracy(output, summary),
        [_event(row, pictures) for row in to_show(read_events(output))],
    )
    written = page(summary, shown, past_of(summary, output.name, batch), alarms(summary, batch))
    with output.replacing(PAGE) as beside:
        beside.write_text(written, encoding="utf-8")
    if is_in_predictions(output):
        write_all_nights(batch)
    return output / PAGE


def _event(row: Row, pictures: Mapping[str, Picture]) -> OnPage:
    return {**row, "when": spoken(row["start"], row["end"]), "picture": pictures.get(row["best_image"])}


def _sure_picture(row: Row, pictures: Mapping[str, Picture]) -> OnPage:
    return {**row, "why": "", "choice": "", "picture": pictures.get(row["path"])}


def _review_of(output: Folder) -> list[dict[str, str]]:
    """The rows of review.csv; none if an earlier version, which wrote no review, ran the night."""
    return read_review(output.read(REVIEW), str(output / REVIEW)) if output.exists(REVIEW) else []


def past_of(summary: NightSummary, name: str, batch: Batch) -> Past:
    """The nights before this one, in the folder `name`, or why they are not known."""
    if not batch.track:
        return Past(unknown=NO_PAST)
    try:
        return Past(tuple(nights.earlier(summary.for_history, name, NIGHTS)))
    except NightshiftError as error:
        log.warning("Could not read earlier nights for the morning page: %s", error)
        return Past(unknown="Could not reach the MLflow store, so this page has no earlier nights.")


def version_page(store: str, name: str, version: str) -> str:
    """The address of a model version's page, without password; empty when the store is not a server."""
    parts = urlsplit(store)
    if parts.scheme not in ("http", "https"):
        return ""
    server = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
    return f"{server}/#/models/{quote(name, safe='')}/versions/{quote(version, safe='')}"


def mixes(summary: NightSummary, past: Past) -> list[Mix]:
    """Each class's share tonight and usually, the most frequent first."""
    tonight = summary.labels
    compared = summary.drift.labels if summary.drift else None
    usual = {label: both[1] for label, both in (compared or {}).items()}
    answered, validated = sum(tonight.values()), sum(usual.values())
    kept = [night.numbers for night in past.nights if any(name.startswith("share.") for name in night.numbers)]
    found = [
        Mix(
            label,
            tonight.get(label, 0),
            tonight.get(label, 0) / answered if answered else 0.0,
            usual.get(label, 0) / validated if validated else None,
            sum(numbers.get(nights.share_of(label), 0.0) for numbers in kept) / len(kept) if kept else None,
        )
        for label in {**tonight, **usual}
    ]
    return sorted(found, key=lambda mix: (-mix.images, mix.label))


def page(summary: NightSummary, shown: Shown, past: Past, wrong: list[str]) -> str:
    """The page, which needs no other file. wrong: as `alarms` gives it."""
    seconds, mix, kinds = summary.seconds, mixes(summary, past), shown.kinds
    counts = {kind: getattr(summary.review, kind) if summary.review else len(kinds[kind]) for kind in KINDS}
    return render(
        TEMPLATE,
        summary=summary,
        alarms=wrong,
        output=shown.output,
        links=shown.links,
        card=any(link.address == CARD for link in shown.links),
        to_look_at=sum(counts.values()),
        rate=summary.listed / seconds if seconds else None,
        mixes=mix[:CLASSES],
        classes=len(mix),
        past=past,
        kinds={kind: rows[: UNREADABLE if kind == "unreadable" else PICTURES] for kind, rows in kinds.items()},
        sure=shown.sure,
        scenes=shown.scenes,
        colours=shown.colours,
        accuracy=element(shown.accuracy),
        events=shown.events,
        counts=counts,
        review_page=REVIEW_PAGE,
        version_page=version_page(Store.of_project().address, summary.model_name, summary.model_version),
    )
