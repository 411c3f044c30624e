"""How often `max_loss` and McNemar's test refuse a model that is truly worse than the champion by a given amount.

`python -m benchmarks.gate` prints the figures beside `max_loss` in params.yaml. Two classes of the same size.
"""

import numpy as np

from pipeline.params.file import load_params
from pipeline.registry.comparison import Changed

TRIES = 20_000
DIFFERING = 0.1  # share of the images that only one of the two models has right
WORSE = (0.0, 0.01, 0.02, 0.03, 0.05, 0.08)


def refused(images: int, differing: float, worse: float, max_loss: float, rare: float) -> float:
    """The share of refusals among models that are truly `worse`, each measured on `images` test images."""
    gained, lost = (differing - worse) / 2, (differing + worse) / 2
    drawn = np.random.default_rng(0).multinomial(images, [gained, lost, 1 - gained - lost], TRIES)[:, :2]
    pairs, times = np.unique(drawn, axis=0, return_counts=True)
    refusals = [
        (lost - gained) / images > max_loss or (lost > gained and Changed(gained, lost).p_value < rare)
        for gained, lost in pairs.tolist()
    ]
    return float(times[refusals].sum() / TRIES)


def main() -> None:
    """The table."""
    params = load_params()
    max_loss, rare = params.register_.gate.max_loss, 1 - params.evaluate.interval_level
    print(f"max_loss {max_loss:g}; refused of models that are truly worse by")
    print("images " + "".join(f"{worse:>8.0%}" for worse in WORSE))
    for images in (100, 393, 1000, 5000):
        shares = (refused(images, DIFFERING, worse, max_loss, rare) for worse in WORSE)
        print(f"{images:6d} " + "".join(f"{share:>8.0%}" for share in shares))


if __name__ == "__main__":
    main()
