"""Every metric, interval and figure, on the test split, asked as the night asks. Changes no model."""

import sys
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from pipeline.core.command import run
from pipeline.core.log import log
from pipeline.core.paths import EVALUATION, FIGURES, MODEL, PREPARED, ROBUSTNESS, SLICES, TEST_PREDICTIONS
from pipeline.data.prepared import Split, read_split
from pipeline.data.units import unit_numbers
from pipeline.evaluation import contact_sheets
from pipeline.evaluation.figures import diagrams
from pipeline.evaluation.findings import Results
from pipeline.evaluation.metrics import (
    Metric,
    accuracy,
    as_text,
    average_precision,
    balanced_accuracy,
    brier_score,
    expected_calibration_error,
    intervals,
    macro_f1,
    macro_precision,
    mean_log_loss,
    roc_auc,
    top_k_accuracy,
)
from pipeline.evaluation.model_card import write_model_card
from pipeline.evaluation.report import write_report
from pipeline.evaluation.robustness import CLEAN, COLUMNS, measure_robustness
from pipeline.evaluation.saliency import Evidence, explain
from pipeline.evaluation.slices import measure_slices, slice_columns
from pipeline.model.answers import Answers, Judged, ask, in_batches, logits_of
from pipeline.model.engine import Engine, load_engine
from pipeline.params.file import Params, load_params
from pipeline.params.model import Evaluate, Intervals
from pipeline.storage.files import replacing, write_json

HEADLINES: dict[str, Metric] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "log_loss": mean_log_loss,
    "macro_precision": macro_precision,
    "macro_f1": macro_f1,
    "brier_score": brier_score,
    "expected_calibration_error": expected_calibration_error,
}
RANKED: dict[str, Metric] = {"roc_auc": roc_auc, "average_precision": average_precision}
TOP_K = (2, 3, 5)  # where there are more classes than that
RANKED_WORK = 500_000_000  # images times classes times resamples: 13 s for each of RANKED; beyond, fewer resamples
FEWEST_RESAMPLES = 200
CALIBRATED_AND_NOT = "expected_calibration_error_without_temperature"


