"""How often the gate refuses a model whose true quality is known: figures in params.yaml and docs/models.md.

`python -m benchmarks.gate` takes half a minute. First `max_loss` and McNemar's test, of a model that is truly worse
than the champion by a given amount; two classes of the same size. Then `max_expected_calibration_error`, of a model
whose confidence is too high by a given amount: where the measured error decides, and where its interval does.
"""

import numpy as np

from pipeline.evaluation.confidence import calibration_error_ends
from pipeline.evaluation.metrics import expected_calibration_error
from pipeline.model.answers import Answers
from pipeline.params.file import load_params
from pipeline.registry.comparison import Changed

TRIES = 20_000
DIFFERING = 0.1  # share of the images that only one of the two models has right
WORSE = (0.0, 0.01, 0.02, 0.03, 0.05, 0.08)
CALIBRATED = 400  # models of each kind
RESAMPLES = 400
TOO_SURE = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.35)  # confidence minus the share of right answers


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


def badly_calibrated(images: int, too_sure: float, limit: float, level: float) -> tuple[float, float]:
    """The shares refused among models that are `too_sure`: by the measured error, and by the interval's lower end."""
    rng, alone = np.random.default_rng(0), np.arange(images)
    by_value = by_interval = 0
    for seed in range(CALIBRATED):
        confidence = 1 - rng.random(images) ** 3 / 2  # 0.5 to 1, mostly high
        labels = (rng.random(images) >= confidence - too_sure).astype(np.int64)
        answers = Answers(labels, np.stack([confidence, 1 - confidence], axis=1).astype(np.float32))
        ends = calibration_error_ends(answers, alone, RESAMPLES, level, seed)
        by_value += expected_calibration_error(labels, answers.probabilities) > limit
        by_interval += bool(ends) and ends[0] > limit
    return by_value / CALIBRATED, by_interval / CALIBRATED


def main() -> None:
    """The tables."""
    params = load_params()
    max_loss, rare = params.register_.gate.max_loss, 1 - params.evaluate.interval_level
    print(f"max_loss {max_loss:g}; refused of models that are truly worse by")
    print("images " + "".join(f"{worse:>8.0%}" for worse in WORSE))
    for images in (100, 393, 1000, 5000):
        shares = (refused(images, DIFFERING, worse, max_loss, rare) for worse in WORSE)
        print(f"{images:6d} " + "".join(f"{share:>8.0%}" for share in shares))
    limit = params.register_.gate.max_expected_calibration_error
    print(f"max_expected_calibration_error {limit:g}; refused by value, by interval, of models too sure by")
    print("images " + "".join(f"{too_sure:>12.0%}" for too_sure in TOO_SURE))
    for images in (30, 60, 100, 393):
        both = (badly_calibrated(images, too_sure, limit, 1 - rare) for too_sure in TOO_SURE)
        print(f"{images:6d} " + "".join(f"{f'{value:.0%}, {interval:.0%}':>12}" for value, interval in both))


if __name__ == "__main__":
    main()
