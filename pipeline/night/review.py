"""What a person should look at in the morning: review.csv, and review.html with pictures. Judges nothing itself.

The order, first things first: files that are unreadable (as listed), outliers (the highest score first), unsure
answers (the least confident first), images with other flags (the most flags first, then the least confident). Of what
is cut off, each of the four kinds keeps at least a quarter of the places.
"""

import csv
import heapq
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from PIL import Image

from pipeline.core.cells import guarded, listed_path
from pipeline.core.pages import Link, Picture, address_of, data_uri, render
from pipeline.data.judgements import Judgements
from pipeline.model.contract import Contract
from pipeline.model.doubt import OUTLIER, REASONS
from pipeline.night.kept_labels import KeptLabels, keep_file
from pipeline.night.reading import Decoded, Reading, ReadingError, read_images
from pipeline.night.review_file import REVIEW_COLUMNS
from pipeline.night.review_labels import REVIEW as REVIEW
from pipeline.night.review_labels import agreed_in, judged_cell
from pipeline.night.rows import COLUMNS, WHY, Row, as_cells, labels_in
from pipeline.night.scene_files import pictures_of, scenes_of
from pipeline.night.summary import Drift, ReviewCounts
from pipeline.params.data import Images
from pipeline.storage.folders import Folder
from pipeline.storage.stores import StoreError

PAGE = "review.html"  # beside predictions.csv
NOTHING_KEPT, NOTHING_JUDGED = KeptLabels(), Judgements()
KINDS = ("unreadable", "outlier", "unsure", "flagged")  # the first that fits, in the order of the review
TEMPLATE = "night/review.html"
PICTURES = 120  # on the page; each takes 4 ms of processor time
WITHOUT_PICTURE = 50  # unreadable files on the page
THUMBNAIL = 128  # pixels, of the longer side
CHOICES = 8  # candidates of an image on the page; review.csv has all
AHEAD = 16  # pictures to read ahead
PATIENCE = 5.0  # seconds for one of them

OnPage = dict[str, str | Picture | None]  # a row with its `picture`


def kind_of(row: Row) -> str | None:
    """One of KINDS, or None for a row that nobody must look at."""
    flags = row["flags"].split()
    if row["status"] == "unreadable":
        return "unreadable"
    if OUTLIER in flags:
        return "outlier"
    if row["status"] == "unsure":
        return "unsure"
    return "flagged" if flags else None


def why_of(row: Row) -> str:
    """All reasons to look at the row, as words with `; ` between them."""
    flags = row["flags"].split()
    said = row["status"] == "ok" or any(flag in REASONS for flag in flags)  # the flags of `unsure` say more
    return "; ".join([*([] if said else [row["status"]]), *(flag.replace("_", " ") for flag in flags)])


def _rank(kind: str, row: Row) -> tuple[float, ...]:
    """The rank within a kind: the smallest comes first."""
    match kind:
        case "unreadable":
            return ()
        case "outlier":
            return (-float(row["outlier_score"]),)
        case "unsure":
            return (float(row["confidence"]),)
        case _:
            return (-len(row["flags"].split()), float(row["confidence"]))


@dataclass(frozen=True, slots=True)
class Review:
    """The rows to look at, in order, and how many of each kind there are in all."""

    rows: list[Row]
    counts: dict[str, int]
    kept: KeptLabels = NOTHING_KEPT  # of the folder's earlier review

    @property
    def total(self) -> int:
        """All rows that a person should look at, written or not."""
        return sum(self.counts.values())

    @property
    def summary(self) -> ReviewCounts:
        """The counts for the night's summary."""
        return ReviewCounts(rows=len(self.rows), of=self.total, **self.counts)


class Candidates:
    """Finds the at most `most` rows to look at first; keeps at most `most` of each kind in memory."""

    def __init__(self, most: int, kept: KeptLabels = NOTHING_KEPT) -> None:
        """most: rows of the review; those that have a label in `kept` stay in it in any case."""
        self._most, self._number, self._kept = most, 0, kept
        self._labelled: list[Row] = []
        self._counts = dict.fromkeys(KINDS, 0)
        # Heaps with the worst kept row on top: ranks and row numbers are negated. The row number makes every entry
        # different.
        self._heaps: dict[str, list[tuple[tuple[float, ...], Row]]] = {kind: [] for kind in KINDS}

    def add(self, row: Row) -> None:
        """Consider a row."""
        self._number += 1
        if self._kept.keeps(row):
            self._labelled.append(row)
        if (kind := kind_of(row)) is None:
            return
        self._counts[kind] += 1
        entry = (tuple(-part for part in (*_rank(kind, row), self._number)), row)
        if len(self._heaps[kind]) < self._most:
            heapq.heappush(self._heaps[kind], entry)
        elif self._most:
            heapq.heappushpop(self._heaps[kind], entry)

    def found(self) -> Review:
        """The review of the rows that were added."""
        places = _places({kind: len(heap) for kind, heap in self._heaps.items()}, self._most)
        ordered = {kind: sorted(heap, key=lambda entry: entry[0], reverse=True) for kind, heap in self._heaps.items()}
        rows = [row for kind in KINDS for _, row in ordered[kind][: places[kind]]]
        there = {row["path"] for row in rows}
        rows += [row for row in self._labelled if row["path"] not in there]
        return Review(rows, self._counts, self._kept)


