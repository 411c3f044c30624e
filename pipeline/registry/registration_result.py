"""The result of a registration: a version and the gate's decision. Imports little, as the notices import it."""

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.core.errors import NightshiftError
from pipeline.registry.gate import Decision
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

    def require_passed(self) -> Registered:
        """The version. Raises Refused when the gate refused it."""
        if not self.decision.passed:
            raise Refused(self)
        return self.model

    def as_json(self) -> dict[str, Any]:
        """What reports/registration.json holds."""
        model, decision = self.model, self.decision
        found = {"name": model.name, "version": model.version, "run_id": model.run_id, "gate": decision.verdict}
        return found | asdict(decision)
