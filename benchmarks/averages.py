"""What averages cost a night: images/s of one network, of one with test-time flips, of two, and of two with flips.

    python benchmarks/averages.py [--images 64] [--rounds 9]

The network of params.yaml with a random head, exported as training does it; the four run in turns on all cores, so
that other work on the machine slows them alike. Printed: the best of all rounds, and how many times as long it takes.
"""

import argparse
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

from pipeline.backbones.build import build_backbone
from pipeline.model.contract import NETWORK
from pipeline.model.engine import openvino_network
from pipeline.model.export import export_openvino
from pipeline.model.mean_network import mean_network
from pipeline.model.precision import Numbers, has_bfloat16
from pipeline.params.file import Params, load_params
from pipeline.training.recipe import assemble, head

CLASSES = 2


def classifiers(params: Params) -> dict[str, keras.Model]:
    """The four, by name; the second network's weights are not the first one's."""
    keras.utils.set_random_seed(params.seed)
    one, other = (assemble(build_backbone(params.model, params.images), head(CLASSES), 0.2, seed) for seed in (1, 2))
    other.set_weights([weight * np.float32(0.99) for weight in other.get_weights()])
    both = [one, other]
    return {
        "one": one, "flips": mean_network([one], flips=True), "two": mean_network(both, flips=False),
        "two, flips": mean_network(both, flips=True),
    }  # fmt: skip


def seconds(folder: Path, names: list[str], numbers: Numbers, images: np.ndarray, rounds: int) -> dict[str, float]:
    """The shortest time of each network for all images, over rounds in which they take turns."""
    threads = load_params().compute.threads
    networks = {name: openvino_network(folder / name / NETWORK, threads, numbers) for name in names}
    taken: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, network in networks.items():
            began = time.perf_counter()
            network(images)
            taken[name].append(time.perf_counter() - began)
    return {name: min(of_name[1:] or of_name) for name, of_name in taken.items()}


def main() -> None:
    """Export, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    options, params = parser.parse_args(), load_params()
    shape = (options.images, params.images.height, params.images.width, 3)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    with tempfile.TemporaryDirectory() as room:
        models = classifiers(params)
        for name, model in models.items():
            export_openvino(model, Path(room) / name)
        formats: tuple[Numbers, ...] = ("f32", "bf16") if has_bfloat16() else ("f32",)
        for numbers in formats:
            found = seconds(Path(room), list(models), numbers, images, options.rounds)
            for name, taken in found.items():
                print(f"{numbers}: {name}: {options.images / taken:.0f} images/s, {taken / found['one']:.2f} times")


if __name__ == "__main__":
    main()
