"""What stands beside a page of a night: the other pages and tables of it, its model's card, the project's reports."""

import shlex
from pathlib import Path

from pipeline.core.pages import REPORTS, Link, links_from
from pipeline.core.paths import DATA_REPORT, MODEL, MODEL_CARD_PAGE
from pipeline.model.contract import ContractError, read_contract
from pipeline.storage.folders import Folder

CARD = "model_card.html"  # beside predictions.csv, as the others
OWN = (
    ("Night", "morning.html"), ("Review", "review.html"), ("All answers (CSV)", "predictions.csv"),
    ("To correct (CSV)", "review.csv"),
)  # fmt: skip


def neighbours(output: Folder, page: str, contract_hash: str) -> list[Link]:
    """The links of the page `page` of the night in `output`.

    The project's reports are linked while they describe the night's model; those on data are always linked.
    """
    found = [Link(words, name) for words, name in OWN if name != page]
    if output.exists(CARD):
        found.append(Link("Model card", CARD))
    if not output.local:
        return found
    same = _is_current(contract_hash)
    reports = [(words, file) for words, file in REPORTS if file != MODEL_CARD_PAGE and (same or file == DATA_REPORT)]
    return found + links_from(output.local, reports)


def as_typed(output: Folder) -> str:
    """The night's folder as a person in the project's folder would name it in a command."""
    local, project = output.local, Path.cwd()
    if local and local.absolute().is_relative_to(project):
        return shlex.quote(str(local.absolute().relative_to(project)))
    return shlex.quote(str(output))


def _is_current(contract_hash: str) -> bool:
    try:
        return read_contract(MODEL).hash == contract_hash
    except (ContractError, OSError):
        return False
