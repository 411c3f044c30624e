"""Listing + engine + ledger -> one row a file, and nothing lost. Knows no orchestrator; imports no TensorFlow on a CPU.

A run is `begin`, `classify_shard` for each shard that is left, in any order, then `finish`; `classify` is all three.
"""

import datetime
import os
import shutil
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from pipeline import champions, ledger, registry
from pipeline.engine import Engine, load_engine
from pipeline.errors import NightshiftError
from pipeline.files import sha256, write_json
from pipeline.images import Picture, UnreadableImage, decode
from pipeline.ledger import Plan
from pipeline.listing import list_images
from pipeline.params import Params
from pipeline.params_data import Images
from pipeline.params_model import Compute
from pipeline.paths import PREDICTIONS
from pipeline.predictions import RANKS, Classified, Outcome, Unreadable, compare, csv_path, summarise, to_row
from pipeline.stage import log


class ClassifyError(NightshiftError):
    """The run cannot start, or its rows do not add up."""


def begin(source: Path, output: Path, params: Params) -> Plan:
    """The plan of the unfinished run in `output`, or a new one: the model and the files are settled here, once.

    Raises NightshiftError when the input is no folder, holds no image, or `output` holds an unfinished run of another.
    """
    _refuse_odd_places(source, output)
    if plan := ledger.read_plan(output):
        if plan.input != str(source.absolute()):
            raise ClassifyError(
                f"{output} holds an unfinished run over {plan.input}. Finish it with `nightshift classify "
                f"{plan.input} {output}`, name another folder, or delete {ledger.work_folder(output)} to give it up."
            )
        log.info("Going on with the run of %s (model version %s).", plan.started_at, plan.model_version)
        return plan
    shutil.rmtree(ledger.work_folder(output), ignore_errors=True)  # a plan that was never finished
    files, shards = ledger.write_shards(output, list_images(source), params.batch.shard_size)
    if not files:
        raise ClassifyError(f"{source} holds no images (files with an image's extension or first bytes).")
    model = champions.champion(params.register_.model_name)
    folder = registry.fetch_model(model, ledger.work_folder(output) / "model")
    plan = Plan(
        input=str(source.absolute()),
        model_name=model.name,
        model_version=str(model.version),
        contract_hash=load_engine(folder, params.compute).contract.hash,
        started_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        files=files,
        shards=shards,
    )
    ledger.write_plan(output, plan)
    return plan


def _refuse_odd_places(source: Path, output: Path) -> None:
    if output.suffix.lower() == ".csv" or output.is_file():
        raise ClassifyError(
            f"{output} is to be a folder: it receives predictions.csv and summary.json. Name one without .csv."
        )
    if output.absolute().resolve().is_relative_to(source.absolute().resolve()):
        raise ClassifyError(f"{output} lies inside {source}. Results among the images would be read the next night.")


@lru_cache(maxsize=1)
def _engine(folder: Path, compute: Compute, _contract_hash: str) -> Engine:
    return load_engine(folder, compute)


def classify_shard(output: Path, number: int, plan: Plan, params: Params) -> int:
    """Classify one shard and write its part; returns its number of files."""
    folder = ledger.work_folder(output) / "model"
    engine = _engine(next(folder.rglob("contract.json")).parent, params.compute, plan.contract_hash)
    paths = ledger.read_shard(output, number)
    outcomes = classify_files(Path(plan.input), paths, engine, params)
    ledger.write_part(output, number, (to_row(outcome, plan.stamp) for outcome in outcomes))
    return len(paths)


def classify_files(source: Path, paths: list[str], engine: Engine, params: Params) -> Iterator[Outcome]:
    """One outcome a path, in order. Reading and decoding run ahead of the model on threads of their own."""
    rules, size = engine.contract.images, params.batch.batch_size
    chunks = [paths[start : start + size] for start in range(0, len(paths), size)]
    with ThreadPoolExecutor(params.compute.reading_threads) as pool:

        def submit(chunk: list[str]) -> list[Any]:
            return [pool.submit(_read, source, path, rules) for path in chunk]

        ahead = [submit(chunk) for chunk in chunks[:2]]  # two batches in flight bound the memory
        for upcoming in range(len(chunks)):
            reads = [future.result() for future in ahead.pop(0)]
            if upcoming + 2 < len(chunks):
                ahead.append(submit(chunks[upcoming + 2]))
            yield from _judge(reads, engine, size)