def _places(counts: Mapping[str, int], most: int) -> dict[str, int]:
    """How many rows of each kind: each may have a quarter of `most`; free places go to the first kinds."""
    places = {kind: min(count, most // len(KINDS)) for kind, count in counts.items()}
    for kind, count in counts.items():
        places[kind] += min(count - places[kind], most - sum(places.values()))
    return places


@dataclass(frozen=True, slots=True)
class About:
    """Whose review the page is: the night's folder as a person names it, when it began, its input and model."""

    output: str
    started_at: str  # ISO 8601
    input: str
    model: str
    links: tuple[Link, ...] = ()


def write_review(
    output: Folder, review: Review, pictures: Mapping[str, Picture], contract: Contract, drift: Drift | None,
    about: About | None = None, judgements: Judgements = NOTHING_JUDGED,
) -> None:  # fmt: skip
    """Write review.csv and review.html into `output`. pictures: as `thumbnails` gives them.

    Labels that a person typed into an earlier review there are kept; `judgements` fill in the others.
    """
    keep_file(output, review.kept, review.rows)
    with output.replacing(REVIEW) as beside, beside.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(REVIEW_COLUMNS)
        for row in review.rows:
            judged = judged_cell(judgements, row["sha256"])
            label = review.kept.label_of(row) or agreed_in(judged)
            writer.writerow([*as_cells(row[column] for column in COLUMNS), why_of(row), guarded(label), judged])
    scenes = not scenes_of(output).keys().isdisjoint(row["path"] for row in review.rows)
    with output.replacing(PAGE) as beside:
        beside.write_text(page(review, pictures, contract, drift, about, scenes=scenes), encoding="utf-8")


def on_page(rows: Iterable[Row]) -> list[Row]:
    """The rows on the page, in the same order."""
    left = {True: WITHOUT_PICTURE, False: PICTURES}
    found = []
    for row in rows:
        unreadable = row["status"] == "unreadable"
        if left[unreadable]:
            left[unreadable] -= 1
            found.append(row)
    return found


def thumbnails(source: Folder, rows: Iterable[Row], rules: Images, threads: int, output: Folder) -> dict[str, Picture]:
    """Small pictures of these rows, by their paths, for a page in `output`.

    A file that is gone or has changed has none. Each leads to its image where `source` is on a disk; that of a scene to
    its picture with coloured tiles.

    A picture is what the model saw, in the shape of the image. It comes from the same decoding that succeeded in the
    night, so a malicious file gets no new code path.
    """
    digests = {row["path"]: row["sha256"] for row in rows if row["status"] != "unreadable"}
    found = pictures_of(output, {path: of_it for path, of_it in scenes_of(output).items() if path in digests})
    paths = {listed_path(path): path for path in digests if path not in found}
    try:
        for read in read_images(source, paths, rules, Reading(threads, AHEAD, PATIENCE)):
            if isinstance(read, Decoded) and read.sha256 == digests[paths[read.path]]:
                small = _thumbnail(read, stretched=rules.fit == "stretch")
                found[paths[read.path]] = Picture(small, _address(source, read.path, output))
    except (ReadingError, StoreError):  # the disk hangs: the CSV is complete, so the page has no pictures
        pass
    return found


def _address(source: Folder, path: str, output: Folder) -> str:
    if source.local is None:
        return ""
    image = source.local / path
    return address_of(image, output.local) if output.local else image.absolute().as_uri()


def _thumbnail(read: Decoded, *, stretched: bool) -> str:
    picture = Image.fromarray(read.picture.pixels)
    width, height = (read.picture.width, read.picture.height) if stretched else picture.size
    scale = THUMBNAIL / max(width, height)
    small = picture.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=70)
    return data_uri(buffer.getvalue(), "jpeg")


def page(
    review: Review, pictures: Mapping[str, Picture], contract: Contract, drift: Drift | None,
    about: About | None = None, *, scenes: bool = False,
) -> str:  # fmt: skip
    """The page, which needs no other file. scenes: whether some of the rows are of scenes."""
    return render(
        TEMPLATE,
        about=about,
        scenes=scenes,
        review=review,
        kinds=by_kind(on_page(review.rows), pictures),
        drift=drift,
        unsure_below=contract.unsure_below,
    )


def by_kind(rows: Iterable[Row], pictures: Mapping[str, Picture]) -> dict[str, list[OnPage]]:
    """The rows under their kinds, each with its reasons as `why` and its picture, if any, as `picture`.

    `choice`: the candidates in words, if there are several.
    """
    kinds: dict[str, list[OnPage]] = {kind: [] for kind in KINDS}
    for row in rows:
        kind = kind_of(row) or KINDS[-1]
        named = labels_in(row.get("candidates", ""))  # a review by an earlier version has none
        choice = " or ".join(named[:CHOICES]) if len(named) > 1 else ""
        choice += f" or {len(named) - CHOICES} more" if len(named) > CHOICES else ""
        kinds[kind].append({**row, WHY: why_of(row), "picture": pictures.get(row["path"]), "choice": choice})
    return kinds
