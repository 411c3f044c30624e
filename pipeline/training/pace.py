"""How many steps of gradient descent a phase takes, and how often it is judged. Knows numbers only."""

from dataclasses import dataclass, replace
from math import ceil, sqrt

from pipeline.params.model import FineTune

FEWEST_STEPS = 150  # of fine-tuning: fewer change little
STEPS_BY_ROOT = 7  # steps for each root of the number of training images
JUDGED_SHARE = 0.15  # of the time of fine-tuning: judging takes about this much
FORWARD = 1 / 3  # the time that judging an image takes, as a share of training with it
JUDGEMENTS = (4, 10)  # of a fine-tuning: at least, at most
WORTH_A_SCHEDULE = 20  # steps: a shorter fine-tuning only disturbs the network


@dataclass(frozen=True, slots=True)
class Pace:
    """Steps of gradient descent, and judgements on the validation images spread evenly among them.

    The training rows come as one endless stream, each row once in each pass, in an order of the pass's own.
    """

    steps: int
    judgements: int
    batch_size: int
    pass_rows: int | None = None  # rows between two judgements that end with a pass; None: as many as the steps take

    def until(self, judgement: int) -> int:
        """How many steps are done at a judgement, counted from 1."""
        return judgement * self.steps // self.judgements if self.judgements else 0

    def rows_until(self, judgement: int) -> int:
        """How many rows of the stream are used up by then; a pass's last batch may have fewer than the others."""
        return judgement * self.pass_rows if self.pass_rows else self.until(judgement) * self.batch_size

    def within(self, seconds: float, step: float, judging: float) -> "Pace":
        """This pace, or as much of it as `seconds` allow; `step` and `judging` are the seconds that one of each takes.

        Whole passes stay whole, and one is left. Otherwise no steps at all are left where there is time for only a few.
        """
        if self.seconds(step, judging) <= seconds:
            return self
        if self.pass_rows:
            of_pass = self.until(1) * step + judging
            passes = min(max(1, int(seconds / of_pass)), self.judgements)
            return replace(self, steps=passes * self.until(1), judgements=passes)
        judgements = min(self.judgements, max(1, int(JUDGED_SHARE * seconds / judging)) if judging else self.judgements)
        steps = int((seconds - judgements * judging) / step)
        if steps < WORTH_A_SCHEDULE:
            return replace(self, steps=0, judgements=0)
        return replace(self, steps=min(steps, self.steps), judgements=min(judgements, steps))

    def seconds(self, step: float, judging: float) -> float:
        """About how long all of it takes."""
        return self.steps * step + self.judgements * judging


def whole_passes(passes: int, rows: int, batch_size: int, together: bool = False) -> Pace:
    """A judgement after each pass over `rows` rows; `together`: every batch is full, as each replica needs rows."""
    if not together:
        return Pace(passes * ceil(rows / batch_size), passes, batch_size, rows)
    batch_size = min(batch_size, rows)
    count = rows // batch_size
    return Pace(passes * count, passes, batch_size, count * batch_size)


def fine_tuning(how: FineTune, images: int, judged: int) -> Pace:
    """The pace of fine-tuning on so many training images, judged on so many others each time.

    Judgements take JUDGED_SHARE of the time, within JUDGEMENTS.
    """
    batch_size = min(how.batch_size, images)
    steps = steps_for(images, batch_size) if how.steps == "auto" else how.steps
    affordable = int(JUDGED_SHARE * steps * batch_size / (FORWARD * judged))
    fewest, most = JUDGEMENTS
    return Pace(steps, min(max(fewest, min(most, affordable)), steps), batch_size)


def steps_for(images: int, batch_size: int) -> int:
    """How many steps suit so many training images: a pass over all of them or more, and many passes over few.

    As BiT-HyperRule does (Kolesnikov et al., Big Transfer, 2020: 500, 10,000 or 20,000 steps of 512 images, below and
    above 20,000 and 500,000 images), but for a CPU: fewer steps, and growing with the root of the number of images.
    """
    return max(FEWEST_STEPS, round(STEPS_BY_ROOT * sqrt(images)), ceil(images / batch_size))
