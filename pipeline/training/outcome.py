"""Write a fitted network as a model: its files, contract and reference; metrics, curves, figures."""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.core.log import log
from pipeline.core.paths import AUGMENTED_FIGURE, CURVES, CURVES_FIGURE, MODEL
from pipeline.core.terminal import is_marked
from pipeline.core.text import named
from pipeline.data.prepared import Split
from pipeline.data.split_units import unit_numbers
from pipeline.evaluation.results import TrainingResult, write_training
from pipeline.model.answers import in_batches, judged_of
from pipeline.model.certificate import FramesRule
from pipeline.model.contract import INT8, KERAS, OPENVINO, Contract, Int8, weights_sha256, write_contract
from pipeline.model.engine import Judging, load_judging, on_gpu, probabilities
from pipeline.model.export import COMPARED_IMAGES, compute_in_float32, export_openvino, largest_difference
from pipeline.model.precision import Numbers, has_bfloat16, has_int8, numbers_of
from pipeline.model.quantize import has_nncf, quantize
from pipeline.model.reference import Reference, ValidationAnswers, make_reference, refitted, sampled, write_reference
from pipeline.params.file import Params
from pipeline.storage.files import replacing, sha256_of_file
from pipeline.training.augment import draw_augmented
from pipeline.training.calibration import HELD, Calibration, answers_hold, calibrate
from pipeline.training.conformal import candidates_above, fewest_images
from pipeline.training.curves import write_curves
from pipeline.training.event_rule import event_rule
from pipeline.training.frames_rule import frames_rule
from pipeline.training.inputs import Data
from pipeline.training.recipe import Trained
from pipeline.training.strangers import strangers_seen
from pipeline.versions.dvc import git_commit

JUDGED_AT_ONCE = 32  # images


def write_results(params: Params, data: Data, trained: Trained) -> tuple[Contract, TrainingResult]:
    """Write the model with its contract, the metrics, the curves and the figure of the augmentation."""
    dataset = data.dataset
    compute_in_float32(trained.model)
    warn_of_gap(trained.kept["gap_accuracy"], params.train.max_gap)
    with replacing(MODEL) as beside:
        beside.mkdir()
        trained.model.save(beside / KERAS)
        export_openvino(trained.model, beside / OPENVINO)
        plain, asked, in_bfloat16 = ask(beside, data.val, params)
        reference = reference_of(params, data, trained, asked)
        in_int8 = ask_in_int8(beside, data, plain, Fitted(asked, reference), params)
        found = asked.calibration
        contract = Contract(
            class_names=dataset.class_names,
            images=dataset.images,
            backbone=params.model.backbone,
            temperature=found.temperature,
            unsure_below=found.unsure_below,
            dataset_sha256=dataset.sha256,
            weights_sha256=weights_sha256(beside),
            keras_sha256=sha256_of_file(beside / KERAS),
            code_commit=git_commit(),
            bfloat16=in_bfloat16,
            candidates_above=candidates_of(asked, data, params.train.set_error),
            certificate=found.certificate,
            int8=write_int8(beside / INT8, in_int8, data, params.train.set_error) if in_int8 else None,
            events=event_rule(asked.probabilities, data.val, params),
            frames=rule_of_frames(asked, data, params),
            export_difference=export_difference(beside, data.val, found.temperature),
            **write_reference(beside, reference),
        )
        write_contract(beside, contract)
    if in_int8 and numbers_of(contract, params.compute) == "int8":
        found = in_int8.asked.calibration  # nights on this machine go by it
    result = TrainingResult(
        **found.metrics,
        temperature=found.temperature,
        unsure_below=found.unsure_below,
        gap_accuracy=trained.kept["gap_accuracy"],
        gap_loss=trained.kept["gap_loss"],
        epochs=len(trained.curves),
        certificate=found.certificate,
    )
    report_threshold(found)
    if contract.frames:
        log.info("%s", contract.frames.words)
    write_training(result)
    write_curves(trained.curves, CURVES, CURVES_FIGURE)
    with replacing(AUGMENTED_FIGURE) as beside:
        draw_augmented(data.train.images, params.augment, params.seed).savefig(beside)
    return contract, result


def export_difference(folder: Path, val: Split, temperature: float) -> float | None:
    """How far the exported network's answers are from Keras', while TensorFlow is imported; None on a GPU."""
    if tf.config.get_visible_devices("GPU"):
        return None  # TensorFlow cannot hide it again
    return largest_difference(folder, val.images[:COMPARED_IMAGES], temperature)


