"""The model of the last training in this folder, and which version it became. Asks no store."""

from collections.abc import Iterable

from pipeline.core.paths import MODEL
from pipeline.model.contract import CONTRACT, read_contract
from pipeline.registry.runs import CONTRACT_TAG
from pipeline.registry.versions import Registered


def is_here() -> bool:
    """Whether a training has left a model in this folder."""
    return (MODEL / CONTRACT).is_file()


def version_of(every: Iterable[Registered]) -> Registered | None:
    """The first of these versions that is this model; None: not registered. Raises ContractError for a damaged one."""
    found = read_contract(MODEL).hash
    return min((one for one in every if one.tags.get(CONTRACT_TAG) == found), key=lambda one: one.version, default=None)
