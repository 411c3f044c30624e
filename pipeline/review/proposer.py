"""The model whose answers are reviewed: its folder, for the look of images, its neighbours and what it looked at."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.paths import MODEL
from pipeline.model.contract import CONTRACT, Contract, read_contract
from pipeline.params.data import Images

FETCHED = Path(".nightshift/models")  # of versions that are not the last training's; may be deleted


@dataclass(frozen=True, slots=True)
class Proposer:
    """A model at hand."""

    folder: Path
    images: Images
    class_names: tuple[str, ...]


def proposer(name: str, version: str, contract_hash: str) -> Proposer | None:
    """The model with this contract: of the last training, of an earlier review, or fetched; None: it is nowhere."""
    for folder in (MODEL, kept := FETCHED / contract_hash):
        if (found := contract_in(folder)) and found.hash == contract_hash:
            return _of(folder, found)
    try:
        return _fetched(name, int(version), kept)
    except (NightshiftError, OSError, ValueError) as error:
        log.warning("Without neighbours and heat maps: %s version %s could not be fetched (%s).", name, version, error)
        return None


def contract_in(folder: Path) -> Contract | None:
    """The contract of the model in `folder`; None without one that can be read."""
    if not (folder / CONTRACT).is_file():
        return None
    try:
        return read_contract(folder)
    except NightshiftError:
        return None


def _of(folder: Path, contract: Contract) -> Proposer:
    return Proposer(folder, contract.images, contract.class_names)


def _fetched(name: str, version: int, kept: Path) -> Proposer:
    from pipeline.registry import champions, versions
    from pipeline.storage.files import replacing

    with replacing(kept) as beside:
        beside.mkdir()
        versions.fetch_model(champions.numbered(name, version), beside / "fetched").rename(beside / "model")
        for file in (beside / "model").iterdir():
            file.rename(beside / file.name)
        (beside / "model").rmdir()
    return _of(kept, read_contract(kept))
