"""What this version of Nightshift has for a project's files and they lack; and, if asked, putting it into them.

A person's values, comments, stages and schedules stay. Only what Nightshift alone decides is replaced: the stages that
it brings, and where its flows are found.
"""

import difflib
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from pipeline.core.shipped import ATTRIBUTES, DVC_YAML, PARAMS_YAML, PREFECT_YAML, is_checkout, shipped
from pipeline.core.stage_code import changed_stages, write_code
from pipeline.params.file import RENAMED, is_section
from pipeline.project.git import ProjectError
from pipeline.project.new import is_project
from pipeline.project.stages import of_installed
from pipeline.project.yaml_text import Keys, block, with_added, with_block, with_item, without_block


@dataclass(frozen=True, slots=True)
class Change:
    """One file, as it is and as it would be."""

    name: str
    before: str
    after: str
    words: list[str]  # a line for each thing that is new, or that a person must decide

    def lines(self) -> list[str]:
        """The lines that come, `+`, and those that go, `-`."""
        compared = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), n=0, lineterm="")
        return [line for line in compared if not line.startswith(("---", "+++", "@@"))]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What this version changes in a project."""

    changes: list[Change]
    stages: list[str]  # those whose code is another than when they ran

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.stages) or any(change.after != change.before for change in self.changes)


def look() -> Upgrade:
    """Compare the project in this folder with the installed version. Raises ProjectError where that is not possible."""
    here = Path.cwd()
    if is_checkout(here):
        raise ProjectError(
            f"{here} is a clone of Nightshift's source, and its stages run the code in it: `git pull` brings a newer "
            "version with its params.yaml. Projects made by `nightshift init FOLDER` follow the installed version."
        )
    if not is_project(here):
        raise ProjectError(
            f"{here} is not a Nightshift project: it has no {PARAMS_YAML} and {DVC_YAML}. Change to the project's "
            "folder, or make a new one: `nightshift init FOLDER`."
        )
    found = [
        of_params(_read(PARAMS_YAML), shipped(PARAMS_YAML)),
        of_stages(_read(DVC_YAML), of_installed(shipped(DVC_YAML))),
    ]
    if Path(PREFECT_YAML).is_file():
        found.append(of_schedules(_read(PREFECT_YAML), shipped(PREFECT_YAML)))
    found.append(of_merging(_read(ATTRIBUTES) if Path(ATTRIBUTES).is_file() else "", shipped(ATTRIBUTES)))
    return Upgrade([change for change in found if change.words], changed_stages())


def write(upgrade: Upgrade) -> list[str]:
    """Write what `look` found; returns a line for each file that says where its old text is."""
    said = []
    for change in upgrade.changes:
        if change.after != change.before:
            file = Path(change.name)
            said.append(f"{file}: written; {_kept(file)}." if file.exists() else f"{file}: written; it is new.")
            beside = file.with_name(f".{file.name}.tmp")
            beside.write_text(change.after, encoding="utf-8", newline="")
            beside.replace(file)
    if changed_stages():
        write_code()
    return said


def of_params(text: str, ours: str) -> Change:
    """params.yaml: new keys with their comments and defaults, renamed ones as comments."""
    values, defaults = _values(PARAMS_YAML, text), yaml.safe_load(ours)
    words, after, expected = [], text, values
    for name, instead in RENAMED.items():
        keys = tuple(name.split("."))
        if _has(values, keys):
            words.append(f"{name} is now {instead}.")
            expected = _changed(expected, keys)
            with suppress(KeyError):  # then it is not what is expected, below
                after = without_block(after, keys, f"{name} is now {instead}")
    for keys in _missing(defaults, expected):
        value = _at(defaults, keys)
        words.append(f"new: {'.'.join(keys)}" + ("" if isinstance(value, dict) else f", by default {_shown(value)}"))
        expected = _changed(expected, keys, value)
        with suppress(KeyError):
            after = with_added(after, keys, ours)
    unknown = map(".".join, _missing(expected, defaults))
    words += [f"{name} is not a parameter of this version. Correct its name, or delete it." for name in unknown]
    if not _says(after, expected):
        lines = "\n  ".join(words)
        raise ProjectError(
            f"{PARAMS_YAML} is laid out in a way that `upgrade` cannot change without harm. Nothing was changed. Write "
            f"into it by hand:\n  {lines}"
        )
    return Change(PARAMS_YAML, text, after, words)


def of_stages(text: str, ours: str) -> Change:
    """dvc.yaml: Nightshift's stages as this version has them; the person's own stay."""
    theirs, stages = _values(DVC_YAML, text).get("stages") or {}, yaml.safe_load(ours)["stages"]
    words, after = [], text
    for name, stage in stages.items():
        keys = ("stages", name)
        if name not in theirs:
            words.append(f"new: the stage {name}")
            after = with_added(after, keys, ours)
        elif theirs[name] != stage:
            words.append(f"the stage {name} has other dependencies, parameters, outputs or another command")
            after = with_block(after, keys, block(ours, keys))
    return Change(DVC_YAML, text, after, words)


def of_schedules(text: str, ours: str) -> Change:
    """prefect.yaml: new deployments, and where the flows are found; the person's schedules stay."""
    deployments = yaml.safe_load(ours)["deployments"]
    known = {one.get("name"): one for one in _values(PREFECT_YAML, text).get("deployments") or []}
    words, after = [], text
    for number, one in enumerate(deployments):
        name, flow = one["name"], one["entrypoint"]
        if name not in known:
            words.append(f"new: the deployment {name}")
            after = with_item(after, "deployments", ours, number)
        elif (before := known[name].get("entrypoint")) and before != flow:
            words.append(f"the flow of the deployment {name} is now {flow}, before {before}")
            after = after.replace(f"entrypoint: {before}\n", f"entrypoint: {flow}\n")
    return Change(PREFECT_YAML, text, after, words)


