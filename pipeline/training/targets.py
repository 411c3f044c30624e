"""The training target of each image: its label, or a probability for each label. Fits nothing."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import METADATA
from pipeline.data.prepared import Split


def soft_targets(split: Split, class_names: tuple[str, ...], columns: dict[str, str]) -> NDArray[np.float32]:
    """Probability of each class for each image, (n, classes), rows sum to 1.

    `columns` maps some classes to the column of the side table with their probability, 0 to 1; the other classes share
    the rest equally. Without columns, and for images that lack a probability, the target is one-hot. Raises
    NightshiftError for an unknown class or column, and for a value that is not a probability.
    """
    one_hot = np.eye(len(class_names), dtype=np.float32)[split.labels]
    if not columns:
        return one_hot
    if unknown := sorted(set(columns) - set(class_names)):
        raise NightshiftError(
            f"params.yaml: train.soft_labels names the class {unknown[0]!r}; the classes are {', '.join(class_names)}."
        )
    given = np.stack([_column(split.table, column) for column in columns.values()], axis=1)
    total: NDArray[np.float64] = np.sum(given, axis=1)  # NaN where any is missing
    too_much = split.table["path"].to_numpy()[total > 1 + 1e-6]
    if len(too_much):
        raise NightshiftError(
            f"{METADATA}: the probabilities of {too_much[0]} ({', '.join(columns.values())}) add up to "
            "more than 1. Correct them."
        )
    targets = np.empty_like(one_hot)
    named = [class_names.index(name) for name in columns]
    others = [position for position in range(len(class_names)) if position not in named]
    if others:
        targets[:, others] = ((1 - total) / len(others))[:, None]
    else:
        total[total == 0] = np.nan  # no class has a probability
        given /= total[:, None]
    targets[:, named] = given
    return np.asarray(np.where(np.isnan(total)[:, None], one_hot, targets), np.float32)


def _column(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """The probabilities of a column, NaN where it is empty."""
    if column not in table:
        raise NightshiftError(
            f"params.yaml: train.soft_labels names the column {column!r}, which {METADATA} does not have."
        )
    texts = table[column].astype("str").str.replace(",", ".", regex=False)  # as a spreadsheet may have saved them
    values = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64)
    wrong = (table[column].notna() & (table[column].astype("str").str.strip() != "")).to_numpy() & ~(
        (values >= 0) & (values <= 1)
    )
    if wrong.any():
        row = table.iloc[int(np.argmax(wrong))]
        raise NightshiftError(
            f"{METADATA}: {column} of {row['path']} is {str(row[column])!r}; a probability must be between 0 and 1."
        )
    return values
