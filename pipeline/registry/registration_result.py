"""The result of a registration: a version and the gate's decision. Imports little, as the notices import it."""

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.core.errors import NightshiftError
from pipeline.registry.decision import Decision
from pipeline.registry.versions import Registered


class Refused(NightshiftError):  # noqa: N818 - a decision, not a fault
    """The gate refused the model; the message has the reasons."""

    def __init__(self, registration: "Registration") -> None:
        """Keeps the whole registration, to show it."""
        model = registration.model
        super().__init__(
            "\n  ".join(
                [
                    f"The gate refused {model.name} version {model.version}:",
                    *registration.decision.reasons,
                    f"It is in MLflow (run {model.run_id}) and gets no alias. "
                    f"`nightshift promote {model.version} --force` makes it the champion anyway.",
                ]
            )
        )
        self.registration = registration


@dataclass(frozen=True, slots=True)
class Registration:
    """A version and the gate's decision."""

    model: Registered
    decision: Decision
    champion: int | None = None  # the version that nights use now
    accuracy: str = ""  # on the test images, in words

    @property
    def sentence(self) -> str:
        """Whether it is better than the champion until now, in a sentence."""
        version, decision = self.model.version, self.decision
        if decision.compared:
            return decision.compared.words_for(version)
        return f"Version {version} names {self.accuracy or 'its test images'} right. Compared with: {decision.against}."

    @property
    def state(self) -> str:
        """What the gate said, and which version nights use, in a sentence."""
        champion, version = self.champion, self.model.version
        said = "It passed the gate" if self.decision.passed else "The gate refused it"
        if champion is None:
            return f"{said}, and there is no champion."
        if champion == version:
            passed = "and" if self.decision.passed else "but"
            return f"{said}, {passed} it is the champion: nights use it."
        return f"{said}. The champion is version {champion}: nights use that."

    @property
    def nights(self) -> str:
        """What the nights do until a person acts, in a sentence."""
        if self.champion is None:
            return "No night can run before a version is the champion."
        return f"Nights need nothing: they use version {self.champion}."

    @property
    def next_steps(self) -> list[str]:
        """What to do now, one sentence each, with commands between backticks."""
        version = self.model.version
        if self.champion == version:
            return ["`nightshift classify FOLDER` answers for a folder of images."]
        if not self.decision.passed:
            return [
                f"{self.nights} Look at the evaluation: more or better labelled images help most.",
                f"`nightshift promote {version} --force` makes it the champion anyway.",
            ]
        if (compared := self.decision.compared) and compared.new <= compared.champion:
            return [
                f"{self.nights} No gain was found, so that one can stay.",
                f"`nightshift promote {version}` makes this one the champion all the same.",
            ]
        steps = [f"`nightshift promote {version}` makes it the champion. {self.nights}"]
        if self.champion is not None:
            steps.append("To see first where the two differ on your images: `nightshift classify FOLDER --shadow`.")
        return steps

    def require_passed(self) -> Registered:
        """The version. Raises Refused when the gate refused it."""
        if not self.decision.passed:
            raise Refused(self)
        return self.model

    def as_json(self) -> dict[str, Any]:
        """What reports/registration.json holds."""
        model, decision = self.model, self.decision
        found = {"name": model.name, "version": model.version, "run_id": model.run_id, "gate": decision.verdict}
        return found | asdict(decision) | {"champion": self.champion, "accuracy": self.accuracy}