_Read = Unreadable | tuple[str, str, Picture]  # path, sha256, picture


def _read(source: Path, path: str, rules: Images) -> _Read:
    """The file's picture, or the reason why there is none."""
    digest = ""
    try:
        data = _bytes(source / path)
        digest = sha256(data)
        return path, digest, decode(data, rules)
    except OSError as error:
        return Unreadable(path, f"the file cannot be read: {error.strerror or error}")
    except UnreadableImage as error:
        return Unreadable(path, str(error), digest)


def _bytes(file: Path) -> bytes:
    """The bytes of a regular file. A pipe that took its place since the listing would keep us waiting for ever."""
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise UnreadableImage("no longer a regular file")
        return opened.read()


def _judge(reads: list[_Read], engine: Engine, size: int) -> Iterator[Outcome]:
    """Outcomes in the order of `reads`; what could not be read never reaches the model."""
    pictures = [read[2].pixels for read in reads if not isinstance(read, Unreadable)]
    answers = iter(_predict(pictures, engine, size)) if pictures else iter(())
    for read in reads:
        if isinstance(read, Unreadable):
            yield read
            continue
        path, digest, picture = read
        row, names = next(answers), engine.contract.class_names
        best = np.argsort(-row, kind="stable")[:RANKS]
        ranked = tuple((names[index], float(row[index])) for index in best)
        unsure = ranked[0][1] < engine.contract.unsure_below
        yield Classified(path, digest, picture.width, picture.height, ranked, unsure)


def _predict(pictures: list[Any], engine: Engine, size: int) -> Any:
    """Probabilities of `pictures`, always asked in batches of `size`.

    A network may round differently for another batch size; so that an image's answer does not depend on its
    neighbours, the last batch is filled with black images, whose answers are dropped.
    """
    batch = np.zeros((size, *pictures[0].shape), np.uint8)
    batch[: len(pictures)] = pictures
    return engine.predict(batch)[: len(pictures)]


def finish(output: Path, plan: Plan, truth: pd.DataFrame | None = None) -> dict[str, Any]:
    """Merge the parts into predictions.csv, write summary.json and return it; then close the books.

    truth: columns sha256 and label of images whose label is known, to be compared with the answers.
    Raises ClassifyError, after everything is written, when the rows are not those of the listed files.
    """
    file = ledger.merge(output, plan)
    started = datetime.datetime.fromisoformat(plan.started_at)
    now = datetime.datetime.now(datetime.UTC)
    summary = {
        **plan.model_dump(exclude={"files", "input"}),
        "input": csv_path(plan.input),
        "finished_at": now.isoformat(timespec="seconds"),
        "seconds": round((now - started).total_seconds(), 1),
        **summarise(file, ledger.listed(output, plan)),
    }
    if truth is not None:
        summary["compared"] = compare(file, truth)
    write_json(output / "summary.json", summary)
    if not summary["reconciled"]:
        raise ClassifyError(f"{file} does not have one row for each of {plan.files} listed files; see summary.json.")
    ledger.close(output)
    return summary


def classify(source: Path, output: Path, params: Params, truth: pd.DataFrame | None = None) -> dict[str, Any]:
    """Classify the images in `source` into `output`/predictions.csv; returns the summary.

    A run that was interrupted goes on where it stopped, with the model and the files it began with.
    """
    with ledger.held(output):
        began = time.perf_counter()
        plan = begin(source, output, params)
        left = ledger.unfinished(output, plan)
        with tqdm(desc="classify", total=plan.files, unit="image") as progress:
            done = sum(len(ledger.read_shard(output, number)) for number in set(range(plan.shards)) - set(left))
            progress.update(done)
            for number in left:
                progress.update(classify_shard(output, number, plan, params))
        summary = finish(output, plan, truth)
        log.info("%d images in %.1f s", plan.files, time.perf_counter() - began)
    return summary


def folder_for_today() -> Path:
    """Where a run without a named output goes: one folder a day, in local time."""
    return PREDICTIONS / datetime.datetime.now().astimezone().date().isoformat()
