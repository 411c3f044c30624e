"""The files that a project begins with: a checkout's own are the one definition, and an installation has copies."""

from importlib import metadata
from pathlib import Path

from pipeline.core.code import ROOT
from pipeline.core.errors import NightshiftError

PARAMS_YAML, DVC_YAML, PREFECT_YAML = "params.yaml", "dvc.yaml", "prefect.yaml"
IGNORED = (".gitignore", ".dvcignore", "data/.gitignore", "models/.gitignore", "reports/.gitignore")
ATTRIBUTES = ".gitattributes"  # how git merges what two people have judged
SHIPPED = (PARAMS_YAML, DVC_YAML, PREFECT_YAML, *IGNORED, ATTRIBUTES)
INSTALLED = "share/nightshift"  # where an installation has them, below the environment's folder


def shipped(name: str) -> str:
    """The text of one of SHIPPED, as this version of Nightshift has it."""
    file = next((place for place in _places(name) if place.is_file()), None)
    if file is None:
        raise NightshiftError(f"This installation of Nightshift in {ROOT} lacks its {name}. Install it again with pip.")
    return file.read_text(encoding="utf-8")


def _places(name: str) -> list[Path]:
    if (ROOT / DVC_YAML).is_file():
        return [ROOT / name]
    files = metadata.files("nightshift") or []
    installed = [Path(str(found.locate())) for found in files if found.match(f"{INSTALLED}/{name}")]
    return [*installed, ROOT / INSTALLED / name]  # the last one after `pip install --target`, whose list names another


def is_checkout(folder: Path) -> bool:
    """Whether this is a clone of Nightshift's source, which is a project too, but whose stages run its own code."""
    return (folder / "pipeline/core/code.py").is_file()
