"""What a search may vary: the ranges of params.yaml as distributions; parameters with other values. Runs nothing."""

import difflib
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from pipeline.params.data import Section
from pipeline.params.file import Params, ParamsError
from pipeline.params.model import Range

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Mode = Literal["head", "fine_tune", "scratch"]  # what a trial fits; the name of its last phase too
Values = dict[str, Any]  # dotted names of parameters, and what they are

SHARED = ("train.class_weights", "train.loss", "train.focal_gamma", "train.label_smoothing", "train.monitor")
TAKE_PART: dict[Mode, tuple[str, ...]] = {  # names, and beginnings of names that end in a dot
    "head": (*SHARED, "train.head."),
    "fine_tune": (*SHARED, "train.head.", "train.fine_tune.", "augment."),
    "scratch": (*SHARED, "train.scratch.", "augment."),
}
DIGITS = 3  # significant digits of a tried number, so that params.yaml stays readable


def searched(params: Params, mode: Mode) -> dict[str, "BaseDistribution"]:
    """The distribution of each parameter of `tune.ranges` that matters to trials of `mode`.

    Raises ParamsError for an unknown parameter, for one that no training uses, for values that the parameter cannot
    have, and for a range without the present value.
    """
    known = _leaves(Params)
    found = {}
    for name, of_name in params.tune.ranges.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise ParamsError(
                f"params.yaml: tune.ranges: {name} is not a valid parameter; "
                + (f"did you mean {close[0]}?" if close else "give its whole name, e.g. train.head.learning_rate.")
            )
        if not any(_takes_part(name, one) for one in TAKE_PART):
            raise ParamsError(
                f"params.yaml: tune.ranges: {name} cannot be searched: trials vary how a model learns, not its "
                f"images or how it is evaluated. Valid names are {_spoken(SHARED)}, train.head.*, "
                "train.fine_tune.*, train.scratch.* and augment.*."
            )
        distribution = _distribution(name, of_name, known[name])
        _check_values(params, name, of_name)
        if _takes_part(name, mode):
            _check_present(name, value_of(params, name), of_name, distribution)
            found[name] = distribution
    if mode == "fine_tune" and params.embed.views and any(name.startswith("augment.") for name in found):
        raise ParamsError(
            "params.yaml: tune.ranges: augment.* cannot be searched while embed.views is above 0: the features of the "
            "views are made before training. Set embed.views to 0, or take augment.* out of tune.ranges."
        )
    if not found:
        wanted = _spoken(tuple(f"{part}*" if part.endswith(".") else part for part in TAKE_PART[mode]))
        raise ParamsError(
            f"params.yaml: tune.ranges has no parameter that these trials use. Add a range for one of: {wanted}."
        )
    return found


def without_part(params: Params, mode: Mode) -> list[str]:
    """The names in `tune.ranges` that trials of `mode` do not depend on."""
    return [name for name in params.tune.ranges if not _takes_part(name, mode)]


def value_of(params: Params, name: str) -> Any:
    """What the parameter `name`, as `train.head.dropout`, is now."""
    found: Any = params.model_dump(mode="json", by_alias=True)
    for part in name.split("."):
        found = found[part]
    return found


def with_values(params: Params, values: Values) -> Params:
    """The parameters with some values replaced. Raises pydantic's ValidationError when one is not allowed."""
    changed = params.model_dump(mode="json", by_alias=True)
    for name, value in values.items():
        *sections, last = name.split(".")
        section = changed
        for part in sections:
            section = section[part]
        section[last] = value
    return Params.model_validate(changed)


def rounded(value: Any, of_name: Range) -> Any:
    """A drawn value as it is tried and, perhaps, written: a real number to three digits, within its range."""
    if not isinstance(value, float) or of_name.low is None or of_name.high is None:
        return value
    return min(max(float(f"{value:.{DIGITS}g}"), of_name.low), of_name.high)


def _takes_part(name: str, mode: Mode) -> bool:
    return any(name.startswith(part) if part.endswith(".") else name == part for part in TAKE_PART[mode])


def _leaves(section: type[Section], prefix: str = "") -> dict[str, Any]:
    """Every parameter's dotted name and type."""
    found: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        key, kind = f"{prefix}{field.alias or name}", field.annotation
        nested = isinstance(kind, type) and issubclass(kind, Section)
        found |= _leaves(kind, f"{key}.") if nested else {key: kind}  # type: ignore[arg-type]
    return found


def _distribution(name: str, of_name: Range, kind: Any) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if of_name.choices is not None:
        return CategoricalDistribution(of_name.choices)
    low, high = of_name.interval
    if kind is float:
        return FloatDistribution(low, high, log=of_name.log)
    if kind is not int:
        raise ParamsError(
            f"params.yaml: tune.ranges: {name} is not a number; give {{choices: [...]}}, not low and high."
        )
    if low % 1 or high % 1:
        raise ParamsError(
            f"params.yaml: tune.ranges: {name} is a whole number, so low and high must be whole; got {low} to {high}."
        )
    return IntDistribution(int(low), int(high), log=of_name.log)


def _check_values(params: Params, name: str, of_name: Range) -> None:
    whole = isinstance(value_of(params, name), int)
    tried = of_name.choices or [int(end) if whole else end for end in of_name.interval]
    for value in tried:
        try:
            with_values(params, {name: value})
        except ValidationError as error:
            words = error.errors()[0]["msg"]
            raise ParamsError(
                f"params.yaml: tune.ranges: {name} cannot be {value!r}: {words[0].lower()}{words[1:]}."
            ) from None


def _check_present(name: str, value: Any, of_name: Range, distribution: "BaseDistribution") -> None:
    from optuna.distributions import CategoricalDistribution

    if isinstance(distribution, CategoricalDistribution):
        inside = value in distribution.choices
    else:
        low, high = of_name.interval
        inside = low <= value <= high
    if not inside:
        raise ParamsError(
            f"params.yaml: {name} is {value!r}, which is not in its range in tune.ranges. Trials are compared with the "
            "present parameters: widen the range."
        )


def _spoken(names: tuple[str, ...]) -> str:
    return ", ".join(names)
