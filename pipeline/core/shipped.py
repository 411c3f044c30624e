"""The files that a project begins with: a checkout's own are the one definition, and the wheel has copies of them."""

from pathlib import Path

from pipeline.core.code import ROOT

PARAMS_YAML, DVC_YAML, PREFECT_YAML = "params.yaml", "dvc.yaml", "prefect.yaml"
IGNORED = (".gitignore", ".dvcignore", "data/.gitignore", "models/.gitignore", "reports/.gitignore")
SHIPPED = (PARAMS_YAML, DVC_YAML, PREFECT_YAML, *IGNORED)
IN_WHEEL = "pipeline/template"  # where setup.py puts them


def shipped(name: str) -> str:
    """The text of one of SHIPPED, as this version of Nightshift has it."""
    copies = ROOT / IN_WHEEL
    return ((copies if copies.is_dir() else ROOT) / name).read_text(encoding="utf-8")


def is_checkout(folder: Path) -> bool:
    """Whether this is a clone of Nightshift's source, which is a project too, but whose stages run its own code."""
    return (folder / "pipeline/core/code.py").is_file()
