"""The gate: whether a model may be used, from its metrics and the champion's on the same images. Runs no model."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.core.text import beside, counted, named, shown
from pipeline.evaluation import headlines
from pipeline.evaluation.results import TOO_FEW, Evaluation
from pipeline.params.gate import Gate
from pipeline.registry.comparison import Comparison, OfClass
from pipeline.registry.decision import Check, Compared, Decision

ROUNDING = 1e-9  # floating point: 0.90 - 0.88 must count as a loss of exactly 0.02
# Metrics that chance raises, the more the fewer the images: of a perfectly calibrated model too they are above 0
# (Roelofs et al., Mitigating Bias in Calibration Error Estimation, 2022). Their intervals allow for it.
RAISED_BY_CHANCE = frozenset({headlines.CALIBRATION})


@dataclass(frozen=True, slots=True)
class Contest:
    """The comparison with a champion on the same images."""

    version: int
    comparison: Comparison
    seen: int  # test images that it was trained on, which the comparison skips
    unreadable: int  # test images that its own rules cannot read, also skipped
    new_speed: float  # images/s, decoded and answered, measured in turns in one run
    champion_speed: float
    unknown_training: bool = False  # it was registered before training images were recorded


@dataclass(frozen=True, slots=True)
class Incomparable:
    """A champion that cannot be compared on the same images."""

    version: int
    reason: str


def decide(
    evaluation: Evaluation, export_difference: float, champion: Contest | Incomparable | None, gate: Gate,
    level: float,
) -> Decision:  # fmt: skip
    """The decision on a model.

    champion: None when there is none yet. level: of the intervals, e.g. 0.95; a p-value below 1 - level counts as
    beyond chance.
    """
    checks = [*_absolute(evaluation, export_difference, gate)]
    match champion:
        case None:
            return Decision((*checks,), "no other version in production")
        case Incomparable():
            against = f"version {champion.version} cannot be compared: {champion.reason}"
            return Decision((*checks,), against, f"it could not be compared with the champion: {champion.reason}")
        case Contest():
            found = champion.comparison
            compared = Compared(
                champion.version, found.images, found.accuracy.new, found.accuracy.champion,
                found.changed.p_value < 1 - level,
            )  # fmt: skip
            return Decision((*checks, *_relative(champion, gate, level)), _against(champion), compared=compared)


def _absolute(evaluation: Evaluation, export_difference: float, gate: Gate) -> Iterator[Check]:
    names = {one.name for one in headlines.METRICS}
    for limit, value in gate:
        bound, _, name = limit.partition("_")
        if name in names:
            yield _of_metric(evaluation, limit, name, value, is_least=bound == "min")
    yield Check(
        "max_export_difference",
        export_difference <= gate.max_export_difference,
        "the exported network differs from Keras by "
        f"{beside(export_difference, gate.max_export_difference, '.2g')} in a class probability",
        f"at most {gate.max_export_difference:g}",
    )


def _of_metric(evaluation: Evaluation, limit: str, name: str, bound: float, *, is_least: bool) -> Check:
    words, asked = name.replace("_", " "), f"at {'least' if is_least else 'most'} {bound:g}"
    if (found := evaluation.metrics.get(name)) is None:
        return Check(limit, False, f"{words} is not defined on the test images", asked)
    value = beside(found.value, bound)
    passed = found.value >= bound - ROUNDING if is_least else found.value <= bound + ROUNDING
    if name not in RAISED_BY_CHANCE:
        return Check(limit, passed, f"{words} on the test images is {value}", asked)
    between = f"{beside(found.ends[0], bound)}, {found.ends[1]:.3f}" if found.ends else TOO_FEW
    note = ""
    if found.value > bound + ROUNDING and (not found.ends or found.ends[0] <= bound):
        note = (
            f"The {words} is {value}, more than {bound:g}; {counted(evaluation.images, 'test image')} cannot tell "
            "whether that is chance, so the gate does not refuse it."
        )
    return Check(
        limit, passed or bool(note), f"{words} on the test images is {value} [{between}]",
        f"{asked}, or within chance", note,
    )  # fmt: skip


def _against(contest: Contest) -> str:
    found = contest.comparison
    words = f"version {contest.version}, on the same {found.images} test images"
    if found.units < found.images:
        words += f" of {found.units} groups"
    if contest.seen:
        words += f"; {contest.seen} that it was trained on are left out"
    if contest.unreadable:
        words += f"; {contest.unreadable} that it cannot read are left out"
    if contest.unknown_training:
        words += "; its training images are not recorded, so some of these may be among them"
    return words


def _relative(contest: Contest, gate: Gate, level: float) -> Iterator[Check]:
    found, rare = contest.comparison, 1 - level
    balanced = found.balanced_accuracy
    yield Check(
        "max_loss",
        balanced.value >= -gate.max_loss - ROUNDING,
        f"balanced accuracy is {balanced.new:.3f}, the champion's {balanced.champion:.3f} "
        f"(difference {beside(balanced.value, -gate.max_loss, '+.3f')} [{balanced.low:+.3f}, {balanced.high:+.3f}])",
        f"a loss of at most {gate.max_loss:g}",
    )
    changed = found.changed
    # Fewer right answers with a better balance between the classes do not count as a loss.
    worse = changed.lost > changed.gained and changed.p_value < rare and balanced.value < 0
    yield Check(
        "mcnemar",
        not worse,
        f"accuracy is {found.accuracy.new:.3f}, the champion's {found.accuracy.champion:.3f} (difference "
        f"{found.accuracy.value:+.3f} [{found.accuracy.low:+.3f}, {found.accuracy.high:+.3f}]; {changed.gained} gained,"
        f" {changed.lost} lost, p = {beside(changed.p_value, rare, '.2g')})",
        f"no loss beyond chance (p < {rare:g}) in accuracy and in balance",
    )
    # Many classes mean many tests: each class gets its part of `rare` (Bonferroni).
    rare_in_class = rare / len(found.classes)
    lost = [
        one
        for one in found.classes
        if one.loss > gate.max_class_loss + ROUNDING and one.changed.p_value < rare_in_class
    ]
    worst = max(found.classes, key=lambda one: one.loss)
    yield Check(
        "max_class_loss",
        not lost,
        _of_class(max(lost, key=lambda one: one.loss) if lost else worst, gate.max_class_loss, rare_in_class)
        + (f"; lost are {named(one.label for one in lost)}" if len(lost) > 1 else ""),
        f"no class's recall lower by more than {gate.max_class_loss:g}, beyond chance (p < {rare:g} / "
        f"{len(found.classes)} classes)",
    )
    error = found.calibration
    yield Check(
        "max_calibration_loss",
        error.value <= gate.max_calibration_loss + ROUNDING or error.low <= 0,
        f"expected calibration error is {error.new:.3f}, the champion's {error.champion:.3f} "
        f"(difference {beside(error.value, gate.max_calibration_loss, '+.3f')} "
        f"[{beside(error.low, 0, '+.3f')}, {error.high:+.3f}])",
        f"higher by at most {gate.max_calibration_loss:g}, or within chance",
    )
    slower = contest.champion_speed / contest.new_speed
    times = f"{beside(slower, gate.max_slowdown, '.2f')} times slower"
    yield Check(
        "max_slowdown",
        slower <= gate.max_slowdown,
        f"{contest.new_speed:.0f} images/s, the champion {contest.champion_speed:.0f}: "
        + (times if slower >= 1 else f"{1 / slower:.2f} times faster"),
        f"at most {gate.max_slowdown:g} times slower",
    )


def _of_class(one: OfClass, max_loss: float, rare: float) -> str:
    return (
        f"recall of {shown(one.label)} is {one.new:.3f}, the champion's {one.champion:.3f} "
        f"(difference {beside(-one.loss, -max_loss, '+.3f')}; {one.changed.gained} gained, {one.changed.lost} lost, "
        f"p = {beside(one.changed.p_value, rare, '.2g')})"
    )
