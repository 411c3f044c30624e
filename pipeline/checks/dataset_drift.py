"""How far images have moved from those before: their measures, and the shares of their classes. Knows tables only."""

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, ks_2samp

MEASURES = ("brightness", "contrast", "sharpness", "entropy", "aspect", "width", "height", "bytes")
LEAST = 30  # images on either side, for a distribution to be compared
SURE = 0.001  # probability by which a difference may be chance and still be called drift


def compare(manifest: pd.DataFrame, baseline: pd.DataFrame) -> pd.DataFrame:
    """How far each measure, and the share of each class, has moved since `baseline`: measure, statistic, p_value.

    For measures, the two-sample Kolmogorov-Smirnov statistic (0 to 1); for `label`, half the sum of the differences of
    the classes' shares (total variation, 0 to 1). A difference that may be chance counts as none.
    """
    old, new = (table[table["readable"]] for table in (baseline, manifest))
    rows = []
    if min(len(old), len(new)) >= LEAST and sorted(old["sha256"]) != sorted(new["sha256"]):
        for measure in MEASURES:
            if measure in old and measure in new:
                test = ks_2samp(old[measure].astype("float64"), new[measure].astype("float64"))
                rows.append((measure, float(test.statistic), float(test.pvalue)))
        counts = pd.concat([table["label"].value_counts() for table in (old, new)], axis=1).fillna(0).to_numpy()
        shares = counts / counts.sum(axis=0)
        p_value = chi2_contingency(counts).pvalue if len(counts) > 1 else 1.0
        rows.append(("label", float(np.abs(shares[:, 0] - shares[:, 1]).sum() / 2), float(p_value)))
    table = pd.DataFrame(rows, columns=["measure", "statistic", "p_value"])
    return table.assign(statistic=table["statistic"].where(table["p_value"] < SURE, 0.0))
