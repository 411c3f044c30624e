"""`params.yaml` as typed, frozen objects. Reads that one file and nothing else."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import yaml
from pydantic import Field, ValidationError

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import PARAMS
from pipeline.core.shipped import is_checkout
from pipeline.core.text import without_password
from pipeline.core.yaml_values import parsed
from pipeline.params.collect import Collect
from pipeline.params.data import Audit, Images, Preprocess, Section, Validate
from pipeline.params.model import Augment, Compute, Embed, Evaluate, Model, Train, Tune
from pipeline.params.night import Batch, Privacy
from pipeline.params.notify import Notify
from pipeline.params.register import Register

HIDDEN = "…"
# Keys of earlier versions, and what to write instead.
RENAMED = {
    "train.outlier_percentile": "train.outlier_alarms, the share of false alarms: 0.05 where the percentile was 95",
    "train.fine_tune.epochs": "train.fine_tune.steps, steps of gradient descent: auto, or 0 for no fine-tuning",
}


class ParamsError(NightshiftError):
    """params.yaml is missing or has a wrong key, type or value; one line a fault."""


class Params(Section):
    """The whole of params.yaml."""

    seed: int = Field(ge=0, lt=2**31)
    images: Images
    compute: Compute
    validate_: Validate = Field(alias="validate")  # pydantic's own models have a method `validate`
    preprocess: Preprocess
    audit: Audit
    model: Model
    augment: Augment
    embed: Embed
    train: Train
    tune: Tune
    evaluate: Evaluate
    register_: Register = Field(alias="register")  # Python's ABCMeta has a method `register`
    batch: Batch
    privacy: Privacy = Privacy()
    notify: Notify = Notify()
    collect: Collect = Collect()  # earlier versions had none


def load_params(path: Path = PARAMS) -> Params:
    """Read `path`; raises ParamsError naming every wrong key, its value and what is allowed."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(
            f"{path} is not in {Path.cwd()}. Change to the folder of your Nightshift project (the one with dvc.yaml), "
            "or make a new one: `nightshift init FOLDER`."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} cannot be read: {error}.") from error
    try:
        values = parsed(text)
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {_words_of(error)}") from error
    if not isinstance(values, dict):
        holds = "is empty" if values is None else f"holds {str(values)[:50]!r}"
        raise ParamsError(
            f"{path} {holds}; it must hold sections such as `images:`, as in the params.yaml that Nightshift came with."
        )
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError("\n".join(_lines(path, values, error.errors()))) from error


def _words_of(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split()).replace(' in "<unicode string>",', ",")


def _lines(path: Path, values: object, faults: Sequence[Any]) -> Iterator[str]:
    """One line a fault; a key's new name is not missing where the old one still stands."""
    keys = {".".join(map(str, fault["loc"])) for fault in faults}
    known = {RENAMED[key].partition(",")[0] for key in keys & set(RENAMED)}
    return (
        _line(path, _key(fault["loc"], values), fault)
        for fault in faults
        if fault["type"] != "missing" or ".".join(map(str, fault["loc"])) not in known
    )


def _line(path: Path, key: str, fault: Any) -> str:
    """One fault as one line: the key, the value, what is allowed."""
    match fault["type"]:
        case "missing" if any(isinstance(part, int) for part in fault["loc"]):  # a part of a list, which has no default
            return f"{path}: {key} is missing."
        case "missing" if is_checkout(path.absolute().parent):
            return f"{path}: {key} is missing; add it again, as in the committed one: `git show HEAD:params.yaml`."
        case "missing":
            return f"{path}: {key} is missing; `nightshift upgrade --write` adds it, with its default."
        case "extra_forbidden" if key in RENAMED:
            return f"{path}: {key} is now {RENAMED[key]}."
        case "extra_forbidden":
            allowed = _keys_beside(fault["loc"])
            close = difflib.get_close_matches(str(fault["loc"][-1]), allowed, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            return f"{path}: {key} is not a known key; {hint}Allowed here: {', '.join(allowed)}."
        case "value_error":
            return f"{path}: {key}: {str(fault['ctx']['error']).replace(repr(fault['input']), _shown(fault))}."
        case _:
            message = fault["msg"][0].lower() + fault["msg"][1:]
            value = _shown(fault)
            return f"{path}: {key} is {value}; {message.replace('input should be', 'it must be')}{_as_yaml(fault)}."


def _as_yaml(fault: Any) -> str:
    """How to write what YAML reads as another type: the word `no`, the number 1e-3."""
    value = fault["input"]
    if fault["type"] == "string_type" and isinstance(value, bool | int | float):
        return " (in YAML a name such as yes, no, on, off or 007 needs quotes)"
    if fault["type"] == "float_type" and isinstance(value, str):
        with suppress(ValueError):
            return f" (in YAML: {yaml.safe_dump(float(value)).split()[0]})"
    return ""


def _shown(fault: Any) -> str:
    """The value that is wrong. Of what may be a camera's address nothing: a password may stand anywhere in it."""
    value = without_password(repr(fault["input"]))
    return HIDDEN if fault["loc"][0] == "collect" and "://" in value else value


def _key(location: Sequence[str | int], values: Any) -> str:
    """A key as people find it: a part of a list by its name, or by its number from 1 on where it has none."""
    parts = list[str]()
    for part in location:
        try:
            values = values[part]
        except (TypeError, LookupError):  # it is missing
            values = None
        name = values.get("name") if isinstance(part, int) and isinstance(values, dict) else None
        wanted = isinstance(name, str) and location[-1] != "name"  # a wrong name finds nothing
        parts.append(without_password(str(name)) if wanted else str(part + 1 if isinstance(part, int) else part))
    return ".".join(parts)


def is_section(keys: Sequence[str]) -> bool:
    """Whether the key behind these has keys that Nightshift names; those of all others are the person's."""
    section: Any = Params
    for key in keys:
        fields = getattr(section, "model_fields", {})
        section = next((one.annotation for name, one in fields.items() if key == (one.alias or name)), None)
    return hasattr(section, "model_fields")


def _keys_beside(location: tuple[str | int, ...]) -> list[str]:
    """The keys allowed in the section where the wrong key stands."""
    section: Any = Params
    for part in location[:-1]:
        if not hasattr(section, "model_fields"):  # a list, or a mapping whose names the user chooses
            section = get_args(section)[-1]
            continue
        section = next(field.annotation for name, field in section.model_fields.items() if part in (name, field.alias))
        if isinstance(section, UnionType):  # a section, or null
            section = get_args(section)[0]
    return [field.alias or name for name, field in section.model_fields.items()]
