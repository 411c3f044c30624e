"""Labels that are probably wrong, by the features of a frozen network. Changes no label.

A small model answers for each image without having seen it; labels that it contradicts too surely are suspected.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.checks.alike import Alike, alike, without
from pipeline.checks.audit_effort import effort_for, sample
from pipeline.core.paths import FEATURES, PREPARED
from pipeline.core.terminal import progress_bar
from pipeline.data.features import read_features
from pipeline.data.prepared import SPLITS, read_dataset, read_split
from pipeline.data.split_units import unit_numbers
from pipeline.data.suspects import CORRECTION, ISSUE_COLUMNS, corrections_of

REGULARISATION = 0.003  # C of the logistic regression: of 0.0003 to 0.1 the best accuracy out of fold on the demo set


@dataclass(frozen=True, slots=True)
class Audited:
    """What was found. suspects: None where no label was judged; note: which labels were not, and why.

    alike: classes that the model cannot tell apart; doubts between them are not among the suspects.
    """

    suspects: pd.DataFrame | None = None
    note: str = ""
    alike: tuple[Alike, ...] = ()


def audit(evidence: "Evidence", folds: int, seed: int) -> Audited:
    """The labels that are probably wrong."""
    answers = out_of_fold(evidence.features, evidence.labels, evidence.groups, folds, seed)
    note, unjudged = "", int(np.isnan(answers).any(axis=1).sum())
    if unjudged:
        count = len(np.unique(evidence.groups))
        note = (
            f"{unjudged} of {len(answers)} labels are not audited: an image is judged by a model that has seen two or "
            f"more classes in other groups and scenes, and there {'is' if count == 1 else 'are'} only {count} of "
            f"these{'' if count == 1 else ' in all'}."
        )
    if unjudged == len(answers):
        return Audited(note=note)
    doubted = label_issues(evidence.table, evidence.labels, answers, evidence.class_names)
    pairs = alike(doubted, evidence.labels, answers, evidence.class_names)
    return Audited(without(doubted, pairs), note, pairs)


def out_of_fold(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], folds: int, seed: int
) -> NDArray[np.float64]:
    """For each image the class probabilities of a model that has seen neither it nor its group.

    features: (n, d); labels: (n,), index into the classes; groups: (n,). Returns (n, classes), rows sum to 1; NaN where
    no model can answer: there is one group, or the images of the other groups are of one class.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classes = int(labels.max()) + 1
    effort = effort_for(len(features), features.shape[1], classes, folds)
    folds = min(effort.folds, len(np.unique(groups)), int(np.bincount(labels).max()))
    answers = np.full((len(labels), classes), np.nan)
    if folds < 2:
        return answers
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(features, labels, groups)
    for learnt, asked in progress_bar(split, "audit", folds, unit="fold"):
        if not len(asked) or len(np.unique(labels[learnt])) < 2:
            continue
        # Rare classes count as much as others: else each of their images is suspected.
        model = LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=effort.steps)
        few = sample(learnt, labels, effort.images, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("default" if effort.is_full else "ignore", ConvergenceWarning)
            fitted = make_pipeline(StandardScaler(), model).fit(features[few], labels[few])
        answers[asked] = 0.0
        answers[np.ix_(asked, fitted.classes_)] = fitted.predict_proba(features[asked])
    return answers


def label_issues(
    table: pd.DataFrame, labels: NDArray[np.int64], answers: NDArray[np.float64], class_names: tuple[str, ...]
) -> pd.DataFrame:
    """The images whose label is probably wrong, the likeliest first, with what they look like; columns ISSUE_COLUMNS.

    By confident learning (Northcutt et al., 2021): of each class as many are suspected as the estimated joint
    distribution of given and true labels says, those with the least probability of their label.
    """
    from cleanlab.filter import find_label_issues

    judged = np.flatnonzero(~np.isnan(answers).any(axis=1))
    if len(np.unique(labels[judged])) < 2:
        return pd.DataFrame(columns=list(ISSUE_COLUMNS))
    found = judged[
        find_label_issues(labels[judged], answers[judged], return_indices_ranked_by="self_confidence", n_jobs=1)
    ]
    names = np.asarray(class_names)
    rows = pd.DataFrame(
        {
            "path": table["path"],
            "label": names[labels],
            "suggested": names[answers.argmax(axis=1)],
            "suggested_confidence": answers.max(axis=1),
            "label_confidence": answers[np.arange(len(labels)), labels],
            "sha256": table["sha256"],
            CORRECTION: "",
        },
        columns=list(ISSUE_COLUMNS),
    )
    suspects: pd.DataFrame = rows.iloc[found].reset_index(drop=True)
    return suspects


def with_corrections(suspects: pd.DataFrame, earlier: Sequence[dict[str, str]], images: pd.DataFrame) -> pd.DataFrame:
    """The suspects with the labels that a person wrote into the earlier file, by the images' bytes.

    An image that is no longer suspected keeps its row, at the end, until it has that label. images: columns path,
    label and sha256 of all.
    """
    filled = corrections_of(list(earlier))
    there = {str(one["sha256"]): one for one in images[["path", "label", "sha256"]].to_dict("records")}
    suspected = [str(digest) for digest in suspects["sha256"]]
    typed = [filled[digest][CORRECTION] if digest in filled else "" for digest in suspected]
    left = [
        row | {str(name): str(value) for name, value in there[digest].items()}
        for digest, row in filled.items()
        if digest in there and there[digest]["label"] != row[CORRECTION] and digest not in suspected
    ]
    kept = pd.DataFrame(left, columns=list(ISSUE_COLUMNS)).replace("", None) if left else None
    found = suspects.assign(**{CORRECTION: typed})
    return found if kept is None else pd.concat([found, kept], ignore_index=True)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What labels are judged by; row i of each part is the same image, of any split."""

    table: pd.DataFrame
    features: NDArray[np.float32]  # (n, d), of the frozen backbone
    labels: NDArray[np.int64]  # (n,), index into class_names
    groups: NDArray[np.int64]  # (n,), the image's unit
    class_names: tuple[str, ...]


def read_evidence() -> Evidence:
    """All images of all splits."""
    splits = [read_split(PREPARED, name) for name in SPLITS]
    table = pd.concat([split.table for split in splits], ignore_index=True)
    features = np.concatenate([read_features(FEATURES, name) for name in SPLITS])
    labels = np.concatenate([split.labels for split in splits])
    return Evidence(table, features, labels, unit_numbers(table), read_dataset(PREPARED).class_names)
