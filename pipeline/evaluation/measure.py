"""Every measurement of one model on the test split. Draws nothing and writes nothing."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from pipeline.data.bursts import bursts_of
from pipeline.data.prepared import Split, SplitFrames
from pipeline.data.split_units import unit_numbers
from pipeline.evaluation.event_scores import event_scores
from pipeline.evaluation.findings import Findings
from pipeline.evaluation.frame_scores import frame_scores
from pipeline.evaluation.headlines import headlines
from pipeline.evaluation.metrics import expected_calibration_error
from pipeline.evaluation.results import ClassScores, Evaluation, FrameScores, SliceCounts
from pipeline.evaluation.robustness import CLEAN, measure_robustness
from pipeline.evaluation.saliency import explain
from pipeline.evaluation.set_scores import set_scores
from pipeline.evaluation.shares import Groups, share_interval
from pipeline.evaluation.slices import measure_slices, slice_columns
from pipeline.model.answers import Answers, Judged, ask, in_batches, outputs_of
from pipeline.model.engine import Engine
from pipeline.model.reference import Reference, read_reference
from pipeline.params.file import Params
from pipeline.params.model import Evaluate


def measure(
    engine: Engine, folder: Path, test: Split, params: Params, frames: SplitFrames | None = None
) -> tuple[Findings, Judged]:
    """The findings about the model in `folder`, loaded as `engine`, and its answers on the test split.

    frames: of the test files of several.
    """
    reference = read_reference(folder, engine.contract)
    judged = ask_about(engine, reference, test, params.batch.batch_size)
    slices = measure_slices(slice_columns(test.table, params.evaluate.slices), judged, params.evaluate)
    robustness = evidence = None
    if params.evaluate.robustness:
        robustness = measure_robustness(
            engine, reference, test.images, judged, params.seed, params.batch.batch_size, params.compute.threads
        )
    if params.evaluate.explained:
        evidence = explain(folder, engine, judged, test.images, params.evaluate.explained)
    evaluation = evaluate(judged, slices, robustness, params.evaluate, params.seed)
    rule, level = engine.contract.events, params.evaluate.interval_level
    gap = rule.burst_seconds if rule else params.preprocess.burst_seconds
    found = event_scores(judged, bursts_of(test.table, gap), gap, rule, level)
    of_frames = ask_about_frames(engine, reference, test, judged, frames, params) if frames else None
    evaluation = evaluation.model_copy(update={"events": found, "frames": of_frames})
    return Findings(evaluation, slices, robustness, evidence), judged


def ask_about(engine: Engine, reference: Reference | None, test: Split, batch_size: int) -> Judged:
    """The model's answers on the test split."""
    outputs = outputs_of(engine, reference, in_batches(test.images, batch_size, "evaluate"))
    return ask(engine, test.labels, outputs, unit_numbers(test.table))


def ask_about_frames(
    engine: Engine, reference: Reference | None, test: Split, judged: Judged, frames: SplitFrames, params: Params
) -> FrameScores | None:
    """The scores of the test files of several frames. judged: the answers on the test split."""
    rows = frames.rows[frames.readable]
    batches = in_batches(frames.readable, params.batch.batch_size, "frames")
    outputs = outputs_of(engine, reference, (frames.images[part] for part in batches))
    found = ask(engine, test.labels[rows], outputs, unit_numbers(test.table)[rows])
    odd = None if judged.outliers is None else judged.outliers[rows]
    return frame_scores(found, rows, engine.contract.frames, params.evaluate.interval_level, odd)


def evaluate(
    judged: Judged, slices: pd.DataFrame, robustness: pd.DataFrame | None, params: Evaluate, seed: int
) -> Evaluation:
    """The numbers of reports/evaluation.json."""
    answers, raw, sure = judged.answers, judged.uncalibrated, ~judged.unsure
    corrupted = None
    if robustness is not None:
        corrupted = float(robustness.loc[robustness["corruption"] != CLEAN, "balanced_accuracy"].mean())
    return Evaluation(
        images=len(answers.labels),
        metrics=headlines(answers, params, seed, judged.groups),
        expected_calibration_error_without_temperature=expected_calibration_error(raw.labels, raw.probabilities),
        unsure_share=float(np.mean(~sure)),
        accuracy_when_sure=share_interval(answers.correct[sure], judged.groups[sure], params.interval_level),
        classes=per_class(answers, judged.class_names, judged.groups, params.interval_level),
        slices=SliceCounts(compared=len(slices), worse=int(slices["worse"].sum())),
        corrupted_balanced_accuracy=corrupted,
        candidates=set_scores(judged, params.interval_level),
    )


def per_class(answers: Answers, class_names: tuple[str, ...], groups: Groups, level: float) -> dict[str, ClassScores]:
    """The scores of each class, by name. Images of one group are not independent evidence."""
    classes = np.arange(len(class_names))
    table = precision_recall_fscore_support(answers.labels, answers.predicted, labels=classes, zero_division=0)
    found = {}
    for number, name, precision, recall, f1, images in zip(classes, class_names, *table, strict=True):
        positive, scores = answers.labels == number, answers.probabilities[:, number]
        both = 0 < images < len(positive)
        of_given, of_label = (
            share_interval(answers.correct[rows], groups[rows], level)
            for rows in (answers.predicted == number, positive)
        )
        found[name] = ClassScores(
            precision=float(precision),
            recall=float(recall),
            f1=float(f1),
            roc_auc=float(roc_auc_score(positive, scores)) if both else None,
            average_precision=float(average_precision_score(positive, scores)) if both else None,
            images=int(images),
            precision_low=of_given.low if of_given else 0,
            precision_high=of_given.high if of_given else 1,
            recall_low=of_label.low if of_label else 0,
            recall_high=of_label.high if of_label else 1,
        )
    return found


def predictions_table(judged: Judged, test: Split) -> pd.DataFrame:
    """One row per test image: path, label, answer, confidence."""
    names = np.asarray(judged.class_names)
    return pd.DataFrame(
        {
            "path": test.table["path"],
            "label": names[judged.answers.labels],
            "predicted": names[judged.answers.predicted],
            "confidence": judged.answers.confidence,
        }
    )
