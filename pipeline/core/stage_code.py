"""`code.yaml`: the code that a project's stages follow, where it is an installed package and not files of the project.

`dvc.yaml` of such a project names one line of it for each stage, as a parameter. Commands bring it up to date before
they ask DVC what has changed. DVC alone cannot know of an upgrade, so a stage refuses to run by other code than named.
"""

import os
from importlib.metadata import version
from pathlib import Path

import yaml

from pipeline.core.code import code_of
from pipeline.core.errors import NightshiftError
from pipeline.core.shipped import DVC_YAML, shipped
from pipeline.core.yaml_values import parsed

CODE = Path("code.yaml")
HEAD = """\
# Which code the stages of dvc.yaml follow: a hash for each, of what Nightshift (here %s) does there. An upgrade changes
# those whose results it may change. Nightshift's commands write this file; commit it together with dvc.lock.
"""


class StaleCodeError(NightshiftError):
    """A stage was about to run by other code than code.yaml, and so dvc.lock, would say."""


def code_of_stages(*asked: str) -> dict[str, str]:
    """The code of each stage that this version of Nightshift has, or of those asked for."""
    stages = parsed(shipped(DVC_YAML))["stages"]
    return {name: _code_of(name, stage["deps"]) for name, stage in stages.items() if not asked or name in asked}


def _code_of(stage: str, deps: list[str]) -> str:
    named = (dep.removesuffix(".py") for dep in deps if dep.startswith("pipeline/") and dep.endswith(".py"))
    return code_of(f"pipeline.{stage}", *(name.replace("/", ".") for name in named))


def changed_stages(*asked: str) -> list[str]:
    """The stages, or those of them asked for, whose code differs from what code.yaml says.

    None in a project that does without that file.
    """
    if not _follows_it():
        return []
    known = _known()
    return [name for name, code in code_of_stages(*asked).items() if known.get(name) != code]


def write_code(folder: Path = Path()) -> None:
    """Write code.yaml into a project, whole."""
    beside = folder / f".{CODE}.tmp"
    beside.write_text(
        HEAD % version("nightshift") + yaml.safe_dump(code_of_stages(), sort_keys=False, width=120), encoding="utf-8"
    )
    beside.replace(folder / CODE)


def follow_package() -> None:
    """Bring code.yaml up to date, so that DVC sees what an upgrade has changed; call it before DVC is asked."""
    if changed_stages():
        write_code()


def require_known_code() -> None:
    """Raise StaleCodeError when DVC runs a stage by code that code.yaml does not name. Without DVC any will do."""
    stage = os.environ.get("DVC_STAGE", "").rpartition(":")[2]
    if stage and changed_stages(stage):
        raise StaleCodeError(
            f"Nightshift was upgraded since {CODE} was written, and its stage {stage} does other work now. Nothing was "
            "run. `nightshift upgrade --write` says what is new and brings the project up to date; then run the same "
            "command again. (`nightshift train` does the latter by itself.)"
        )


def _follows_it() -> bool:
    try:
        return str(CODE) in Path(DVC_YAML).read_text(encoding="utf-8")
    except OSError:
        return False


def _known() -> dict[str, str]:
    try:
        found = parsed(CODE.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}