def headlines(answers: Answers, params: Intervals, seed: int, groups: NDArray[np.int64]) -> dict[str, Any]:
    """Each metric over all images, {value, low, high}; None where the test images do not define it."""
    images, classes = answers.probabilities.shape
    top = {f"top_{k}_accuracy": top_k_accuracy.given(k=k) for k in TOP_K if k < classes}
    fewer = max(FEWEST_RESAMPLES, RANKED_WORK // (images * classes))
    ranked = params.model_copy(update={"resamples": min(params.resamples, fewer)})
    known = answers.labels, answers.probabilities
    return {
        **intervals(*known, HEADLINES | top, params, seed, groups),
        **intervals(*known, RANKED, ranked, seed, groups),
    }


def per_class(answers: Answers, class_names: tuple[str, ...]) -> dict[str, dict[str, float | int | None]]:
    """Of each class, against the rest; the areas are None where there are no images of it, or no others."""
    classes = np.arange(len(class_names))
    table = precision_recall_fscore_support(answers.labels, answers.predicted, labels=classes, zero_division=0)
    found: dict[str, dict[str, float | int | None]] = {}
    for number, name, precision, recall, f1, images in zip(classes, class_names, *table, strict=True):
        positive, scores = answers.labels == number, answers.probabilities[:, number]
        both = 0 < images < len(positive)
        found[name] = {
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "roc_auc": float(roc_auc_score(positive, scores)) if both else None,
            "average_precision": float(average_precision_score(positive, scores)) if both else None,
            "images": int(images),
        }
    return found


def evaluate(judged: Judged, params: Evaluate, seed: int) -> dict[str, Any]:
    """The numbers of reports/evaluation.json that do not need the images."""
    answers, raw, sure = judged.answers, judged.uncalibrated, ~judged.unsure
    given = answers.of(sure)
    return {
        "images": len(answers.labels),
        **headlines(answers, params, seed, judged.groups),
        CALIBRATED_AND_NOT: expected_calibration_error(raw.labels, raw.probabilities),
        "unsure_share": float(np.mean(~sure)),
        "accuracy_when_sure": accuracy(given.labels, given.probabilities) if sure.any() else None,
        "classes": per_class(answers, judged.class_names),
    }


def ask_about(engine: Engine, test: Split, batch_size: int) -> Judged:
    """The model's answers on the test split."""
    logits = logits_of(engine.network, in_batches(test.images, batch_size, "evaluate"))
    return ask(engine, test.labels, logits, unit_numbers(test.table))


def draw(
    judged: Judged, test: Split, slices: pd.DataFrame, robustness: pd.DataFrame | None, evidence: Evidence | None,
    seed: int,
) -> dict[str, Figure]:  # fmt: skip
    """Every figure that there is something for, by the name of its file."""
    paths = test.table["path"].tolist()
    found = diagrams(judged, slices, robustness)
    for name, rows in (
        ("mistakes", contact_sheets.mistakes(judged)),
        ("doubtful_hits", contact_sheets.doubtful_hits(judged)),
    ):
        if len(rows):
            found[name] = contact_sheets.draw_sheet(contact_sheets.cells(judged, test.images, paths, rows))
    if robustness is not None:
        by_brightness = test.table["brightness"].to_numpy(dtype="float64").argsort(kind="stable")
        found["corruptions"] = contact_sheets.draw_corruptions(
            test.images[by_brightness[len(by_brightness) // 2]], seed
        )
    if evidence is not None and len(evidence.rows):
        found["evidence"] = contact_sheets.draw_evidence(
            contact_sheets.cells(judged, test.images, paths, evidence.rows), evidence.heat
        )
    return found


def predictions_table(judged: Judged, test: Split) -> pd.DataFrame:
    """One row a test image: path, label, what the model says, how sure it is."""
    names = np.asarray(judged.class_names)
    return pd.DataFrame(
        {
            "path": test.table["path"],
            "label": names[judged.answers.labels],
            "predicted": names[judged.answers.predicted],
            "confidence": judged.answers.confidence,
        }
    )


def measure(engine: Engine, test: Split, params: Params) -> tuple[Results, Judged]:
    """All that is found, of the model and the test split."""
    judged = ask_about(engine, test, params.batch.batch_size)
    metrics = evaluate(judged, params.evaluate, params.seed)
    slices = measure_slices(slice_columns(test.table, params.evaluate.slices), judged, params.evaluate)
    metrics["slices"] = {"compared": len(slices), "worse": int(slices["worse"].sum())}
    robustness = None
    if params.evaluate.robustness:
        robustness = measure_robustness(
            engine, test.images, judged.answers, params.seed, params.batch.batch_size, params.compute.threads
        )
        worse = robustness[robustness["corruption"] != CLEAN]
        metrics["corrupted_balanced_accuracy"] = float(worse["balanced_accuracy"].mean())
    evidence = None
    if params.evaluate.explained:
        evidence = explain(MODEL, engine, judged, test.images, params.evaluate.explained)
    return Results(metrics, slices, robustness, evidence), judged


def main() -> None:
    """The stage."""
    params = load_params()
    engine, test = load_engine(MODEL, params.compute), read_split(PREPARED, "test")
    results, judged = measure(engine, test, params)
    # A label or a file's name with two dollar signs is no formula.
    with mpl.rc_context({"text.parse_math": False}):
        figures = draw(judged, test, results.slices, results.robustness, results.evidence, params.seed)
        with replacing(FIGURES) as beside:
            beside.mkdir()
            for name, figure in figures.items():
                figure.savefig(beside / f"{name}.png")
    write_report(results, judged, figures, engine.contract, params)
    write_model_card(results, engine.contract, params)
    # DVC expects every output: of a table that nobody asked for, the head.
    robustness = pd.DataFrame(columns=list(COLUMNS)) if results.robustness is None else results.robustness
    tables = {SLICES: results.slices, ROBUSTNESS: robustness, TEST_PREDICTIONS: predictions_table(judged, test)}
    for path, table in tables.items():
        with replacing(path) as beside:
            table.to_csv(beside, index=False)
    write_json(EVALUATION, results.metrics)
    for name in ("accuracy", "balanced_accuracy", "log_loss"):
        log.info("%s %s", name, as_text(results.metrics[name]))


if __name__ == "__main__":
    sys.exit(run(main))
