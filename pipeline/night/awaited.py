"""Labels that `notify.when` waits for and that no answer has: a slip would be a message that never comes."""

from collections.abc import Iterable, Sequence

from pipeline.core.paths import MODEL
from pipeline.core.text import shown
from pipeline.data.labels import meant, sameness
from pipeline.model.contract import ContractError, read_contract
from pipeline.params.notify import When


def unknown_labels(rules: Sequence[When], class_names: Iterable[str], model: str) -> list[str]:
    """A sentence for each label of the rules that a model does not know. model: in words."""
    classes = [*class_names]
    known = {*map(sameness, classes)}
    asked = dict.fromkeys(rule.label for rule in rules if sameness(rule.label) not in known)
    return [
        f"notify.when waits for {shown(label)}, a label that {model} does not know: "
        + (f"did you mean {shown(near)}?" if (near := meant(label, classes)) else "correct it in params.yaml.")
        for label in asked
    ]


def unknown_to_the_newest(rules: Sequence[When]) -> list[str]:
    """As `unknown_labels`, of the model of the last training here; nothing where there is none."""
    try:
        return unknown_labels(rules, read_contract(MODEL).class_names, f"the model in {MODEL}") if rules else []
    except (ContractError, OSError):
        return []
