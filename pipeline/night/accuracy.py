"""How many of a night's `ok` rows are right, as people judged them: accuracy.json, and its words. Judges nothing.

The night writes no such file: judgements come later, and whoever keeps them writes it (`pipeline/review/accuracy.py`).
A later run into the same folder is another night, and the file of the earlier one says nothing of it.
"""

import math
import re
from html import escape

from pydantic import ValidationError

from pipeline.core.log import log
from pipeline.core.text import counted
from pipeline.night.moments import Moment
from pipeline.night.summary import NightSummary, Part
from pipeline.storage.folders import Folder

ACCURACY = "accuracy.json"  # beside predictions.csv
NARROW = 0.03  # an interval below this width is written with a decimal
ROUNDING = 1e-9  # what multiplying by 100 adds to a number
_ON_PAGE = re.compile(r'<p id="accuracy"[^>]*>[^<]*</p>')


class Estimate(Part):
    """The share of the `ok` rows that are right, by the images of a random draw, with an interval that holds it."""

    started_at: Moment  # of the night
    model_version: str
    share: float
    low: float
    high: float
    level: float  # with so much confidence
    judged: int  # images of the draw that have an answer
    right: int
    cannot_tell: int  # images of the draw that no reader could tell, or whose readers differ
    images: int  # all that are `ok`; identical files are one
    rows: int  # all that are `ok`
    known: int  # images that have an answer, drawn or not
    known_right: int

    @property
    def is_complete(self) -> bool:
        """Whether every image has an answer."""
        return self.known == self.images

    @property
    def figures(self) -> str:
        """The share with its interval, in percent: `96 % (91 to 98)`; the ends are rounded outwards."""
        digits = 0 if self.high - self.low >= NARROW and not 0.995 <= self.share < 1 else 1
        share = f"{100 * self.share:.{digits}f} %"
        if self.is_complete:
            return share
        low, high = (how(100 * end * 10**digits) / 10**digits for how, end in ((_down, self.low), (_up, self.high)))
        return f"{share} ({low:.{digits}f} to {high:.{digits}f})"

    @property
    def sentence(self) -> str:
        """The estimate in words."""
        by = "All are judged:" if self.is_complete else f"By {counted(self.judged, 'judged image')},"
        once = "" if self.rows == self.images else " (identical files count once)"
        said = f"{by} {self.figures} of the night's answers with status ok are right{once}."
        if not self.cannot_tell:
            return said
        more = "1 more has" if self.cannot_tell == 1 else f"{self.cannot_tell:,} more have"
        return f"{said} {more} no certain answer: wrong for the lower end, right for the upper."


def _down(value: float) -> int:
    return math.floor(value + ROUNDING)


def _up(value: float) -> int:
    return math.ceil(value - ROUNDING)


def read_accuracy(output: Folder, summary: NightSummary) -> Estimate | None:
    """What is known of the night in `output`, whose summary this is; None as long as nothing is. Raises StoreError."""
    try:
        found = Estimate.model_validate_json(output.read(ACCURACY))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:  # the night's own files say all the rest
        log.warning("Passed over: %s cannot be read (%s).", output / ACCURACY, type(error).__name__)
        return None
    return found if found.started_at == summary.started_at else None


def element(estimate: Estimate | None) -> str:
    """The paragraph of the morning page that `on_page` replaces; hidden as long as nothing is known."""
    return f'<p id="accuracy">{escape(estimate.sentence)}</p>' if estimate else '<p id="accuracy" hidden></p>'


def on_page(html: str, estimate: Estimate | None) -> str:
    """The morning page with the paragraph for `estimate`; itself where an earlier version wrote it, without one."""
    return _ON_PAGE.sub(lambda _: element(estimate), html, count=1)
