"""Features of the training and validation images from many frozen networks, each computed once and kept on disk.

They lie in `data/.auto/<key>/<network>/`. The images are decoded for each size from the files that were validated; the
test images are never read.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, Never

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import AUTO, PREPARED, RAW
from pipeline.core.terminal import progress_bar
from pipeline.data.decoding import decode_all
from pipeline.data.features import read_features, write_features
from pipeline.data.prepared import Dataset, Split, read_dataset, read_split
from pipeline.model.engine import Network, openvino_network
from pipeline.model.frozen import BATCH_SIZE, embed, export_frozen
from pipeline.params.file import Params
from pipeline.search.candidates import Base
from pipeline.storage.files import read_json, replacing, sha256, sha256_of_file, write_json
from pipeline.training.inputs import Data

MEASURED = "measured.json"  # in a network's folder
PIXELS = "pixels"  # a folder: images at the sizes that are fine-tuned, while a search runs
QUICKEST = 0.1  # share of the calls that tell a network's speed
SEEN_FIRST = 3.0  # seconds after which the time for all images is estimated
Learnt = Literal["train", "val"]
LEARNT: tuple[Learnt, ...] = ("train", "val")  # never `test`


class TooSlow(NightshiftError):  # noqa: N818 - what was found
    """A network's features would take longer than they may."""

    def __init__(self, base: Base, seconds: float) -> None:
        """seconds: about how long they would take."""
        super().__init__(f"{base}: its features would take about {in_words(seconds)}.")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """What one network costs."""

    images_per_second: float  # of the frozen network alone, in float32, on this machine
    megabytes: float  # of its weights, in float32
    seconds: float  # that its features took, building it and decoding included


@dataclass(frozen=True, slots=True)
class Gallery:
    """The images that trials learn from and are judged on, and their features from each network."""

    params: Params
    folder: Path
    dataset: Dataset
    splits: Mapping[Learnt, Split]  # as prepared: pixels of the present size

    def measure(self, base: Base, longest: float) -> Measured:
        """Compute a network's features, unless they are here, and return what it costs.

        Raises TooSlow once it shows that they would take more than `longest` seconds, and NightshiftError when the
        network cannot be built.
        """
        place = self._place(base)
        if not (place / MEASURED).is_file():
            self._compute(base, place, longest)
        return Measured(**read_json(place / MEASURED))

    @property
    def longest_side(self) -> int:
        """Pixels of the shorter side that half of the images have: a larger input shows nothing more."""
        table = self.splits["train"].table
        return int(np.median(np.minimum(table["width"], table["height"])))

    def data(self, base: Base, pixels: bool = False) -> Data:
        """What a training of this network learns from; `pixels`: with the images in its size, else features alone."""
        splits = {name: self._sized(name, base) if pixels else self.splits[name] for name in LEARNT}
        place = self._place(base)
        features = {name: read_features(place, name) for name in LEARNT}
        dataset = self.dataset.model_copy(update={"images": base.of(self.params).images})
        return Data(dataset, splits["train"], splits["val"], features["train"], features["val"])

    def mirrored(self, base: Base) -> NDArray[np.float32]:
        """Features (n, d) of the validation images' mirror images; computed again with each call."""
        params = base.of(self.params)
        with tempfile.TemporaryDirectory() as room:
            network = openvino_network(export_frozen(params, Path(room)), params.compute.threads)
            batches = self._batches(self.splits["val"], params)
            flipped = (np.ascontiguousarray(batch[:, :, ::-1]) for batch in batches)
            return np.concatenate([features for batch in flipped for features in embed(network, batch, lambda _: None)])

    def clear(self) -> None:
        """Remove images at other sizes, and what earlier searches of other images or parameters have left."""
        shutil.rmtree(self.folder / PIXELS, ignore_errors=True)
        for other in self.folder.parent.glob("*"):
            if other != self.folder:
                shutil.rmtree(other, ignore_errors=True)

    def _place(self, base: Base) -> Path:
        file = Path(base.weights)
        known = [str(base), sha256_of_file(file) if file.is_file() else ""]
        return self.folder / f"{base.backbone}-{base.width}x{base.height}-{sha256(repr(known).encode())[:8]}"

    def _compute(self, base: Base, place: Path, longest: float) -> None:
        began, params = time.monotonic(), base.of(self.params)
        total = sum(len(split.labels) for split in self.splits.values())
        with tempfile.TemporaryDirectory() as room, replacing(place) as beside:
            beside.mkdir()
            file = export_frozen(params, Path(room))
            network = _Timed(openvino_network(file, params.compute.threads))
            with progress_bar(desc=f"features: {base}", total=total, unit="image") as bar:
                watch = in_time(bar, total, base, began, longest)
                for name, split in self.splits.items():
                    batches = self._batches(split, params)
                    parts = (features for batch in batches for features in embed(network, batch, watch))
                    write_features(beside, name, len(split.labels), parts)
            megabytes = file.with_suffix(".bin").stat().st_size / 1e6
            found = {"images_per_second": network.rate, "megabytes": megabytes, "seconds": time.monotonic() - began}
            write_json(beside / MEASURED, found)

    def _batches(self, split: Split, params: Params) -> Iterator[NDArray[np.uint8]]:
        """The images (k, height, width, 3) in the size of `params`."""
        if params.images == self.dataset.images:
            yield split.images
            return
        decoded = decode_all(RAW, split.table, params.images, params.compute.threads)
        while batch := list(islice(decoded, BATCH_SIZE)):
            yield np.stack(batch)

    def _sized(self, name: Learnt, base: Base) -> Split:
        """A split with its pixels in the network's size, on disk."""
        split, rules = self.splits[name], base.of(self.params).images
        if rules == self.dataset.images:
            return split
        file = self.folder / PIXELS / f"{base.width}x{base.height}-{name}.npy"
        if not file.is_file():
            decoded = decode_all(RAW, split.table, rules, self.params.compute.threads)
            shape = (len(split.labels), rules.height, rules.width, 3)
            with replacing(file) as beside:
                array = np.lib.format.open_memmap(beside, mode="w+", dtype=np.uint8, shape=shape)
                bar = progress_bar(decoded, f"decode {name}, {base.width} x {base.height} px", len(array), unit="image")
                for number, pixels in enumerate(bar):
                    array[number] = pixels
                array.flush()
        return Split(split.table, np.load(file, mmap_mode="r"), split.labels)


