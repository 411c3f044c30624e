"""How many planted label errors the audit finds, and how many of its suspects were planted.

    python benchmarks/label_errors.py [SHARE]      after `nightshift train` or `nightshift data check`

Swaps the labels of SHARE (default 0.05) of the images of data/prepared, five times with other seeds, and audits each
time. Labels that were wrong before count as false alarms, so precision is a lower bound.
"""

import sys

import numpy as np

from pipeline.checks.label_issues import label_issues, out_of_fold, read_evidence
from pipeline.params.file import load_params


def main(share: float) -> None:
    """Print precision and recall of each round."""
    params, found = load_params(), read_evidence()
    for seed in range(5):
        rng = np.random.default_rng(seed)
        planted = rng.choice(len(found.labels), round(share * len(found.labels)), replace=False)
        spoilt = found.labels.copy()
        spoilt[planted] = (found.labels[planted] + rng.integers(1, len(found.class_names), len(planted))) % len(
            found.class_names
        )
        answers = out_of_fold(found.features, spoilt, found.groups, params.audit.folds, params.seed)
        suspects = label_issues(found.table, spoilt, answers, found.class_names)["path"]
        hit = suspects.isin(found.table["path"].iloc[planted])
        top = hit.head(len(planted)).mean()
        print(
            f"seed {seed}: {len(planted)} planted, {len(suspects)} suspected; recall {hit.sum() / len(planted):.2f}, "
            f"precision {hit.mean():.2f}, of the first {len(planted)} {top:.2f}"
        )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.05)
