"""What int8 gains over bfloat16 and float32, and what it costs: the current model on test images and photographs.

    cd PROJECT && python -m benchmarks.int8 PHOTOS [--rounds 5]      two minutes of processor time

Quantizes models/current as training does with train.max_int8_loss, into a temporary folder, and fits temperature,
thresholds and outlier limit of each format as training does. Printed for each format, best of the rounds, in which the
formats take turns:

    network     images/s of the network alone, and milliseconds of processor time an image, on test images
    night       the same for PHOTOS from their files: read, decoded, measured, answered, scored
    changed     share of the test images with another label than in float32
    accuracy, balanced, ECE, of the test images
    alarms      share of the test images that are outliers; train.outlier_alarms are allowed
    AUROC       of the outlier scores: test images against PHOTOS, and against themselves with shuffled tiles
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from pipeline.core.paths import MODEL, PREPARED
from pipeline.data.prepared import read_dataset, read_split
from pipeline.evaluation.metrics import accuracy, balanced_accuracy, expected_calibration_error
from pipeline.images.decode import decode
from pipeline.model.contract import INT8, OPENVINO, Contract, read_contract
from pipeline.model.engine import Engine, probabilities
from pipeline.model.precision import Numbers, has_bfloat16, has_int8
from pipeline.model.quantize import quantize
from pipeline.model.reference import Reference, read_reference, refitted, sampled
from pipeline.night.reading import Reading, read_images
from pipeline.night.shard import judge
from pipeline.params.file import Params, load_params
from pipeline.storage.folders import folder_at
from pipeline.training.inputs import Data
from pipeline.training.outcome import Asked, Fitted, answers_for, ask_in, embeddings_of
from pipeline.training.strangers import shuffled

AT_ONCE = 32  # images
TIMED = 384  # test images


@dataclass(frozen=True)
class Format:
    """The model in one number format, fitted as training fits it."""

    fitted: Fitted
    engine: Engine


@dataclass
class Taken:
    """The shortest time of a number of images, and the least processor time."""

    images: int
    seconds: float = np.inf
    processor: float = np.inf

    def time(self, work: Callable[[], object]) -> None:
        """Do it once more."""
        began, before = time.perf_counter(), time.process_time()
        work()
        self.seconds = min(self.seconds, time.perf_counter() - began)
        self.processor = min(self.processor, time.process_time() - before)

    @property
    def words(self) -> str:
        """Images/s, and milliseconds of processor time an image."""
        return f"{self.images / self.seconds:5.0f} {1000 * self.processor / self.images:5.2f}"


def fit(numbers: Numbers, folder: Path, data: Data, params: Params, contract: Contract, first: Reference) -> Format:
    """Ask the network and fit what follows from its answers."""
    asked = ask_in(numbers, folder, data.val, params)
    embeddings = embeddings_of(asked, data, sampled(len(data.train.labels), params.seed))
    names, alarms = data.dataset.class_names, params.train.outlier_alarms
    reference = refitted(first, embeddings, answers_for(data, asked), names, alarms)
    changes = {
        "temperature": asked.calibration.temperature,
        "unsure_below": asked.calibration.unsure_below,
        "outlier_above": reference.outlier_above,
    }
    own = contract.model_copy(update=changes)
    return Format(Fitted(asked, reference), Engine(own, lambda batch: asked.judging(batch)[0], asked.judging))


def in_parts(asked: Asked, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits and embeddings."""
    parts = [asked.judging(np.asarray(images[start : start + AT_ONCE])) for start in range(0, len(images), AT_ONCE)]
    logits, embeddings = (np.concatenate(part) for part in zip(*parts, strict=True))
    return logits, embeddings


def auroc(own: NDArray[np.float32], strange: NDArray[np.float32]) -> float:
    """How often a stranger's score is the larger one."""
    return float(roc_auc_score(np.repeat([0, 1], [len(own), len(strange)]), np.concatenate([own, strange])))


def main() -> None:
    """Fit, time, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options, params = parser.parse_args(), load_params()
    contract = read_contract(MODEL)
    if (first := read_reference(MODEL, contract)) is None:
        sys.exit("The current model has no reference: train it again.")
    data = Data(read_dataset(PREPARED), read_split(PREPARED, "train"), read_split(PREPARED, "val"))
    test = read_split(PREPARED, "test")
    formats: dict[Numbers, Format] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / OPENVINO).symlink_to((MODEL / OPENVINO).absolute())
        began, before = time.perf_counter(), time.process_time()
        quantize(folder, folder / INT8, data.train.images)
        print(f"quantized in {time.perf_counter() - began:.0f} s, {time.process_time() - before:.0f} of the processors")
        names: list[Numbers] = ["f32", *(["bf16"] if has_bfloat16() else []), "int8"]
        for numbers in names:
            formats[numbers] = fit(numbers, folder, data, params, contract, first)
    print(f"this processor is fast in int8: {'yes' if has_int8() else 'no'}")

    files = sorted(file for file in options.photos.iterdir() if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
    photos = np.stack([decode(file.read_bytes(), contract.images).pixels for file in files])
    how, source = Reading(params.compute.threads, 2 * AT_ONCE, 60), folder_at(options.photos)
    timed = np.asarray(test.images[:TIMED])
    network = {numbers: Taken(len(timed)) for numbers in formats}
    night = {numbers: Taken(len(files)) for numbers in formats}

    def classify(one: Format) -> None:
        reads = read_images(source, [file.name for file in files], contract.images, how)
        for _ in judge(reads, one.engine, AT_ONCE, one.fitted.reference):
            pass

    for _ in range(options.rounds):
        for numbers, one in formats.items():
            network[numbers].time(lambda one=one: in_parts(one.fitted.asked, timed))  # type: ignore[misc]
            night[numbers].time(lambda one=one: classify(one))  # type: ignore[misc]

    print("        network     night   changed accuracy balanced   ECE  alarms  AUROC photos  shuffled")
    plain = None
    for numbers, one in formats.items():
        (logits, embeddings), reference = in_parts(one.fitted.asked, test.images), one.fitted.reference
        answers = probabilities(logits, one.engine.contract.temperature)
        plain = answers.argmax(axis=1) if plain is None else plain
        scores = reference.scores(embeddings)
        draw = np.random.default_rng(params.seed)
        strangers = [in_parts(one.fitted.asked, images)[1] for images in (photos, shuffled(test.images, draw))]
        seen = [auroc(scores, reference.scores(found)) for found in strangers]
        changed = np.mean(answers.argmax(axis=1) != plain)
        print(
            f"{numbers:5} {network[numbers].words} {night[numbers].words}  {changed:7.2%}"
            f"   {accuracy(test.labels, answers):.4f}   {balanced_accuracy(test.labels, answers):.4f} "
            f"{expected_calibration_error(test.labels, answers):.4f} {np.mean(scores > reference.outlier_above):7.3f}"
            f"        {seen[0]:.4f}    {seen[1]:.4f}"
        )


if __name__ == "__main__":
    main()
