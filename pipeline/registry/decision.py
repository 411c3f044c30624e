"""What the gate has said of a version, and how the version keeps it: as tags, which every later command reads.

A decision is made once, by `gate`. A night only reads decisions, and so loads nothing that makes them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from pipeline.core.text import counted
from pipeline.params.gate import Gate

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
        from pipeline.evaluation.headlines import in_percent

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
