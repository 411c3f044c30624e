"""How well outlier scores tell validation images from strangers, which are made of them. Knows no network."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from pipeline.model.answers import in_batches

TILES = 4  # along each side
MOST = 500  # images
AT_ONCE = 32

Scoring = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # images (n, height, width, 3) -> outlier scores (n,)


def strangers_seen(score: Scoring, images: NDArray[np.uint8], seed: int) -> float:
    """The AUROC of outlier scores: `images` (n, height, width, 3) against the same with their tiles in another order.

    1: every stranger scores higher than every image; 0.5: the scores tell nothing. At most MOST images are scored.
    """
    draw = np.random.default_rng(seed)
    own: list[NDArray[np.float32]] = []
    strange: list[NDArray[np.float32]] = []
    rows = np.unique(np.linspace(0, len(images) - 1, min(MOST, len(images))).astype(np.int64))
    for part in in_batches(rows, AT_ONCE, "strangers"):
        batch = np.asarray(images[part])
        own.append(score(batch))
        strange.append(score(shuffled(batch, draw)))
    return float(roc_auc_score(np.repeat([0, 1], len(rows)), np.concatenate(own + strange)))


def shuffled(images: NDArray[np.uint8], draw: np.random.Generator) -> NDArray[np.uint8]:
    """The images with their TILES x TILES tiles in an order that `draw` gives; what is left at the edges stays."""
    found = np.array(images)
    height, width = (side // TILES for side in images.shape[1:3])
    places = [(row * height, column * width) for row in range(TILES) for column in range(TILES)]
    for (top, left), (from_top, from_left) in zip(places, draw.permutation(places), strict=True):
        tile = images[:, from_top : from_top + height, from_left : from_left + width]
        found[:, top : top + height, left : left + width] = tile
    return found