def report_threshold(found: Calibration) -> None:
    """Log below which confidence an answer is "unsure", and whether that is certified.

    The command that runs this stage, if one does, says the latter itself, with the gate's decision.
    """
    certificate, unsure = found.certificate, f"Answers with a confidence below {found.unsure_below:.3f} are unsure."
    if certificate and is_marked():
        log.info("%s", unsure)
        log.debug("%s", certificate.words)
        return
    tell = log.info if certificate is None or certificate.certified else log.warning
    tell("%s %s", unsure, certificate.words if certificate else "Not certified: train.target_confidence is null.")


def warn_of_gap(gap: float, max_gap: float) -> None:
    """Warn that the network overfits, and say what helps."""
    if gap > max_gap:
        log.warning(
            "Overfitting: accuracy on training images is %.3f higher than on validation images (train.max_gap allows "
            "%.3f). What helps: more images, stronger augmentation (`augment`), more dropout or weight_decay, fewer "
            "steps or epochs.",
            gap, max_gap,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A network as the night will run it, and its outputs for the validation images."""

    numbers: Numbers
    judging: Judging
    embeddings: NDArray[np.float32]  # (n, d)
    probabilities: NDArray[np.float32]  # (n, classes)
    calibration: Calibration


@dataclass(frozen=True, slots=True)
class Fitted:
    """A network as the night may run it, with the reference for its embeddings."""

    asked: Asked
    reference: Reference

    def scores(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The outlier scores of `images` (n, height, width, 3)."""
        return self.reference.scores(self.asked.judging(images)[1])


def ask(folder: Path, val: Split, params: Params) -> tuple[Asked, Asked, bool | None]:
    """Run the network in `folder` in float32, and in bfloat16 if its metrics hold there: the second is the night's.

    Also returns whether they hold; None: not tried. Only a CPU with bfloat16 tries it. Temperature and threshold are
    fitted to the outputs of each.
    """
    plain = ask_in("f32", folder, val, params)
    if on_gpu(params.compute) or not has_bfloat16():
        return plain, plain, None
    short = ask_in("bf16", folder, val, params)
    holds = answers_hold(plain.calibration.metrics, short.calibration.metrics, params.train.max_bfloat16_loss)
    log.info(
        "This processor computes in bfloat16 itself, about twice as fast as in float32. On validation images: accuracy "
        "%.3f (in float32 %.3f), balanced accuracy %.3f (%.3f), calibration error %.3f (%.3f). %s.",
        *(one.calibration.metrics[name] for name in HELD for one in (short, plain)),
        "So nights compute in bfloat16" if holds else
        "That is a loss of more than train.max_bfloat16_loss, so nights compute in float32",
    )  # fmt: skip
    return plain, (short if holds else plain), holds


def ask_in_int8(folder: Path, data: Data, plain: Asked, float_: Fitted, params: Params) -> Fitted | None:
    """Quantize the network in `folder` and ask it; None, and no files, if its metrics do not hold in int8.

    They are those of bfloat16, compared with `plain`, and how well outlier scores see strangers, compared with
    `float_`, which nights would otherwise run. Only a CPU that is fast in int8 tries it.
    """
    limit, compute = params.train.max_int8_loss, params.compute
    if limit is None or on_gpu(compute):
        return None
    if not (has_int8() and has_nncf()):
        log.info(
            "int8 was not tried (train.max_int8_loss): %s.", "the extra int8 is missing, `pip install "
            "'nightshift[int8]'` adds it" if has_int8() else "this processor has no instructions for it",
        )  # fmt: skip
        return None
    quantize(folder, folder / INT8, data.train.images)
    short = ask_in("int8", folder, data.val, params)
    kept = float_.reference
    embeddings = embeddings_of(short, data, sampled(len(data.train.labels), params.seed))
    fitted = Fitted(
        short,
        refitted(kept, embeddings, answers_for(data, short), data.dataset.class_names, params.train.outlier_alarms),
    )
    seen, seen_before = (strangers_seen(one.scores, data.val.images, params.seed) for one in (fitted, float_))
    now, before = short.calibration.metrics, plain.calibration.metrics
    holds = answers_hold(before, now, limit) and seen_before - seen <= limit
    log.info(
        "In int8, on validation images: accuracy %.3f (in float32 %.3f), balanced accuracy %.3f (%.3f), calibration "
        "error %.3f (%.3f), AUROC of strangers %.3f (%.3f). %s.",
        *(one[name] for name in HELD for one in (now, before)), seen, seen_before,
        "So nights compute in int8" if holds else
        "That is a loss of more than train.max_int8_loss, so they do not compute in int8",
    )  # fmt: skip
    if not holds:
        shutil.rmtree(folder / INT8)
        return None
    return fitted


def write_int8(folder: Path, fitted: Fitted, data: Data, error: float) -> Int8:
    """Write the reference of the int8 network in `folder`; returns the contract's part about that network."""
    asked = fitted.asked
    return Int8(
        weights_sha256=weights_sha256(folder),
        temperature=asked.calibration.temperature,
        unsure_below=asked.calibration.unsure_below,
        candidates_above=candidates_above(asked.probabilities, data.val.labels, unit_numbers(data.val.table), error),
        certificate=asked.calibration.certificate,
        **write_reference(folder, fitted.reference),
    )


def ask_in(numbers: Numbers, folder: Path, val: Split, params: Params) -> Asked:
    """Run the network in `folder` in the number format `numbers`, and calibrate its outputs."""
    judging = load_judging(folder, params.compute, numbers)
    logits, embeddings = judged_of(judging, in_batches(val.images, JUDGED_AT_ONCE, f"calibrate {numbers}"))
    found = calibrate(
        logits, val.labels, unit_numbers(val.table), params.train.target_precision, params.train.target_confidence
    )
    return Asked(numbers, judging, embeddings, probabilities(logits, found.temperature), found)


def candidates_of(asked: Asked, data: Data, error: float) -> tuple[float, ...]:
    """The contract's `candidates_above`, with a warning that names the classes that can never be excluded."""
    found = candidates_above(asked.probabilities, data.val.labels, unit_numbers(data.val.table), error)
    if always := [name for name, above in zip(data.dataset.class_names, found, strict=True) if above == 0]:
        log.warning(
            "Too few validation images to ever exclude %s: every image's candidates will include %s. A class needs %d "
            "scenes among the validation images for train.set_error %g: add images, or raise train.set_error.",
            named(always), "it" if len(always) == 1 else "them", fewest_images(error), error,
        )  # fmt: skip
    return found


def rule_of_frames(asked: Asked, data: Data, params: Params) -> FramesRule | None:
    """The contract's `frames`: its promises about files of several frames, by those of the validation files."""
    if (frames := data.val_frames) is None:
        return None
    batches = (frames.images[part] for part in in_batches(frames.readable, JUDGED_AT_ONCE, "frames"))
    found = probabilities(judged_of(asked.judging, batches)[0], asked.calibration.temperature)
    return frames_rule(found, frames, data.val, params.train)


def reference_of(params: Params, data: Data, trained: Trained, asked: Asked) -> Reference:
    """The reference for the night's images; training images are embedded again unless their features are the same."""
    rows = sampled(len(data.train.labels), params.seed)
    if trained.is_frozen and data.train_features is not None and asked.numbers == "f32":
        embeddings = data.train_features[rows]
    else:
        embeddings = embeddings_of(asked, data, rows)
    val = answers_for(data, asked)
    names, alarms = data.dataset.class_names, params.train.outlier_alarms
    reference = make_reference(data.train, rows, embeddings, val, names, alarms, params.seed)
    if reference.outlier_alarms != alarms:
        log.warning(
            "%d validation images cannot show which images are unlike them at train.outlier_alarms %g; that takes %d. "
            "What is further off than all of them is an outlier: about %.2f of the images like them are, too.",
            len(data.val.labels), alarms, math.ceil(1 / alarms - 1), reference.outlier_alarms,
        )  # fmt: skip
    return reference


def embeddings_of(asked: Asked, data: Data, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The embeddings of these training images, (len(rows), d)."""
    batches = (data.train.images[part] for part in in_batches(rows, JUDGED_AT_ONCE, "reference"))
    return judged_of(asked.judging, batches)[1]


def answers_for(data: Data, asked: Asked) -> ValidationAnswers:
    """The network's answers for the validation images, as a reference takes them."""
    return ValidationAnswers(data.val, asked.embeddings, asked.probabilities)