class _Timed:
    """A network that knows how many images it answers in a second."""

    def __init__(self, network: Network) -> None:
        self._network, self._calls = network, list[tuple[int, float]]()

    def __call__(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        began = time.perf_counter()
        found = self._network(batch)
        self._calls.append((len(batch), time.perf_counter() - began))
        return found

    @property
    def rate(self) -> float:
        return undisturbed_rate(self._calls)


def gallery(params: Params, key: str) -> Gallery:
    """The images as they are prepared. Raises NightshiftError when they are not."""
    splits = {name: read_split(PREPARED, name) for name in LEARNT}
    return Gallery(params, AUTO / key, read_dataset(PREPARED), splits)


def undisturbed_rate(calls: Sequence[tuple[int, float]]) -> float:
    """Images a second, from the images and seconds of each call: what the quickest tenth of the calls reaches.

    Other work on the machine slows some calls and some networks more than others; the first call warms up.
    """
    return float(1 / np.quantile([max(seconds, 1e-9) / images for images, seconds in calls[1:] or calls], QUICKEST))


def in_words(seconds: float) -> str:
    """A duration, for people."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def in_time(bar: "tqdm[Never]", total: int, base: Base, began: float, longest: float) -> Callable[[int], object]:
    """Advance `bar`, and raise TooSlow once its speed shows that `total` images would end later than they may.

    began: of all, on the monotonic clock; longest: seconds. A bar that nobody sees does not count.
    """
    first, done = time.monotonic(), 0

    def advance(images: int) -> None:
        nonlocal done
        bar.update(images)
        done += images
        so_far = time.monotonic() - first
        whole = first - began + so_far * total / done
        if so_far >= min(SEEN_FIRST, longest) and whole > longest:
            raise TooSlow(base, whole)

    return advance
