"""The files that a project begins with: a checkout's own are the one definition, and an installation has copies."""

from importlib import metadata
from pathlib import Path

from pipeline.core.code import ROOT

PARAMS_YAML, DVC_YAML, PREFECT_YAML = "params.yaml", "dvc.yaml", "prefect.yaml"
IGNORED = (".gitignore", ".dvcignore", "data/.gitignore", "models/.gitignore", "reports/.gitignore")
SHIPPED = (PARAMS_YAML, DVC_YAML, PREFECT_YAML, *IGNORED)
INSTALLED = "share/nightshift"  # where an installation has them, below the environment's folder


def shipped(name: str) -> str:
    """The text of one of SHIPPED, as this version of Nightshift has it."""
    file = ROOT / name
    if not (ROOT / DVC_YAML).is_file():
        files = metadata.files("nightshift") or []
        [file] = [Path(str(found.locate())) for found in files if found.match(f"{INSTALLED}/{name}")]
    return file.read_text(encoding="utf-8")


def is_checkout(folder: Path) -> bool:
    """Whether this is a clone of Nightshift's source, which is a project too, but whose stages run its own code."""
    return (folder / "pipeline/core/code.py").is_file()
