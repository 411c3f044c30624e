"""Assign each image to a split: stratified, units kept whole, drawn once. Knows tables, opens no file."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import FROZEN_SPLITS
from pipeline.core.text import named
from pipeline.data.prepared import SPLITS, SplitName
from pipeline.data.split_units import largest_in_words, units
from pipeline.params.data import Fractions

LEFT_OUT = ""  # the split of a new image that would join two splits
NEW_SPLIT = (
    f"To draw a new split, delete {FROZEN_SPLITS} and run the same command again; test images may then become training "
    "images."
)
KINDS = {"burst": "bursts of one camera", "subject": "images of one patient"}  # that near-duplicates need not be
NOTABLE = 0.1  # a note reports a class whose share of a split differs by more than this


class ImpossibleSplit(NightshiftError):  # noqa: N818 - a judgement of the request, not a fault of the program
    """The images cannot be split as requested; the message says why and what to change."""


class FrozenSplits(BaseModel):
    """The splits drawn so far, with seed and fractions: if those change, everything is drawn again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    fractions: Fractions
    contents: dict[SplitName, tuple[str, ...]]  # SHA-256 of each image, sorted

    def by_content(self) -> dict[str, str]:
        """The split of each image, by SHA-256."""
        return {content: name for name, contents in self.contents.items() for content in contents}


@dataclass(frozen=True, slots=True)
class Drawn:
    """The drawn splits, and notes about them for the user."""

    splits: pd.Series  # one per row of the manifest: train, val, test or LEFT_OUT
    frozen: FrozenSplits
    notes: list[str]


def draw_splits(manifest: pd.DataFrame, fractions: Fractions, seed: int, frozen: FrozenSplits | None = None) -> Drawn:
    """Put each image into `train`, `val` or `test`.

    manifest: columns path, label, sha256, cluster and, if known, group and split (as given by the source).

    1. A given split is kept. If no validation (or test) images are given, they are drawn from the training images.
    2. An image in `frozen` keeps its split.
    3. An image without a split follows its unit. If its unit is in several splits, the image is left out: it would leak
       from one split to the other.
    4. The other units are assigned, the largest first, so that each class comes as close to `fractions` as possible.

    The result depends only on seed and contents, not on names or the order of rows. Raises ImpossibleSplit for a class
    with too few units, and for a group that the frozen split divides.
    """
    if frozen and (frozen.seed, frozen.fractions) != (seed, fractions):
        frozen = None
    given = _given(manifest)
    absent = [name for name in SPLITS if name not in set(given.dropna())]
    lends = given.eq("train") & bool(absent)
    lend_to = [name for name in SPLITS if name == "train" or name in absent]
    known = manifest["sha256"].map(frozen.by_content() if frozen else {}).astype("object")
    known = known.where(known.notna() & (~lends | known.isin(lend_to)), None)
    settled = given.where(given.notna() & ~lends, known).to_numpy(dtype="object", copy=True)
    splits = settled.copy()

    unsettled: list[NDArray[np.int64]] = []
    for rows in units(manifest):
        there = sorted({split for split in settled[rows] if split is not None})
        if not there:
            unsettled.append(rows)
            continue
        if len(there) > 1 and "group" in manifest:
            _refuse_torn_groups(manifest["group"].iloc[rows], known.iloc[rows])
        follow = there[0] if len(there) == 1 else LEFT_OUT
        splits[rows] = [follow if split is None else split for split in settled[rows]]

    labels, contents = manifest["label"].to_numpy(), manifest["sha256"].to_numpy()
    unsettled.sort(key=lambda rows: (-len(rows), _draw(seed, min(contents[rows]))))
    of_lenders = [bool(lends.iloc[rows].any()) for rows in unsettled]
    for population, lending, allowed in ((lends, True, lend_to), (given.isna(), False, list(SPLITS))):
        hands = [rows for rows, lent in zip(unsettled, of_lenders, strict=True) if lent == lending]
        members = population.to_numpy() | np.isin(np.arange(len(labels)), np.concatenate([[], *hands]))
        deal = _Deal(labels[members], splits[members], [Counter(labels[rows]) for rows in hands], fractions, allowed)
        for rows, split in zip(hands, deal.splits(), strict=True):
            splits[rows] = split

    result = pd.Series(splits, index=manifest.index, dtype="str")
    ours = result[(given.isna() | lends).to_numpy()]
    before = frozen.contents if frozen else {}
    kept = {name: {*before.get(name, ()), *manifest["sha256"][ours.index[ours == name]]} for name in SPLITS}
    after = FrozenSplits(seed=seed, fractions=fractions, contents={name: tuple(sorted(kept[name])) for name in SPLITS})
    return Drawn(result, after, list(_remarks(manifest, result, fractions, bool(given.notna().any()))))


def _given(manifest: pd.DataFrame) -> pd.Series:
    """The split that each image's source gives, else None."""
    if "split" not in manifest:
        return pd.Series(None, index=manifest.index, dtype="object")
    return manifest["split"].astype("object").where(manifest["split"].notna(), None)


