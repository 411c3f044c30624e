"""How one camera's pictures look in a night, and whether that differs from its earlier nights. Reads no picture.

A night is one observation: its pictures share light and weather, so thousands of them are no more evidence than their
medians. Tonight's median is compared with those of the camera's earlier nights by a one-sided t-test for one new
observation. Few nights say little of how much nights differ, so their variance is drawn towards USUAL, which counts as
much as PRIOR nights (the moderated t of Smyth, Linear Models and Empirical Bayes Methods, 2004).
"""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.core.text import named

Kind = Literal["dirty", "darker", "moved"]
LEAST = 20  # images; fewer say nothing of a camera
FALSE_ALARM = 0.05  # chance that a night in which nothing changed names any camera, at most
SHARED_OUT = 0.7  # of FALSE_ALARM
PRIOR = 1.0  # with 3, cameras whose nights differ much are named on 8 to 17 of 100
USUAL = {"clarity": 0.4, "light": 0.3}  # standard deviation over the nights of each measure's logarithm
SMALLEST = {"clarity": math.log(2), "light": math.log(1.4)}  # fall that matters to a person
KIND_OF: Mapping[str, Kind] = {"clarity": "dirty", "light": "darker"}
FEWEST_NIGHTS = 2  # earlier ones; one says nothing of how much nights differ
LATELY = 14  # earlier nights that count, without those on which the camera was named, while FEWEST_NIGHTS are left
ONE_VIEW, OTHER_VIEW = 0.6, 0.3  # correlation of views: above, the same; below, another one
VIEW_SIDE = 16
NOT_ZERO = 0.01  # of a measure: a black picture has a logarithm, too


class CameraLook(BaseModel):
    """One camera in a night; a key of the summary's `cameras`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    images: int  # new ones: those taken after the last that an earlier night had
    until: str  # ISO 8601, when the last of them was taken; empty: nothing says it
    how: str  # digest of how files become pixels: only pictures read alike are compared
    brightness: float  # medians, as in predictions.csv
    contrast: float
    sharpness: float
    measures: dict[str, tuple[float, float]]  # of USUAL -> median of the logarithm, its standard error
    view: str = ""  # base64 of VIEW_SIDE x VIEW_SIDE numbers, -128 to 127: their mean picture; empty: not one
    nights: int = 0  # earlier ones that it was compared with; 0: with the training images
    changed: tuple[Kind, ...] = ()
    words: str = ""  # what changed, for a person; empty: nothing


def log_measures(light: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """The logarithms whose fall says what happened, (n,) each, of brightness, contrast, sharpness (3, n).

    Sharpness is a variance: blur lowers it, and haze or dirt, which lower contrast, lower it by their square. So one
    measure finds both, and what they do adds up. Less light lowers it by its square, too, which is taken out.
    """
    brightness, _, sharpness = np.log(np.maximum(light, NOT_ZERO))
    return {"clarity": sharpness - 2 * brightness, "light": brightness}


def median_with_error(values: NDArray[np.float64]) -> tuple[float, float]:
    """The median of (n,) and its standard error, from the quartiles, which a few odd pictures do not move."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(middle), float(1.2533 * (high - low) / 1.349 / np.sqrt(len(values)))  # of a normal distribution


def fallen(tonight: tuple[float, float], earlier: Sequence[float], usual: float) -> float:
    """The p-value of tonight's median (with its standard error) being so low after those of the nights before."""
    from scipy.special import stdtr

    nights, mean = len(earlier), float(np.mean(earlier))
    freedom = PRIOR + nights - 1
    variance = (PRIOR * usual**2 + float(((np.array(earlier) - mean) ** 2).sum())) / freedom
    error = math.sqrt(variance * (1 + 1 / nights) + tonight[1] ** 2)
    return float(stdtr(freedom, (tonight[0] - mean) / error))


