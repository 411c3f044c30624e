"""A finished night as an MLflow run: a history that survives the folders. Changes nothing of the night."""

import tempfile
from pathlib import Path
from typing import Any

from pipeline import stores
from pipeline.errors import NightshiftError
from pipeline.stage import log
from pipeline.stores import Place
from pipeline.tracking import CONTRACT_TAG, connected, use_experiment

EXPERIMENT = "nights"  # after the model's name
COUNTS = ("listed", "ok", "unsure", "unreadable", "outliers", "flagged", "repeated", "seconds")
FILES = ("summary.json", "review.csv", "review.html")  # no predictions.csv: it may be as large as it likes


def record(output: Place, summary: dict[str, Any], flow_run: str = "") -> None:
    """Keep a night's numbers and review; a store that does not answer is only warned of."""
    import mlflow

    try:
        with connected() as client:
            tags = {
                CONTRACT_TAG: summary["contract_hash"],
                "nightshift.model_version": summary["model_version"],
                "nightshift.input": summary["input"],
                "nightshift.drifted": " ".join(summary.get("drift", {}).get("drifted", [])),
                "prefect.flow_run_id": flow_run,
            }
            with mlflow.start_run(
                experiment_id=use_experiment(client, f"{summary['model_name']}-{EXPERIMENT}"),
                run_name=output.name,
                tags={name: value for name, value in tags.items() if value},
            ):
                mlflow.log_metrics(numbers(summary))
                for name in FILES:
                    if stores.exists(output / name):
                        with tempfile.TemporaryDirectory() as room:
                            copy = Path(room) / name
                            copy.write_bytes(stores.read_bytes(output / name))
                            mlflow.log_artifact(str(copy))
    except NightshiftError as error:
        log.warning("The rows are whole, but the night is not in MLflow's history: %s", error)


def numbers(summary: dict[str, Any]) -> dict[str, float]:
    """The metrics of a night: counts, the shares of the classes, how far each measure drifted."""
    answered = sum(summary["labels"].values())
    return {
        **{name: float(summary[name]) for name in COUNTS if name in summary},
        **{f"share.{_plain(label)}": count / answered for label, count in summary["labels"].items()},
        **{f"drift.{one['measure']}": one["statistic"] for one in summary.get("drift", {}).get("measures", [])},
    }


def _plain(label: str) -> str:
    """A label as MLflow allows it in a metric's name."""
    return "".join(letter if letter.isalnum() or letter in "-_ ." else "_" for letter in label)
