"""Images that look alike, by their features: groups that a person labels at one go. Knows arrays only.

Which method and size: benchmarks/review_beginning.py groups. K-means on 64 principal components, 16 images a group,
needs the fewest clicks on average; hierarchical methods are as good and need the square of the images in memory.
"""

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]

SIZE = 16  # images of a group, on average: they fit on one screen
COMPONENTS = 64
MOST_AT_ONCE = 3000  # images that are grouped; the others wait for their turn


def alike(features: Features, size: int = SIZE, seed: int = 0) -> list[NDArray[np.int64]]:
    """Groups of the rows of `features` (n, d): in a group the most typical image first, the closest group first.

    At most `MOST_AT_ONCE` rows, drawn at random, are in a group.
    """
    rows = np.arange(len(features))
    if len(rows) > MOST_AT_ONCE:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_AT_ONCE, replace=False))
    if len(rows) <= size:
        return [rows] if len(rows) else []
    from sklearn.cluster import KMeans

    points = projected(features[rows], seed)
    found = KMeans(round(len(rows) / size), n_init=3, random_state=seed).fit(points)
    away = np.linalg.norm(points - found.cluster_centers_[found.labels_], axis=1)
    groups = [np.flatnonzero(found.labels_ == number) for number in range(found.n_clusters)]
    groups = sorted((group for group in groups if len(group)), key=lambda group: (float(away[group].mean()), group[0]))
    return [rows[group[np.argsort(away[group], kind="stable")]] for group in groups]


def projected(features: Features, seed: int = 0) -> Features:
    """The features, (n, d), on the unit sphere, in their first principal components."""
    from sklearn.decomposition import PCA

    on_sphere = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    components = min(COMPONENTS, *on_sphere.shape)
    found: Features = PCA(components, random_state=seed).fit_transform(on_sphere).astype(np.float32)
    return found