def compared(name: str, look: CameraLook, earlier: Sequence[CameraLook], cameras: int) -> CameraLook:
    """The look with what changed since the camera's earlier nights, the newest first, at least FEWEST_NIGHTS.

    cameras: compared in this night.
    """
    lately = earlier[:LATELY]
    unchanged = [one for one in lately if not one.changed]
    usual = unchanged if len(unchanged) >= FEWEST_NIGHTS else lately  # what has stayed for so long is usual now
    error = error_of(cameras)
    kinds: dict[Kind, None] = {}
    for measure, spread in USUAL.items():
        before = [one.measures[measure][0] for one in usual if measure in one.measures]
        tonight = look.measures[measure]
        if before and np.mean(before) - tonight[0] > SMALLEST[measure] and fallen(tonight, before, spread) < error:
            kinds[KIND_OF[measure]] = None
    if is_moved(look.view, [one.view for one in usual]):
        kinds["moved"] = None
    changed = tuple(kinds)
    words = _words(name, look, usual, changed) if changed else ""
    return look.model_copy(update={"nights": len(usual), "changed": changed, "words": words})


def error_of(cameras: int) -> float:
    """The error of one test, of a measure of one of so many cameras.

    Not all of FALSE_ALARM is shared out: nights on which a camera was named, some by chance, do not count later, and
    what is left differs less than nights do (benchmarks/two_cameras.py --alarms).
    """
    return SHARED_OUT * FALSE_ALARM / (cameras * len(USUAL))


def beside_training(name: str, look: CameraLook, flagged: Mapping[str, int]) -> CameraLook:
    """The look of a camera with too few earlier nights: are most of its pictures odd beside those of training.

    flagged: flag -> pictures. Cameras differ, so another mean than training's says nothing.
    """
    odd = {flag: count for flag, count in flagged.items() if 2 * count > look.images}
    said: dict[Kind, str] = {}
    if unclear := [odd[flag] for flag in ("blurred", "low_contrast") if flag in odd]:
        said["dirty"] = (
            f"looks dirty or out of focus: {max(unclear):,} of {look.images:,} pictures are less sharp, or of less "
            "contrast, than the training images"
        )
    if "dark" in odd:
        said["darker"] = f"is dark: {odd['dark']:,} of {look.images:,} pictures are darker than the training images"
    return look.model_copy(update={"changed": tuple(said), "words": _sentences(name, said)})


def is_moved(view: str, earlier: Sequence[str]) -> bool:
    """Whether a camera that showed one view on its earlier nights shows one tonight, and it is another."""
    before = [_picture(one) for one in earlier if one]
    if not view or not before or len(before) < len(earlier):
        return False
    if any(correlation(one, other) < ONE_VIEW for one in before for other in before):
        return False
    return correlation(_picture(view), np.mean(before, axis=0)) < OTHER_VIEW


def as_view(picture: NDArray[np.float64]) -> str:
    """A mean picture as a look keeps it."""
    scaled = 127 * picture / max(float(np.abs(picture).max()), NOT_ZERO)
    return base64.b64encode(np.round(scaled).astype(np.int8).tobytes()).decode("ascii")


def _picture(view: str) -> NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(view), np.int8).astype(np.float64)


def correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Pearson's correlation of two pictures; 0 where one has no structure."""
    first, second = (values.ravel() - values.mean() for values in (one, other))
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / norm if norm else 0.0


def _words(name: str, look: CameraLook, usual: Sequence[CameraLook], changed: Sequence[Kind]) -> str:
    nights = "its earlier night" if len(usual) == 1 else f"the median of its {len(usual)} earlier nights"

    def sizes(*measures: str) -> str:
        both = ((one, getattr(look, one), float(np.median([getattr(old, one) for old in usual]))) for one in measures)
        return named(f"{one} {now:.3g} ({before:.3g})" for one, now, before in both)

    said: dict[Kind, str] = {
        "dirty": f"looks dirty or out of focus: {sizes('sharpness', 'contrast')}; in brackets {nights}",
        "darker": f"is darker: {sizes('brightness')}; in brackets {nights}",
        "moved": "shows another view than on its earlier nights: was it moved",
    }
    return _sentences(name, {kind: said[kind] for kind in changed})


def _sentences(name: str, said: Mapping[Kind, str]) -> str:
    """What changed and what to do; empty where nothing did."""
    if not said:
        return ""
    found = "".join(f"{name} {words}{'?' if kind == 'moved' else '.'} " for kind, words in said.items())
    return f"{found}Look after this camera, and at its answers: the model may be wrong on such pictures."
