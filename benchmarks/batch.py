"""A night against the usual ways, on the same files and with the same model: seconds, images/s, memory.

    python benchmarks/batch.py [FOLDER] [--count 1000] [--without loop] [--peers PYTHON] [--int8 PROJECT]
        [--listed 100000]

In a project with a champion (`make run`). FOLDER: images, by default the demo's; its files are copied under new names
until there are as many as --count. Each copy ends with a few bytes of its own, which decoders ignore: Nightshift would
classify identical files once. Every way is a command of its own, start-up and imports included, and writes a CSV.

nightshift    `nightshift classify --no-prefect`
bare          a program of 30 lines: the same network in the same number format, Pillow, a hash of each file, a CSV
dataset       keras.utils.image_dataset_from_directory and model.predict
loop          the tutorials' loop: load_img, img_to_array, predict, file by file
decode only   what nightshift would take if the model took no time, and
model only    if reading and decoding took none: the limit is their sum, as both need all cores
four          `nightshift classify --no-prefect` for four of the files: what a command costs without images

--int8 PROJECT: the night in this other project too, whose champion answers in int8 (train.max_int8_loss).
--peers PYTHON: the ways of peers.py too (timm, Ultralytics), by the interpreter of an environment that has them.
--listed N: the peak memory of a run over N small files besides.
"""

import argparse
import csv
import hashlib
import io
import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

BATCH_SIZE = 32
TOOLS = Path(sys.executable).parent


@dataclass(frozen=True)
class Measured:
    """One command: wall-clock seconds, and the peak memory of it and its children together."""

    seconds: float
    megabytes: float


def measure(words: list[str], project: Path | None = None) -> Measured:
    """Run a command to its end, here or in another project. Counts shared memory once (sampled PSS)."""
    start = time.perf_counter()
    peak = 0.0
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(words, stdout=said, stderr=said, cwd=project)
        ended = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not ended.wait(0.1):
                peak = max(peak, held_by(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        status = process.wait()
        seconds = time.perf_counter() - start
        ended.set()
        watcher.join()
        if status:
            said.seek(0)
            sys.exit(f"{' '.join(words)} ended with {status}:\n{said.read()[-3000:]}")
    return Measured(seconds, peak)


def held_by(pid: int) -> float:
    """MB of a process and its descendants."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += process.memory_full_info().pss
    except psutil.Error:  # it has just ended
        return 0.0
    return total / 1e6


def copy_files(source: Path, folder: Path, count: int) -> None:
    """Copy `count` different files from those below `source` into a new folder."""
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in {".png", ".jpg", ".jpeg"})
    if not files:
        sys.exit(f"{source} holds no PNG or JPEG files.")
    folder.mkdir()
    for number, file in enumerate(itertools.islice(itertools.cycle(files), count)):
        target = folder / f"{number:06d}{file.suffix.lower()}"
        target.write_bytes(file.read_bytes() + str(number).encode())
    os.sync()  # else the first way is measured while the disk is still written


def keras_model() -> tuple[Any, tuple[int, int], tuple[str, ...]]:
    """The current model in Keras, its image size and its classes."""
    from pipeline.backbones.keras_file import load_keras
    from pipeline.core.paths import MODEL
    from pipeline.model.contract import KERAS, read_contract

    contract = read_contract(MODEL)
    return load_keras(MODEL / KERAS), (contract.images.height, contract.images.width), contract.class_names


def by_dataset(folder: Path, output: Path) -> None:
    """The way of Keras."""
    import keras

    model, size, names = keras_model()
    images = keras.utils.image_dataset_from_directory(
        folder, labels=None, shuffle=False, image_size=size, batch_size=BATCH_SIZE, verbose=False
    )
    answers = model.predict(images, verbose=0)
    with output.open("w", newline="") as out:
        csv.writer(out).writerows(zip(images.file_paths, (names[best] for best in answers.argmax(axis=1)), strict=True))


def by_loop(folder: Path, output: Path) -> None:
    """The tutorials' way."""
    import keras

    model, size, names = keras_model()
    with output.open("w", newline="") as out:
        for file in sorted(folder.iterdir()):
            pixels = keras.utils.img_to_array(keras.utils.load_img(file, target_size=size))
            answer = model.predict(pixels[np.newaxis], verbose=0)
            csv.writer(out).writerow([file, names[answer[0].argmax()]])


def bare(folder: Path, output: Path) -> None:
    """The least that gives a row for each file: no check, no second look, no record."""
    import openvino

    from pipeline.core.paths import MODEL
    from pipeline.model.contract import NETWORK, OPENVINO, read_contract

    contract = read_contract(MODEL)
    size, core = (contract.images.width, contract.images.height), openvino.Core()
    threads = os.cpu_count() or 1
    model = core.read_model(MODEL / OPENVINO / NETWORK)
    model.reshape({0: [1, *size[::-1], 3]})
    settings = {"INFERENCE_PRECISION_HINT": "bf16" if contract.bfloat16 else "f32", "NUM_STREAMS": threads}
    compiled, its = core.compile_model(model, "CPU", settings), threading.local()

    def classify(file: Path) -> tuple[str, str, str]:
        if not hasattr(its, "request"):
            its.request = compiled.create_infer_request()
        data = file.read_bytes()
        image = Image.open(io.BytesIO(data))
        image.draft("RGB", size)
        pixels = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR), np.float32)
        its.request.infer({0: pixels[np.newaxis]})
        best = its.request.get_output_tensor(0).data[0].argmax()
        return str(file), hashlib.sha256(data).hexdigest(), contract.class_names[best]

    _ = openvino.Tensor(np.zeros(1, np.uint8)).data  # or the threads may wait for each other for ever (model/engine.py)
    with ThreadPoolExecutor(threads) as pool, output.open("w", newline="") as out:
        csv.writer(out).writerows(pool.map(classify, sorted(folder.iterdir())))


