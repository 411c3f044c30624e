"""The gate: whether a model may be used, from its metrics and the champion's on the same images. Runs no model.

A decision is made once. It is stored as tags on the model's version, and read back from them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from pipeline.core.text import beside, counted, named, shown
from pipeline.evaluation import headlines
from pipeline.evaluation.headlines import in_percent
from pipeline.evaluation.results import TOO_FEW, Evaluation
from pipeline.params.gate import Gate

if TYPE_CHECKING:  # slow to import, and a night only reads decisions
    from pipeline.registry.comparison import Comparison, OfClass

GATE_TAG = "nightshift.gate"  # passed | refused
DECISION_TAG = "nightshift.decision"  # the whole decision as JSON, with the limits under which it was made
# Earlier releases had a tag for each part, and `nightshift.gate.<check>` for each check.
LIMITS_TAG = "nightshift.gate_limits"
AGAINST_TAG = "nightshift.gate_against"  # the champion it was compared with, in words
CERTIFICATE_TAG = (
    "nightshift.certificate"  # whether the promise about predictions with status ok is certified, in words
)
PERSON_TAG = "nightshift.gate_needs_a_person"  # why it is not promoted automatically
PASSED, REFUSED = "passed", "refused"
ROUNDING = 1e-9  # floating point: 0.90 - 0.88 must count as a loss of exactly 0.02
# Metrics that chance raises, the more the fewer the images: of a perfectly calibrated model too they are above 0
# (Roelofs et al., Mitigating Bias in Calibration Error Estimation, 2022). Their intervals allow for it.
RAISED_BY_CHANCE = frozenset({headlines.CALIBRATION})


@dataclass(frozen=True, slots=True)
class Check:
    """One limit, and the value found."""

    name: str  # of the limit in `register.gate`, or of the test
    passed: bool
    found: str
    asked: str
    note: str = ""  # a sentence: what the images cannot tell, where it passed for that

    @property
    def words(self) -> str:
        """For a message."""
        return f"{self.name}: {self.found}; asked for: {self.asked}"


@dataclass(frozen=True, slots=True)
class Compared:
    """The shares of right answers of a model and of the champion on the same images, 0 to 1."""

    version: int  # the champion's
    images: int
    new: float
    champion: float
    beyond_chance: bool  # whether chance does not explain the difference (McNemar's test)

    def words_for(self, version: int) -> str:
        """Which of the two is better, in a sentence."""
        return (
            f"Version {version} names {in_percent(self.new)} right, version {self.version} "
            f"{in_percent(self.champion)} of the same {counted(self.images, 'image')}: {self._judged}."
        )

    @property
    def _judged(self) -> str:
        if self.new == self.champion:
            return "neither is better"
        better = "better" if self.new > self.champion else "worse"
        return f"it is {better}, beyond chance" if self.beyond_chance else f"too few to call it {better}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says of one model, and why."""

    checks: tuple[Check, ...]
    against: str  # the champion that it was compared with, or why there was no comparison
    needs_a_person: str = ""  # why it must not be promoted automatically, though it passed
    certificate: str = ""  # of the model's contract, in words; no check
    compared: Compared | None = None  # None: there was no comparison, or an earlier version decided

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def verdict(self) -> str:
        """`passed` or `refused`."""
        return PASSED if self.passed else REFUSED

    @property
    def reasons(self) -> tuple[str, ...]:
        """One line for each failed check."""
        return tuple(check.words for check in self.checks if not check.passed)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the checks that passed, one sentence each."""
        return tuple(check.note for check in self.checks if check.note)


_DECISION = TypeAdapter(Decision)


@dataclass(frozen=True, slots=True)
class Contest:
    """The comparison with a champion on the same images."""

    version: int
    comparison: "Comparison"
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


def _of_class(one: "OfClass", max_loss: float, rare: float) -> str:
    return (
        f"recall of {shown(one.label)} is {one.new:.3f}, the champion's {one.champion:.3f} "
        f"(difference {beside(-one.loss, -max_loss, '+.3f')}; {one.changed.gained} gained, {one.changed.lost} lost, "
        f"p = {beside(one.changed.p_value, rare, '.2g')})"
    )


def to_tags(decision: Decision, gate: Gate) -> dict[str, str]:
    """The decision under these limits as tags of a version."""
    text = json.dumps({**asdict(decision), "limits": gate.model_dump()}, ensure_ascii=False)
    return {GATE_TAG: decision.verdict, DECISION_TAG: text}


def from_tags(tags: Mapping[str, str]) -> Decision | None:
    """The decision that `to_tags` wrote, here or in an earlier release; None where there is none."""
    if DECISION_TAG in tags:
        return decision_in(json.loads(tags[DECISION_TAG]))
    return _of_earlier_release(tags) if GATE_TAG in tags else None


def decision_in(found: Mapping[str, object]) -> Decision:
    """The decision among the fields of a JSON object. Raises ValueError where one is missing or of another type."""
    return _DECISION.validate_python(found)


def limits_changed(tags: Mapping[str, str], gate: Gate) -> bool:
    """Whether the decision in these tags was made under other limits."""
    text = tags.get(LIMITS_TAG, "null")
    limits = json.loads(tags[DECISION_TAG])["limits"] if DECISION_TAG in tags else json.loads(text)
    return bool(limits != gate.model_dump(mode="json"))


def earlier_tags(tags: Mapping[str, str]) -> list[str]:
    """Names of the tags that an earlier release wrote in place of DECISION_TAG."""
    parts = (LIMITS_TAG, AGAINST_TAG, CERTIFICATE_TAG, PERSON_TAG)
    return [name for name in tags if name in parts or name.startswith(f"{GATE_TAG}.")]


def _of_earlier_release(tags: Mapping[str, str]) -> Decision:
    checks = []
    for name, value in tags.items():
        if name.startswith(f"{GATE_TAG}."):
            verdict, _, words = value.partition(": ")
            found, _, asked = words.rpartition("; asked for: ")
            checks.append(Check(name.removeprefix(f"{GATE_TAG}."), verdict == PASSED, found, asked))
    return Decision(tuple(checks), tags.get(AGAINST_TAG, ""), tags.get(PERSON_TAG, ""), tags.get(CERTIFICATE_TAG, ""))


def to_markdown(decision: Decision) -> str:
    """The decision as a page, for MLflow and for Prefect."""
    lines = [
        f"**The gate: {decision.verdict}.** Compared with: {decision.against}.",
        *([f"A person has to promote it: {decision.needs_a_person}."] if decision.needs_a_person else []),
        *decision.notes,
        *([decision.certificate] if decision.certificate else []),
        "",
        "| check | | found | asked for |",
        "|---|---|---|---|",
    ]
    for check in decision.checks:
        cells = (check.name, PASSED if check.passed else f"**{REFUSED}**", check.found, check.asked)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)
