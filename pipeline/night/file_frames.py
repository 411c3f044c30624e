"""The frames of a file, judged -> their rows, and behind them the one of their file. Asks no model.

A file's label is the class with the highest mean probability over its frames, and that mean is its confidence. How it
looks, and whether it is an outlier, its middle frame says: a training learns from that one, and measures with it what
is usual. An answer is `ok` only by a rule that validation has certified for its kind: that of images says nothing of
frames, nor of means.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.model.certificate import Promise
from pipeline.model.contract import Contract
from pipeline.model.doubt import LOW_CONFIDENCE, NOT_CERTIFIED, OUTLIER, REASONS
from pipeline.model.ranked import DIGITS, RANKS, MeanAnswer
from pipeline.night.frame_reading import FramesBegun, FramesEnded, OfFrames
from pipeline.night.rows import Classified, FileOutcome, Unreadable
from pipeline.night.tiled_scenes import Outcome

DAMAGED_FRAMES = "damaged_frames"  # a flag of the file's row


NO_RULE = (
    "Answers about files of several frames are not certified: the model was validated on none. Train it with "
    "images.frame: all on such files."
)


def words_on_frames(contract: Contract) -> str:
    """What is certain of the answers for files of several frames and for their frames; empty where nobody asked."""
    if contract.certificate is None:
        return ""
    return contract.frames.words if contract.frames else NO_RULE


@dataclass(slots=True)
class _Tally:
    """What is known of a file so far."""

    begun: FramesBegun
    contract: Contract
    numbers: dict[str, int] = field(init=False)  # of the classes
    mean: MeanAnswer = field(init=False)
    damaged: list[str] = field(default_factory=list)  # why
    middle: Classified | None = None  # the readable frame that is next to the middle

    def __post_init__(self) -> None:
        self.numbers = {name: number for number, name in enumerate(self.contract.class_names)}
        self.mean = MeanAnswer(len(self.contract.class_names))

    def judged(self, frame: Classified) -> Classified:
        """The frame by the rule for frames. Which labels cannot be excluded is measured for images only."""
        rule = self.contract.frames
        why = self._doubts(round(frame.ranked[0][1], DIGITS), rule.frame if rule else None)
        flags = (*(OUTLIER for flag in frame.flags if flag == OUTLIER), *why, *_of_look(frame))
        return replace(frame, flags=flags, unsure=any(flag in REASONS for flag in flags), candidates=())

    def _doubts(self, confidence: float, promise: Promise | None) -> tuple[str, ...]:
        if self.contract.certificate is None:  # nobody asked for a promise
            return (LOW_CONFIDENCE,) * (confidence < self.contract.unsure_below)
        if promise is None or not promise.certificate.certified:
            return (NOT_CERTIFIED,)
        return (LOW_CONFIDENCE,) * (confidence < promise.unsure_below)

    def add(self, frame: Classified | Unreadable) -> None:
        """Take the next frame into account."""
        if isinstance(frame, Unreadable):
            self.damaged.append(frame.error)
            return
        self.mean.add([(self.numbers[label], round(confidence, DIGITS)) for label, confidence in frame.ranked])
        middle = (self.begun.count + 1) // 2
        if self.middle is None or abs(frame.frame - middle) < abs(self.middle.frame - middle):
            self.middle = frame

    def outcome(self) -> FileOutcome:
        """The file's own answer."""
        path, digest, taken, count = self.begun.path, self.begun.sha256, self.begun.taken, self.begun.count
        if self.middle is None or 2 * len(self.damaged) > count:
            error = f"{len(self.damaged)} of its {count} frames cannot be read: {self.damaged[0]}"
            return Unreadable(path, error, digest, taken)
        means, names, rule = self.mean.means, self.contract.class_names, self.contract.frames
        best = np.argsort([-mean for mean in means], kind="stable")[:RANKS]
        ranked = tuple((names[number], means[number]) for number in best)
        middle = self.middle
        outlier = (OUTLIER,) * (OUTLIER in middle.flags)
        why = outlier + self._doubts(ranked[0][1], rule.file if rule else None)
        flags = (*why, *_of_look(middle), *(DAMAGED_FRAMES,) * bool(self.damaged))
        return Classified(
            path, digest, middle.width, middle.height, ranked, bool(why), middle.outlier_score, flags, middle.light,
            taken=taken,
        )  # fmt: skip


def _of_look(frame: Classified) -> tuple[str, ...]:
    return tuple(flag for flag in frame.flags if flag not in REASONS)


def with_files(outcomes: Iterable[Outcome | OfFrames], contract: Contract) -> Iterator[Outcome]:
    """The outcomes, those of frames by their own rule, and behind them that of their file."""
    tally: _Tally | None = None
    for outcome in outcomes:
        if isinstance(outcome, FramesBegun):
            tally = _Tally(outcome, contract)
        elif isinstance(outcome, FramesEnded):
            if tally:
                yield tally.outcome()
            tally = None
        elif tally and isinstance(outcome, Classified | Unreadable) and outcome.frame:
            frame = tally.judged(outcome) if isinstance(outcome, Classified) else outcome
            tally.add(frame)
            yield frame
        else:
            yield outcome
