"""The stage: every metric, interval and figure on the test split, with the night's engine. Changes no model."""

import sys

import pandas as pd

from pipeline.core.command import run
from pipeline.core.log import log
from pipeline.core.paths import (
    EVALUATION_REPORT,
    FIGURES,
    LABEL_ISSUES,
    MODEL,
    PREPARED,
    ROBUSTNESS,
    SLICES,
    TEST_PREDICTIONS,
)
from pipeline.data.prepared import read_frames, read_split
from pipeline.data.report_tables import write_table
from pipeline.data.suspects import read_suspects
from pipeline.evaluation.figures import draw_all, write_figures
from pipeline.evaluation.findings import with_suspects
from pipeline.evaluation.measure import measure, predictions_table
from pipeline.evaluation.model_card import write_model_card
from pipeline.evaluation.report import write_report
from pipeline.evaluation.results import write_evaluation, write_few_numbers
from pipeline.evaluation.robustness import ROBUSTNESS_COLUMNS
from pipeline.model.engine import load_engine
from pipeline.params.file import load_params


def main() -> None:
    """Evaluate the current model."""
    params = load_params()
    engine, test = load_engine(MODEL, params.compute, embedding=True), read_split(PREPARED, "test")
    measured, judged = measure(engine, MODEL, test, params, read_frames(PREPARED, "test"))
    findings = with_suspects(measured, judged, list(test.table["path"]), read_suspects(LABEL_ISSUES))
    figures = draw_all(findings, judged, test, params.seed)
    pictures = write_figures(FIGURES, figures)
    write_report(findings, judged, pictures, engine.contract, params)
    write_model_card(findings, engine.contract, params)
    # DVC expects every output, so a table that was not requested still gets its header.
    robustness = pd.DataFrame(columns=list(ROBUSTNESS_COLUMNS)) if findings.robustness is None else findings.robustness
    tables = {SLICES: findings.slices, ROBUSTNESS: robustness, TEST_PREDICTIONS: predictions_table(judged, test)}
    for path, table in tables.items():
        write_table(path, table)
    write_evaluation(findings.evaluation)
    write_few_numbers(findings.evaluation)
    for words in findings.mislabelled:
        log.info("%s See %s.", words, EVALUATION_REPORT)
    for name in ("accuracy", "balanced_accuracy", "log_loss"):
        log.info("%s %s", name.replace("_", " "), findings.evaluation.of(name))
    if judged.outliers is not None:
        log.debug("outliers %d of %d test images", judged.outliers.sum(), len(judged.outliers))


if __name__ == "__main__":
    sys.exit(run(main))
