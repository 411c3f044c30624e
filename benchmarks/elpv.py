"""The published benchmark of the demo set: 2,624 solar cells, a quarter for the test, over several random splits.

    python benchmarks/elpv.py [--seeds 5] [--models cnn frozen fine_tuned] [--results FILE]

Protocol: Deitsch et al., Automatic classification of defective photovoltaic module cells in electroluminescence
images, 2019: 75 % training, 25 % test, stratified by label and cell type, `defective` from a defect probability of 0.5
on. Their convolutional network reaches 88.42 % accuracy, their SVM 82.44 %. A tenth of the training part is the
validation part: it alone decides when to stop. Nothing is chosen on the test part.

Such a split is random, so both halves hold cells photographed twice: the figures compare with the publication's, and
not with those of `nightshift train`, which keeps each scene in one split. With --results an interrupted benchmark goes
on where it stopped. On a CPU, fine-tuning takes minutes a seed.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.model_selection import train_test_split

from pipeline.params import Params

PUBLISHED = 0.8842  # accuracy of the publication's network
TEST_SHARE, VAL_SHARE = 0.25, 0.1  # of all; of the training part


def read_cells(params: Params) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """The table of all cells (path, label, cell_type), and their pixels, (n, height, width, 3)."""
    from importlib import resources

    from pipeline.dataset import DEFECT_CUT
    from pipeline.images import decode

    with resources.as_file(resources.files("elpv_dataset") / "data") as folder:
        columns = ["path", "probability", "cell_type"]
        cells = pd.read_csv(folder / "labels.csv", sep=r"\s+", names=columns)
        pixels = [decode((folder / path).read_bytes(), params.images).pixels for path in cells["path"]]
    defective = cells["probability"].ge(DEFECT_CUT)
    return cells.assign(label=defective.map({True: "defective", False: "functional"})), np.stack(pixels)


def split(cells: pd.DataFrame, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows for training, validation and test."""
    strata = cells["label"] + cells["cell_type"]
    rows = np.arange(len(cells))
    rest, test = train_test_split(rows, test_size=TEST_SHARE, stratify=strata, random_state=seed)
    train, val = train_test_split(rest, test_size=VAL_SHARE, stratify=strata[rest], random_state=seed)
    return train, val, test


def summary(values: pd.Series, test_per_train: float) -> str:
    """Mean, standard deviation, and two 95 % intervals of the mean: plain, and for splits that overlap."""
    count, spread = len(values), values.std(ddof=1)
    quantile = stats.t.ppf(0.975, count - 1)
    plain = quantile * spread / np.sqrt(count)
    # Nadeau and Bengio, Inference for the generalization error, 2003: random splits share most of their images.
    corrected = quantile * spread * np.sqrt(1 / count + test_per_train)
    mean = values.mean()
    return (
        f"{mean:.4f} (sd {spread:.4f}), 95 % interval [{mean - plain:.4f}, {mean + plain:.4f}], "
        f"corrected for overlapping splits [{mean - corrected:.4f}, {mean + corrected:.4f}]"
    )