def of_merging(text: str, ours: str) -> Change:
    """.gitattributes: how git merges a project's files; the person's own lines stay."""
    lacking = [line for line in ours.splitlines() if line not in text.splitlines()]
    rules = [line for line in lacking if not line.startswith("#")]
    end = "" if not text or text.endswith("\n") else "\n"
    after = text + end + "\n".join([*lacking, ""]) if rules else text
    return Change(ATTRIBUTES, text, after, [f"new: how git merges {rule.split()[0]}" for rule in rules])


def _read(name: str) -> str:
    try:
        return Path(name).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProjectError(f"{name} is not UTF-8: {error}. Save it as UTF-8; nothing was changed.") from None


def _values(name: str, text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ProjectError(f"{name} is not valid YAML; nothing was changed: {' '.join(str(error).split())}") from None
    return found if isinstance(found, dict) else {}


def _says(text: str, expected: Mapping[str, Any]) -> bool:
    try:
        return bool(yaml.safe_load(text) == expected)
    except yaml.YAMLError:
        return False


def _missing(these: Mapping[str, Any], there: Mapping[str, Any], path: Keys = ()) -> Iterator[Keys]:
    """The keys of `these`, from the outside, that are not `there`; without those that a person chooses."""
    for key, value in these.items():
        keys, other = (*path, key), there.get(key)
        if key not in there:
            yield keys
        elif isinstance(value, dict) and is_section(keys) and isinstance(other, dict):
            yield from _missing(value, other, keys)


def _has(values: Any, keys: Keys) -> bool:
    with suppress(KeyError, TypeError):
        _at(values, keys)
        return True
    return False


def _at(values: Any, keys: Keys) -> Any:
    for key in keys:
        values = values[key]
    return values


GONE = object()


def _changed(values: Mapping[str, Any], keys: Keys, value: Any = GONE) -> dict[str, Any]:
    """`values` with another value at `keys`, or without it."""
    key, *inside = keys
    if inside:
        return {**values, key: _changed(values[key], tuple(inside), value)}
    return {**{name: one for name, one in values.items() if name != key}, **({} if value is GONE else {key: value})}


def _shown(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")


def _kept(file: Path) -> str:
    """Where the file's present text can be found once it is replaced; where it is nowhere else, beside it."""
    asked = ["git", "diff", "--quiet", "HEAD", "--", str(file)], ["git", "ls-files", "--error-unmatch", str(file)]
    with suppress(OSError):
        if not any(subprocess.run(words, capture_output=True, check=False).returncode for words in asked):
            return f"git has the one before (`git diff {file}`)"
    copy = next(one for number in count(1) if not (one := file.with_name(f"{file.name}.old{number}")).exists())
    copy.write_bytes(file.read_bytes())
    return f"the one before is {copy}"
