"""The gate as a table; the registry itself is tested in test_training.py on a real store."""

import pytest

from pipeline.params_model import Gate
from pipeline.register import gate_failures

GATE = Gate(min_accuracy=0.8, min_balanced_accuracy=0.7, max_log_loss=0.5, max_export_difference=0.001)


def evaluation(accuracy: float = 0.9, balanced_accuracy: float = 0.9, log_loss: float = 0.2) -> dict[str, object]:
    values = {"accuracy": accuracy, "balanced_accuracy": balanced_accuracy, "log_loss": log_loss}
    return {name: {"value": value, "low": value, "high": value} for name, value in values.items()}


@pytest.mark.parametrize(
    ("metrics", "difference", "missed"),
    [
        ({}, 1e-6, []),
        ({"accuracy": 0.8, "balanced_accuracy": 0.7, "log_loss": 0.5}, 0.001, []),
        ({"accuracy": 0.79}, 1e-6, ["min_accuracy"]),
        ({"balanced_accuracy": 0.5}, 1e-6, ["min_balanced_accuracy"]),
        ({"log_loss": 0.6}, 1e-6, ["max_log_loss"]),
        ({}, 0.01, ["max_export_difference"]),
        ({"accuracy": 0.1, "log_loss": 9.0}, 0.5, ["min_accuracy", "max_log_loss", "max_export_difference"]),
    ],
    ids=["good", "just good enough", "accuracy", "balanced", "log loss", "export", "several"],
)
def test_the_gate_names_every_limit_that_is_missed(
    metrics: dict[str, float], difference: float, missed: list[str]
) -> None:
    reasons = list(gate_failures(evaluation(**metrics), difference, GATE))
    assert [next(key for key in Gate.model_fields if f"gate.{key} " in reason) for reason in reasons] == missed
