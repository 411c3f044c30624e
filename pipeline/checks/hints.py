"""Settings that a whole set of images asks for, which no single image shows. Judges no image.

It looks at a few files again; the manifest says which kinds there are.
"""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

import pandas as pd

from pipeline.core.paths import METADATA
from pipeline.core.text import named
from pipeline.images.deep import has_graded_alpha, highest_sample
from pipeline.params.data import Images

T = TypeVar("T")

MOST_FILES = 100  # of a kind, evenly over the set
GROUPS = ("group", "patient", "subject", "plant", "module")  # what people call images that belong together
ALIKE = 0.8  # of 1: `grop`, `patients`, `PatientID`; not `model`
HALF = 128  # of 255: with the uppermost bit in use somewhere, some image is brighter


def hints(manifest: pd.DataFrame, raw: Path, rules: Images) -> list[str]:
    """One sentence for each setting that would suit the images of `manifest` better."""
    readable = manifest[manifest["readable"].astype(bool)]
    return [*_white_level(readable, raw, rules), *_bands(readable, raw, rules)]


def group_hints(side: pd.DataFrame, group_column: str | None) -> list[str]:
    """One sentence where no column of the side table is used as groups, and the name of one says that it has some."""
    if group_column != "group" or "group" in side:
        return []
    names = [str(column) for column in side.columns if _names_groups(str(column))]
    like = [name for name in names if side.loc[side[name] != "", name].duplicated().any()]
    if not like:
        return []
    return [
        f"{METADATA} has no column group, and its column {named(like)} has one value for several images. If these "
        f"belong together, as those of one patient do, set preprocess.group_column: {like[0]} in params.yaml: else "
        "they come into several splits, and the scores are too good. If they do not, set it to null."
    ]


def _names_groups(column: str) -> bool:
    return bool(get_close_matches(column.lower().removesuffix("id").rstrip("_- "), GROUPS, cutoff=ALIKE))


def _white_level(readable: pd.DataFrame, raw: Path, rules: Images) -> Iterable[str]:
    deep = readable[(readable["bits"] == 16) & readable["format"].isin(["PNG", "TIFF"])]
    if rules.white_level or deep.empty or (deep["brightness"] >= HALF).any():
        return
    highest = [value for value in _looked_at(deep, raw, highest_sample) if value is not None]
    bits = max(highest, default=65535).bit_length()
    if 0 < bits < 16:
        yield (
            f"{len(deep)} images store 16 bits a sample, and none that was looked at uses more than {bits}: they are "
            f"nearly black to the model. Set images.white_level: {2**bits - 1} in params.yaml (then all images, also "
            "those of the nights, are shown by that scale)."
        )


def _bands(readable: pd.DataFrame, raw: Path, rules: Images) -> Iterable[str]:
    with_alpha = readable[(readable["format"] == "TIFF") & (readable["mode"] == "RGBA")]
    if rules.bands or with_alpha.empty:
        return
    graded = _looked_at(with_alpha, raw, has_graded_alpha)
    if sum(graded) * 2 > len(graded):
        yield (
            f"{len(with_alpha)} TIFF images have a fourth band that is marked as transparency and looks like a picture "
            "of its own, such as near infrared: it fades the colours. Set images.bands: [1, 2, 3] in params.yaml to "
            "show the colours alone, or [4, 1, 2] for infrared as red."
        )


def _looked_at(table: pd.DataFrame, raw: Path, look: Callable[[bytes], T]) -> list[T]:
    paths = table["path"].iloc[:: -(-len(table) // MOST_FILES)]
    return [look((raw / path).read_bytes()) for path in paths]
