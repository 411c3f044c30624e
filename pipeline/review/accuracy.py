"""How many of a night's `ok` rows are right: an estimate from what people have judged, with an interval.

All `ok` images stand in one random order (`draw.py`). Read from its beginning up to the first image without any
judgement, it is a simple random sample without replacement, however those images came to be judged: who sweeps a whole
class, or judges what looks doubtful, only makes the draw longer. Counting such images by themselves and the drawn ones
for the rest would be biased: the draw has taken doubtful ones, of which the rest has fewer
(benchmarks/night_accuracy.py).
What is known beyond the draw bounds the truth: no more can be right than are not known to be wrong.

An image that no reader can tell, or whose readers differ, is neither right nor wrong: hard images are more often wrong,
so leaving them out would flatter. It counts as wrong for the lower end and as right for the upper one (Manski,
Nonparametric Bounds on Treatment Effects, 1990). A rejected one is wrong: it belongs to none of the classes.
"""

import bisect
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.data.judgements import Judgements
from pipeline.data.labels import sameness
from pipeline.night.accuracy import ACCURACY, Estimate, on_page, read_accuracy
from pipeline.night.all_nights import write_all_nights
from pipeline.night.neighbours import MORNING
from pipeline.night.outputs import is_in_predictions
from pipeline.night.rows import PREDICTIONS_CSV, Row, of_files, read_rows
from pipeline.night.scene_files import scenes_of
from pipeline.night.summary import NightSummary, read_summary
from pipeline.params.night import Batch
from pipeline.review.draw import lot, seed_of
from pipeline.storage.folders import Folder

LEAST = 30  # images of the draw; by fewer, an interval is about as wide as a quarter
LEVEL = 0.95

Answer = Literal["right", "wrong", "open"]  # open: readers cannot tell, or differ


@dataclass(frozen=True, slots=True)
class TooFew:
    """Too few images of the draw are judged to say anything."""

    judged: int
    more: int  # to judge at random

    @property
    def sentence(self) -> str:
        """What to do, in words."""
        return (
            f"To know how many of the answers with status ok are right, judge {self.more:,} more of the random draw "
            f"(One by one, order: random draw)."
        )


@dataclass(frozen=True, slots=True)
class Counted:
    """What the answers to images in the order of a draw come to."""

    images: int
    judged: int  # of the draw: before the first image without any answer, not counting those that are open
    right: int  # of these
    open: int  # of the draw
    known: int  # that are right or wrong, drawn or not
    known_right: int


def write_accuracy(output: Folder, judgements: Judgements, batch: Batch) -> Estimate | TooFew | None:
    """Bring accuracy.json, the morning page and the page of all nights up to date with the judgements; returns what
    they say. predictions.csv stays as it is. None: no finished night is there, or it has no `ok` row.

    batch: the limits for the page of all nights. It takes no lock, which would turn a night away that begins: a page is
    replaced as a whole, and only that of the night whose rows were counted. Raises SummaryError, OSError, StoreError.
    """
    if (summary := read_summary(output)) is None:
        return None
    scenes = scenes_of(output)  # nobody judges them: the review leaves them out
    rows = (row for row in of_files(read_rows(output.path / PREDICTIONS_CSV)) if row["path"] not in scenes)
    found = night_accuracy(rows, judgements, summary)
    estimate = found if isinstance(found, Estimate) else None
    if estimate == read_accuracy(output, summary) or read_summary(output) != summary:
        return found
    _write(output, estimate)
    if is_in_predictions(output):
        write_all_nights(batch)
    return found


def _write(output: Folder, estimate: Estimate | None) -> None:
    if estimate:
        output.write_json(ACCURACY, estimate.model_dump())
    else:
        output.delete(ACCURACY)
    if output.exists(MORNING):
        output.write(MORNING, on_page(output.read(MORNING).decode(), estimate).encode())


def night_accuracy(rows: Iterable[Row], judgements: Judgements, summary: NightSummary) -> Estimate | TooFew | None:
    """The estimate for the rows of the night's predictions.csv; None without an `ok` row."""
    sure = [row for row in rows if row["status"] == "ok"]
    labels = {row["sha256"]: row["label"] for row in sure}
    if not labels:
        return None
    seed = seed_of(summary)
    order = sorted(labels, key=lambda sha256: lot(seed, sha256))
    counted = count([answer(sha256, labels[sha256], judgements) for sha256 in order])
    if counted.judged < min(LEAST, counted.images - counted.open):
        left = counted.images - counted.known
        return TooFew(counted.judged, min(LEAST - counted.judged, left))
    share, low, high = estimate(counted)
    return Estimate(
        started_at=summary.started_at, model_version=summary.model_version, share=share, low=low, high=high,
        level=LEVEL, judged=counted.judged, right=counted.right, cannot_tell=counted.open, images=counted.images,
        rows=len(sure), known=counted.known, known_right=counted.known_right,
    )  # fmt: skip


def answer(sha256: str, label: str, judgements: Judgements) -> Answer | None:
    """What people say of the label that a night gave to an image; None: nobody has judged it."""
    if not judgements.of(sha256):
        return None
    agreed = judgements.agreed(sha256)
    if agreed is None or agreed.cannot_tell:
        return "open"
    return "right" if agreed.label and sameness(agreed.label) == sameness(label) else "wrong"


def count(answers: Sequence[Answer | None]) -> Counted:
    """The counts of the answers to all images, in the order of the draw."""
    drawn = list(itertools.takewhile(lambda one: one is not None, answers))
    return Counted(
        images=len(answers),
        judged=len(drawn) - drawn.count("open"),
        right=drawn.count("right"),
        open=drawn.count("open"),
        known=sum(one in ("right", "wrong") for one in answers),
        known_right=answers.count("right"),
    )


def estimate(counted: Counted, level: float = LEVEL) -> tuple[float, float, float]:
    """The share of right images, and both ends of its interval. Needs one image of the draw that has an answer."""
    drawn = counted.judged + counted.open
    least, most = counted.known_right, counted.images - (counted.known - counted.known_right)
    low, _ = finite_ends(counted.right, drawn, counted.images, level)
    _, high = finite_ends(counted.right + counted.open, drawn, counted.images, level)
    low, high = max(low, least), min(high, most)
    if low > high:  # the draw was an unlikely one, which what is known beyond it shows
        low, high = least, most
    value = min(max(counted.images * counted.right / counted.judged, low), high)
    return value / counted.images, low / counted.images, high / counted.images


def finite_ends(right: int, drawn: int, images: int, level: float) -> tuple[int, int]:
    """The mid-p interval of the number of right ones among `images`, of which `drawn` were drawn at random.

    Each end is the number by which only (1 - level) / 2 of all draws would be as extreme as this one, of the draws with
    just as many right ones counting half (Lancaster, Significance tests in discrete distributions, 1961), without
    replacement (the hypergeometric distribution). An exact interval holds the truth more often than it says, 98 times
    in 100 instead of 95, so it is wider than it need be (benchmarks/night_accuracy.py).
    """
    from scipy.stats import hypergeom

    possible = range(right, images - (drawn - right) + 1)

    def more(truth: int) -> float:
        """Minus the share of draws with fewer right ones than this one; it rises with the truth."""
        fewer = hypergeom.cdf(right - 1, images, truth, drawn) + hypergeom.pmf(right, images, truth, drawn) / 2
        return -float(fewer)

    low = bisect.bisect_right(possible, -(1 + level) / 2, key=more)
    high = bisect.bisect_left(possible, -(1 - level) / 2, key=more) - 1
    return possible[low], possible[high]
