"""Slices, groups of test images that share a property: is the model worse on one of them? Knows tables only."""

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import fisher_exact, norm

from pipeline.core.errors import NightshiftError
from pipeline.evaluation.metrics import balanced_accuracy
from pipeline.evaluation.shares import of_all, share_ends
from pipeline.model.answers import Judged
from pipeline.params.model import Evaluate

# The columns of the manifest that describe an image, `pixels` and `hour`; every column of the side table is used too.
MEASURES = ("pixels", "aspect", "brightness", "contrast", "sharpness", "entropy")
KINDS = ("format", "mode", "bits", "orientation", "group", "camera", "hour")
NEVER = frozenset(
    ("path", "label", "bytes", "readable", "error", "sha256", "extension_matches", "width", "height", "phash",
     "cluster", "quarantined", "split", "taken_at", "latitude", "longitude", "altitude", "patient", "study",
     "burst", "subject")
)  # fmt: skip
HOURS = 4  # of the day in a slice by hour
BINS = 4  # for a column of numbers, each with equally many images
MOST_VALUES = 50  # for a column of text, the most frequent; numbers with more than BIN_ABOVE values are binned
BIN_ABOVE = 8
FALSE_ALARM = 0.05  # chance that any slice is flagged when the model is equally good on all of them
SLICE_COLUMNS = (
    "column",
    "value",
    "images",
    "accuracy",
    "low",
    "high",
    "balanced_accuracy",
    "unsure_share",
    "p",
    "worse",
)


def slice_columns(table: pd.DataFrame, asked: list[str] | None) -> pd.DataFrame:
    """The columns to slice by, in order: the requested ones, or all useful ones. Raises NightshiftError if unknown.

    In addition to the manifest's columns, `pixels` is width times height and `hour` is from `hours`.
    """
    known = table.assign(pixels=table["width"] * table["height"])
    if "taken_at" in table:
        known = known.assign(hour=hours(table["taken_at"]), camera=table["camera"].replace("", pd.NA))
    if asked is None:
        given = [column for column in table.columns if column not in (*MEASURES, *KINDS, *NEVER)]
        return known[[column for column in (*MEASURES, *KINDS, *given) if column in known]]
    if odd := [column for column in asked if column not in known]:
        allowed = ", ".join(column for column in known.columns if column not in NEVER)
        raise NightshiftError(
            f"params.yaml: evaluate.slices: {odd[0]!r} is not a column of the test images; choose from {allowed}."
        )
    return known[asked]


def hours(taken_at: pd.Series) -> pd.Series:
    """The hours of the day in which these ISO 8601 times are, such as `04 to 08 h`, by the camera's own clock."""
    hour = pd.to_numeric(taken_at.astype("string").str.extract(r"^[^T ]+[T ](\d\d)", expand=False)) // HOURS * HOURS
    return hour.map(lambda start: f"{start:02.0f} to {start + HOURS:02.0f} h", na_action="ignore").astype("string")


def slices_of(column: pd.Series) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each slice's name and its rows as a mask (n,); numbers in ascending bins, text by frequency.

    A text column with only numbers, as in the side table, counts as numbers. A missing value is in no slice.
    """
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    are_numbers = numbers.notna().sum() == column.notna().sum()
    if are_numbers and numbers.nunique() > BIN_ABOVE:
        edges = np.unique(numbers.quantile(np.linspace(0, 1, BINS + 1)).to_numpy())
        for low, high in itertools.pairwise(edges):
            inside = numbers.between(low, high, inclusive="both" if low == edges[0] else "right")
            yield f"{low:.4g} to {high:.4g}", inside.to_numpy(dtype=bool)
        return
    words = column.astype("string")
    for value in words.value_counts().head(MOST_VALUES).index:
        name = f"{float(value):.4g}" if are_numbers else str(value)
        yield name, words.eq(value).fillna(False).to_numpy(dtype=bool)


def measure_slices(columns: pd.DataFrame, judged: Judged, params: Evaluate) -> pd.DataFrame:
    """One row per slice with enough images, with SLICE_COLUMNS; rows flagged as worse first, then by accuracy.

    Accuracy has its exact interval; `p` is that of the test against all other images (see `p_worse`), after Holm's
    correction for the number of slices; `worse`: p is below FALSE_ALARM. Slices with all images are skipped.
    """
    answers, rows = judged.answers, []
    for name in columns:
        for value, inside in slices_of(columns[name]):
            count = int(inside.sum())
            if count < params.smallest_slice or count == len(inside):
                continue
            here, right = answers.of(inside), answers.correct[inside]
            low, high = share_ends(of_all(right), judged.groups[inside], params.interval_level)
            rows.append(
                (
                    str(name), value, count, float(right.mean()), low, high,
                    balanced_accuracy(here.labels, here.probabilities), float(judged.unsure[inside].mean()),
                    p_worse(answers.correct, inside, judged.groups), False,
                )
            )  # fmt: skip
    found = pd.DataFrame(rows, columns=list(SLICE_COLUMNS))
    corrected = holm(found["p"].to_numpy(dtype=np.float64))
    found = found.assign(p=corrected, worse=corrected < FALSE_ALARM)
    return found.sort_values(["worse", "accuracy"], ascending=[False, True], kind="stable", ignore_index=True)


def p_worse(correct: NDArray[np.bool_], inside: NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    """The p-value: the chance of a slice at least this bad if the model were equally good on all other images.

    Fisher's exact test, one-sided. Images that belong together are not independent: then the larger p-value of that
    and of a test of the difference with a variance over the groups (Liang and Zeger, 1986).
    """
    right, wrong = correct & inside, ~correct & inside
    table = [[right.sum(), wrong.sum()], [(correct & ~inside).sum(), (~correct & ~inside).sum()]]
    exact = float(fisher_exact(table, alternative="less").pvalue)
    _, group = np.unique(groups, return_inverse=True)
    if group.max() + 1 == len(groups):
        return exact
    shares = np.where(inside, correct[inside].mean(), correct[~inside].mean())
    influence = (correct - shares) * np.where(inside, 1 / inside.sum(), -1 / (~inside).sum())
    deviation = np.sqrt((np.bincount(group, weights=influence) ** 2).sum())
    difference = correct[inside].mean() - correct[~inside].mean()
    return exact if deviation == 0 else max(exact, float(norm.cdf(difference / deviation)))


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """p-values (m,) corrected for m tests (Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979)."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1)
    return corrected
