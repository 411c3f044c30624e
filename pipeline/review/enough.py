"""Whether enough images are judged, and what to do next, in words. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.text import named
from pipeline.evaluation.results import Interval

GOOD = 0.8  # lower end of the interval of balanced accuracy
HEADS_WITHOUT_GAIN = 3
GAIN = 0.01  # of balanced accuracy, that is worth another twenty images
LEAST_MEASURED = 60  # images of the fair draw, before no gain means anything


@dataclass(frozen=True, slots=True)
class Fitted:
    """A head that was fitted: on how many images, and how good it was."""

    judged: int
    measured: int  # images of the fair draw among them
    accuracy: Interval | None


@dataclass(frozen=True, slots=True)
class Advice:
    """What a person should know, in sentences."""

    enough: bool
    sentences: tuple[str, ...]


def advise(counts: Mapping[str, int], fitted: Sequence[Fitted], left: int, least: int) -> Advice:
    """Whether to go on. counts: images a class; fitted: all heads in their order; left: images that wait.

    least: images a class that a training needs (`validate.checks.few_images`).
    """
    if not counts:
        return Advice(False, ("Name what you see: type a label and press Enter.",))
    if len(counts) < 2:
        return Advice(False, ("One class so far. A model needs at least two: go on until you meet the second.",))
    said = [words] if (words := measured_in_words(fitted)) else []
    if few := {label: count for label, count in counts.items() if count < least}:
        lack = named(f"{label} ({count})" for label, count in sorted(few.items()))
        said.append(f"A training needs {least} images of each class; too few so far: {lack}.")
        if not left:
            said.append("Every image is judged: add images of these classes, or merge them with others.")
        return Advice(False, tuple(said))
    if (reason := _reason(fitted, left)) is None:
        return Advice(False, (*said, "Go on: every twenty judgements make the proposals better."))
    return Advice(True, (*said, reason))


def _reason(fitted: Sequence[Fitted], left: int) -> str | None:
    """Why it is enough; None: it is not."""
    if not left:
        return "Every image is judged: train."
    known = [one.accuracy for one in fitted if one.accuracy]
    if known and known[-1].low is not None and known[-1].low > GOOD:
        return f"That is enough to train: even the lower end of that lies above {100 * GOOD:.0f} %."
    latest, before = known[-HEADS_WITHOUT_GAIN:], known[:-HEADS_WITHOUT_GAIN]
    if before and fitted[-1].measured >= LEAST_MEASURED:
        best = max(one.value for one in latest)
        if best < max(one.value for one in before) + GAIN:
            return (
                f"The last {HEADS_WITHOUT_GAIN} times nothing was gained: these features tell no more. Train now; "
                "fine-tuning the whole network often gains what they cannot."
            )
    return None


def measured_in_words(fitted: Sequence[Fitted]) -> str:
    """How good the latest head is; empty while nobody can tell."""
    if not fitted or (accuracy := fitted[-1].accuracy) is None:
        return ""
    ends = (
        ""
        if accuracy.low is None or accuracy.high is None
        else f" ({100 * accuracy.low:.0f} to {100 * accuracy.high:.0f})"
    )
    share = f"{100 * accuracy.value:.0f} %{ends}"
    return (
        f"By {fitted[-1].measured} images drawn by chance, the proposals are right for {share} of a class's images, "
        "averaged over the classes."
    )