def decode_only(folder: Path, _output: Path) -> None:
    """Read and decode every file as the night does."""
    from pipeline.core.paths import MODEL
    from pipeline.model.contract import read_contract
    from pipeline.night.reading import Reading, read_images
    from pipeline.params.file import load_params
    from pipeline.storage.folders import folder_at
    from pipeline.storage.listing import list_images

    params, paths = load_params(), [listed.path for listed in list_images(folder)]
    threads = params.compute.threads
    for _ in read_images(folder_at(folder), paths, read_contract(MODEL).images, Reading(threads, 2 * BATCH_SIZE, 60)):
        pass


def model_only(folder: Path, _output: Path) -> None:
    """Classify as many random images as there are files, as the night does."""
    from pipeline.core.paths import MODEL
    from pipeline.model.engine import load_engine
    from pipeline.params.file import load_params

    engine = load_engine(MODEL, load_params().compute)
    rules = engine.contract.images
    batch = np.random.default_rng(0).integers(0, 256, (BATCH_SIZE, rules.height, rules.width, 3), np.uint8)
    for _ in range(-(-len(list(folder.iterdir())) // BATCH_SIZE)):
        engine.predict(batch)


PEERS = ("timm", "timm-bf16", "ultralytics")
WAYS = {"bare": bare, "dataset": by_dataset, "loop": by_loop, "decode only": decode_only, "model only": model_only}


def nightshift(folder: Path, output: Path, project: Path | None = None) -> Measured:
    """Measure the night's command."""
    return measure([str(TOOLS / "nightshift"), "classify", str(folder), str(output), "--no-prefect"], project)


def memory_of(count: int, folder: Path, output: Path) -> float:
    """Peak MB of a run over `count` small images, no two alike, spread over folders."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), "grey").save(buffer, "PNG")
    for number in range(count):
        place = folder / f"{number // 1000:04d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:07d}.png").write_bytes(buffer.getvalue() + str(number).encode())
    return nightshift(folder, output).megabytes


def main(source: Path, count: int, without: list[str], peers: Path | None, int8: Path | None, listed: int) -> None:
    """Measure every way once, and compare."""
    with tempfile.TemporaryDirectory() as temporary:
        room = Path(temporary)
        copy_files(source, room / "images", count)
        copy_files(source, room / "four", 4)
        found = {"nightshift": nightshift(room / "images", room / "night")}
        four = nightshift(room / "four", room / "four-night")  # now: later its files may have left the memory
        if int8:
            found["in int8"] = nightshift(room / "images", room / "night-int8", int8)
        for name in WAYS:
            if name not in without:
                words = [sys.executable, str(Path(__file__).absolute()), str(room / "images"), "--way", name]
                found[name] = measure([*words, "--output", str(room / "out.csv")])
        for name in PEERS if peers else ():
            script = str(Path(__file__).with_name("peers.py").absolute())
            found[name] = measure([str(peers), script, name, str(room / "images"), str(room / "out.csv")])
        peak = memory_of(listed, room / "many", room / "many-night") if listed else 0.0
    for name, taken in found.items():
        print(f"{name:12} {taken.seconds:7.1f} s {count / taken.seconds:7.0f} images/s {taken.megabytes:7.0f} MB")
    ours = found["nightshift"].seconds
    for name in ("dataset", "loop", *PEERS):
        if name in found:
            print(f"nightshift is {found[name].seconds / ours:.1f} times as fast as {name}")
    if int8 and "dataset" in found:
        print(f"in int8 {found['dataset'].seconds / found['in int8'].seconds:.1f} times as fast as dataset")
    if "bare" in found:
        print(f"nightshift takes {ours / found['bare'].seconds:.2f} times as long as the bare program")
    if {"decode only", "model only"} <= found.keys():
        limit = sum(found[name].seconds for name in ("decode only", "model only"))
        print(f"nightshift reaches {limit / ours:.0%} of the limit: decoding and the network, start-up included")
    print(f"four files: {four.seconds:.1f} s")
    if listed:
        print(f"{listed} files: {peak:.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("data/raw"))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--without", nargs="*", default=[], choices=list(WAYS))
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--int8", type=Path)
    parser.add_argument("--listed", type=int, default=0)
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        WAYS[given.way](given.folder, given.output)
    else:
        main(given.folder, given.count, given.without, given.peers, given.int8, given.listed)
