"""What is expected of the data: one list of checks, and the tables that they look at. Judges nothing.

Every check is a range of one column of one table: `files` (a row a file), `classes`, `dataset` (one row) or `drift`
(a row a measure). One definition serves the expectation, its words, and the list of files that miss it.
"""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from pipeline.data.labels import clean
from pipeline.data.prepared import SPLITS
from pipeline.params.data import Severity, Validate

TableName = Literal["files", "classes", "dataset", "drift"]
KEYS: dict[TableName, str] = {"files": "path", "classes": "label", "dataset": "dataset", "drift": "measure"}


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation: `column` of `table` is between `low` and `high`, except for a share of the rows."""

    fault: str  # what a row that misses it suffers from; the key in params.yaml
    table: TableName
    column: str
    severity: Severity  # never `off`: such a check is not made
    words: str  # what is expected, and what to do
    low: float | None = None
    high: float | None = None
    max_share: float = 0.0  # of the rows that may miss it, 0 to 1
    baseline: str = ""  # of drift: the data version to compare with

    @property
    def expected(self) -> str:
        """The range in words, such as `contrast ≥ 2; 1 % may miss it`."""
        limits = [f"≥ {self.low:g}"] if self.low is not None else []
        limits += [f"≤ {self.high:g}"] if self.high is not None else []
        allowed = f"; {100 * self.max_share:g} % may miss it" if self.max_share else ""
        return f"{self.column.replace('_', ' ')} {' and '.join(limits)}{allowed}"

    def faulty(self, table: pd.DataFrame) -> pd.Series:
        """Which rows miss it; a value that is not known misses nothing."""
        values = table[self.column].astype("Float64")
        faulty = pd.Series(False, index=table.index)
        if self.low is not None:
            faulty |= (values < self.low).fillna(False).astype(bool)
        if self.high is not None:
            faulty |= (values > self.high).fillna(False).astype(bool)
        return faulty


def checks(limits: Validate) -> list[Check]:
    """Every check that params.yaml does not switch off."""
    of = limits.checks

    def share(fault: str, column: str, words: str, low: float | None = None, high: float | None = None) -> Check:
        section = getattr(of, fault)
        return Check(fault, "files", column, section.severity, words, low, high, section.max_share)

    every = [
        share("unreadable", "readable", "Files can be decoded. Repair, replace or delete the others.", low=1),
        share("small", "shorter_side", "Images are large enough to judge (pixels).", low=of.small.below),
        share(
            "odd_size", "size_ratio",
            "Images are of similar size (times larger or smaller than the median). Others are often not photographs.",
            high=of.odd_size.above,
        ),
        share("wrong_extension", "extension_matches", "A file is what its name says. Rename the others.", low=1),
        share(
            "unknown_label", "label_is_known",
            "Every folder is a known class. Move or delete the folder, or add it to validate.class_names.", low=1,
        ),
        share("blank", "contrast", "Images show something (contrast).", low=of.blank.below),
        share("dark", "brightness", "Images are not too dark (mean of 0..255).", low=of.dark.below),
        share("blurred", "sharpness", "Images are in focus (variance of the Laplacian).", low=of.blurred.below),
        share("duplicate", "copy", "No class holds the same image twice. Delete the copies.", high=0),
        share(
            "conflicting_duplicate", "labels_of_content",
            "No identical file carries two labels. Decide which is right and delete the other copy.", high=1,
        ),
        share(
            "conflicting_near_duplicate", "labels_of_cluster",
            "No two nearly identical images carry two labels. Look at them side by side in the report.", high=1,
        ),
        share(
            "leaking_duplicate", "less_held_out",
            "No image of a given split is (nearly) repeated in another: the model would learn it and then be tested "
            "on it. Delete one of them, or quarantine them.", high=0,
        ),
        Check(
            "few_images", "classes", "images", of.few_images.severity,
            "Every known class has enough images. Add some, or remove the class.", low=of.few_images.at_least,
        ),
        Check(
            "imbalance", "classes", "rarity", of.imbalance.severity,
            "No class is far rarer than the largest. Add images of it; class weights help only so far.",
            high=of.imbalance.at_most,
        ),
        Check("few_classes", "dataset", "classes", "error", "There are at least two classes.", low=2),
        Check(
            "orphaned_metadata", "dataset", "metadata_without_image", of.orphaned_metadata.severity,
            "Every row of metadata.csv belongs to an image. Correct the paths of the others, or delete the rows.",
            high=of.orphaned_metadata.at_most,
        ),
        Check(
            "too_many_quarantined", "dataset", "quarantined", "error",
            "Few files are left out (share, validate.max_quarantined). Many bad files have a common cause: find it.",
            high=limits.max_quarantined,
        ),
        Check(
            "drift", "drift", "statistic", of.drift.severity,
            f"Images are like those of {limits.baseline} (0: same distribution, 1: disjoint). Does a new camera or "
            "site explain it?", high=of.drift.at_most, baseline=limits.baseline or "",
        ),
    ]  # fmt: skip
    return [check for check in every if check.severity != "off"]


def files_table(manifest: pd.DataFrame, limits: Validate) -> pd.DataFrame:
    """The manifest with the columns that its checks look at; of files that are left out nothing counts."""
    kept = manifest[manifest["quarantined"] == ""]
    shorter = kept[["width", "height"]].min(axis="columns").astype("Float64")
    ratio = pd.concat([kept[side].astype("Float64") / kept[side].median() for side in ("width", "height")], axis=1)
    known = [*map(clean, limits.class_names)] if limits.class_names is not None else kept["label"].unique()
    content, cluster = (kept.groupby(key, dropna=True) for key in ("sha256", "cluster"))
    return kept.assign(
        readable=kept["readable"].astype("Int64"),
        extension_matches=kept["extension_matches"].astype("Int64"),
        shorter_side=shorter,
        size_ratio=ratio.where(ratio >= 1, 1 / ratio).max(axis="columns"),
        label_is_known=kept["label"].isin(known).astype("Int64"),
        copy=kept.groupby(["sha256", "label"], dropna=True).cumcount().where(kept["sha256"].notna()).astype("Int64"),
        labels_of_content=content["label"].transform("nunique").astype("Int64"),
        labels_of_cluster=cluster["label"].transform("nunique").astype("Int64"),
        less_held_out=_less_held_out(kept).astype("Int64"),
    )


def _less_held_out(images: pd.DataFrame) -> pd.Series:
    """1 for an image with a given split whose cluster is also in a split further from training: test, val, train."""
    if "split" not in images:
        return pd.Series(0, index=images.index)
    rank = images["split"].map({name: float(place) for place, name in enumerate(SPLITS)})
    return (rank < rank.groupby(images["cluster"]).transform("max")).astype(int)


def classes_table(manifest: pd.DataFrame, limits: Validate) -> pd.DataFrame:
    """A row a known class: how many images it has, and how many times more the largest has."""
    images = manifest[manifest["readable"] & (manifest["quarantined"] == "")]["label"].value_counts()
    names = sorted(manifest["label"].unique() if limits.class_names is None else map(clean, limits.class_names))
    count = images.reindex(names, fill_value=0).astype("int64")
    rarity = count.max() / count.clip(lower=1)
    return pd.DataFrame({"label": names, "images": count.to_numpy(), "rarity": rarity.to_numpy(dtype="float64")})


def tables(
    manifest: pd.DataFrame, drift: pd.DataFrame, metadata_without_image: int, limits: Validate
) -> dict[TableName, pd.DataFrame]:
    """What the checks look at."""
    classes = classes_table(manifest, limits)
    dataset = {
        "dataset": "images",
        "classes": int((classes["images"] > 0).sum()),
        "metadata_without_image": metadata_without_image,
        "quarantined": float((manifest["quarantined"] != "").mean()),
    }
    found: dict[TableName, pd.DataFrame] = {
        "files": files_table(manifest, limits), "classes": classes, "dataset": pd.DataFrame([dataset]),
    }  # fmt: skip
    return found | ({"drift": drift} if len(drift) else {})


def quarantine(manifest: pd.DataFrame, limits: Validate) -> pd.Series:
    """For each file the first fault of `validate.quarantine` that it suffers from, else an empty string."""
    reasons = pd.Series("", index=manifest.index, dtype="str")
    if not limits.quarantine:
        return reasons
    table = files_table(manifest.assign(quarantined=""), limits)
    # An image whose check is switched off in params.yaml is not looked at for it either.
    for check in checks(limits):
        if check.fault in limits.quarantine:
            reasons = reasons.mask(check.faulty(table) & (reasons == ""), check.fault)
    return reasons.astype("str")