def _draw(seed: int, content: str) -> str:
    """A uniform draw that depends only on seed and content."""
    return hashlib.sha256(f"{seed}/{content}".encode()).hexdigest()


class _Deal:
    """Assigns units to splits; each goes where its classes are furthest below their share."""

    def __init__(
        self, labels: NDArray[np.object_], splits: NDArray[np.object_], hands: list[Counter[str]],
        fractions: Fractions, allowed: list[SplitName],
    ) -> None:  # fmt: skip
        """labels, splits: of all images that share these fractions; a split if assigned before, None if assigned now.

        hands: the units to assign, as numbers of images per class.
        """
        self.hands, self.allowed = hands, allowed
        self.size = Counter(labels)
        self.count: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for label, split in zip(labels, splits, strict=True):
            if split:
                self.count[label][split] += 1
        self.left = Counter(label for hand in hands for label in hand)  # units
        self.share = {label: self._shares(size, fractions) for label, size in self.size.items()}

    def _shares(self, size: int, fractions: Fractions) -> dict[str, float]:
        """How many images of a class each split should have: at least one for val and test, even of a small class."""
        whole = sum(getattr(fractions, name) for name in self.allowed)
        held_out: dict[str, float] = {
            name: max(1.0, size * getattr(fractions, name) / whole) for name in self.allowed if name != "train"
        }
        return {"train": size - sum(held_out.values()), **held_out}

    def splits(self) -> Iterator[SplitName]:
        """The split of each hand, in order."""
        for hand in self.hands:
            split = max(self.allowed, key=lambda split: (self._needed(split, hand), self._gain(split, hand)))
            for label, images in hand.items():
                self.count[label][split] += images
                self.left[label] -= 1
            yield split

    def _gain(self, split: str, hand: Counter[str]) -> float:
        """How much the squared distance to the shares shrinks, relative to the size of each class."""
        return sum(
            images * (2 * (self.share[label][split] - self.count[label][split]) - images) / self.size[label]
            for label, images in hand.items()
        )

    def _needed(self, split: str, hand: Counter[str]) -> int:
        """For how many classes this split is still empty and every remaining unit is needed to fill empty splits."""
        needed = 0
        for label in hand:
            empty = [name for name in self.allowed if not self.count[label][name]]
            needed += split in empty and self.left[label] <= len(empty)
        return needed


def _refuse_torn_groups(groups: pd.Series, known: pd.Series) -> None:
    for group, splits in known.groupby(groups):
        if len(there := sorted(set(splits.dropna()))) > 1:
            raise ImpossibleSplit(
                f"Group {group} has images in {' and in '.join(there)}: the split was drawn before the group was set. "
                f"{NEW_SPLIT}"
            )


def _remarks(manifest: pd.DataFrame, splits: pd.Series, fractions: Fractions, some_given: bool) -> Iterator[str]:
    """The notes about a finished split. Raises ImpossibleSplit when a class is missing from one."""
    if len(left_out := manifest["path"][splits == LEFT_OUT]):
        yield (
            f"{len(left_out)} new images are left out, because they belong to images in two splits (near-duplicates, "
            f"bursts, patients): {named(left_out)}."
        )
    if torn := [rows for rows in units(manifest) if len(set(splits.iloc[rows]) - {LEFT_OUT}) > 1]:
        yield f"{len(torn)} clusters or groups are in two splits, as given by the source or frozen before: " + named(
            manifest["path"].iloc[rows[0]] for rows in torn
        )
        if kinds := [KINDS[name] for name in KINDS if name in manifest and _is_torn(manifest[name], splits)]:
            yield f"Among them are {' and '.join(kinds)}: the test images are easier than new ones. {NEW_SPLIT}"
    table = pd.crosstab(manifest["label"], splits).reindex(columns=list(SPLITS), fill_value=0)
    for label, row in table.iterrows():
        for name in SPLITS:
            if row[name] == 0 and (name == "train" or not some_given):
                raise ImpossibleSplit(_why_absent(manifest[manifest["label"] == label], str(label), name))
            share, asked = row[name] / row.sum(), getattr(fractions, name)
            if not some_given and abs(share - asked) > max(NOTABLE, 1 / row.sum()):
                yield (
                    f"{name} has {share:.0%} of class {label} instead of {asked:.0%}: its groups and near-duplicates "
                    f"are too large for a better split ({largest_in_words(manifest[manifest['label'] == label])}). "
                    "A fixed camera? See validate.near_duplicate_bits and preprocess.burst_seconds in params.yaml."
                )


def _is_torn(keys: pd.Series, splits: pd.Series) -> bool:
    return bool((splits[splits != LEFT_OUT].groupby(keys).nunique() > 1).any())


def _why_absent(images: pd.DataFrame, label: str, name: str) -> str:
    pieces = len(units(images))
    return (
        f"Class {label} has no image for {name}: its {len(images)} images are {pieces} separate units "
        f"({largest_in_words(images)}); training, validation and test need at least one each. Add images of other "
        "groups or scenes to the class, remove the class, or give the images' splits in data/raw/metadata.csv."
    )
