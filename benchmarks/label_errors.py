"""How many planted label errors the audit finds, and how many of its suspects were planted.

    python benchmarks/label_errors.py [SHARE]      after `nightshift train` or `nightshift data check`

Swaps the labels of SHARE (default 0.05) of the images of data/prepared, five times with other seeds, and audits each
time. Labels that were wrong before count as false alarms, so precision is a lower bound.
"""

import sys

import numpy as np
import pandas as pd

from pipeline.audit import label_issues, out_of_fold
from pipeline.params import load_params
from pipeline.paths import FEATURES, PREPARED
from pipeline.prepared import SPLITS, read_dataset, read_split
from pipeline.splits import units


def main(share: float) -> None:
    """Print precision and recall of each round."""
    params, class_names = load_params(), read_dataset(PREPARED).class_names
    splits = [read_split(PREPARED, name) for name in SPLITS]
    table = pd.concat([split.table for split in splits], ignore_index=True)
    features = np.concatenate([np.load(FEATURES / f"{name}.npy") for name in SPLITS])
    labels = np.concatenate([split.labels for split in splits])
    groups = np.empty(len(table), np.int64)
    for number, rows in enumerate(units(table)):
        groups[rows] = number
    for seed in range(5):
        rng = np.random.default_rng(seed)
        planted = rng.choice(len(labels), round(share * len(labels)), replace=False)
        spoilt = labels.copy()
        spoilt[planted] = (labels[planted] + rng.integers(1, len(class_names), len(planted))) % len(class_names)
        answers = out_of_fold(features, spoilt, groups, params.audit.folds, params.seed)
        suspects = label_issues(table, spoilt, answers, class_names)["path"]
        hit = suspects.isin(table["path"].iloc[planted])
        top = hit.head(len(planted)).mean()
        print(
            f"seed {seed}: {len(planted)} planted, {len(suspects)} suspected; recall {hit.sum() / len(planted):.2f}, "
            f"precision {hit.mean():.2f}, of the first {len(planted)} {top:.2f}"
        )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.05)
