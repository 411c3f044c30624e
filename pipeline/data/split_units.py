"""Units: groups of images that must stay in one split. Knows tables, opens no file.

Near-duplicates are one unit, and so are the images of one group (a module, a site), of one burst of a camera and of one
patient.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.data.duplicates import cluster, components, joined

KEYS = ("cluster", "group", "burst", "subject")  # columns of the manifest
UNITS_TO_SPLIT = 3  # one each for training, validation and test


def unit_numbers(manifest: pd.DataFrame) -> NDArray[np.int64]:
    """The number, (n,), of each row's unit: rows that share one of KEYS, directly or through other rows."""
    keys = [manifest[name] for name in KEYS if name in manifest]
    return components(len(manifest), np.concatenate([joined(key) for key in keys]))


def units(manifest: pd.DataFrame) -> list[NDArray[np.int64]]:
    """The row numbers of each unit."""
    numbers = unit_numbers(manifest)
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else []


@dataclass(frozen=True, slots=True)
class Scenes:
    """The clusters of near-duplicates that splits keep together."""

    cluster: pd.Series
    note: str = ""  # what a person should know, where they are not those that were asked for


def scenes(manifest: pd.DataFrame, bits: int | None, blank_below: float) -> Scenes:
    """The clusters by `bits`; where these would leave a class too few separate units to split, identical files only.

    A fixed camera takes the same picture again and again: there, nearly the same is not the same scene.
    manifest: columns label, and those of `cluster`. Identical files and groups are kept together in any case.
    """
    asked = cluster(manifest, bits, blank_below)
    of_identical = cluster(manifest, None, blank_below)
    possible = units_of_classes(manifest.assign(cluster=of_identical)).clip(upper=UNITS_TO_SPLIT)

    def missing(found: pd.Series) -> pd.Series:
        counts = units_of_classes(manifest.assign(cluster=found))
        return counts[counts < possible]

    if bits is None or not len(short := missing(asked)):
        return Scenes(asked)
    low, high = -1, bits  # bits too high fail, and -1 stands for identical files
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if not len(missing(cluster(manifest, middle, blank_below))) else (low, middle)
    label, count = short.index[0], int((manifest["label"] == short.index[0]).sum())
    works = "null" if low < 0 else f"null (or {low}, the highest that leaves every class {UNITS_TO_SPLIT} scenes)"
    return Scenes(
        of_identical,
        f"With validate.near_duplicate_bits {bits} the {count} images of class {label} are only {short.iloc[0]} that "
        "can be told apart, too few for training, validation and test images. A fixed camera? Then nearly the same is "
        "not the same scene: only identical files are kept together now. To settle it, set "
        f"validate.near_duplicate_bits in params.yaml to {works}.",
    )


def units_of_classes(manifest: pd.DataFrame) -> pd.Series:
    """How many units each class has, of readable images."""
    images = manifest[manifest["sha256"].notna().to_numpy()]
    return pd.Series(unit_numbers(images), index=images.index).groupby(images["label"]).nunique()


def largest_in_words(images: pd.DataFrame) -> str:
    """A description of the largest unit of these images, for a message."""
    rows = max(units(images), key=len)
    first = images.iloc[rows[0]]
    grouped = "group" in images and pd.notna(first["group"])
    shared = {name: images[name].iloc[rows].dropna() for name in ("burst", "subject") if name in images}
    names = [name for name, keys in shared.items() if keys.duplicated().any()]
    kind = {"burst": "the burst", "subject": "the patient"}[names[0]] if names else "the near-duplicates"
    of = f"group {first['group']}" if grouped else f"{kind} of {first['path']}"
    return f"the largest unit is {of}, {len(rows)} of {len(images)} images"
