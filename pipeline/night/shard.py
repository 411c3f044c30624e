"""Files of a shard -> its part: read, classified, written. Knows no registry, so it starts within a second."""

import itertools
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.cells import frame_in
from pipeline.core.errors import NightshiftError
from pipeline.images.decode import decode
from pipeline.images.measures import Light
from pipeline.images.scenes import Tile
from pipeline.model.candidates import candidates
from pipeline.model.contract import CONTRACT, Contract
from pipeline.model.doubt import reasons
from pipeline.model.engine import Engine, load_engine
from pipeline.model.ranked import RANKS
from pipeline.model.reference import Reference, read_reference
from pipeline.night.file_frames import with_files
from pipeline.night.frame_reading import OfFrames, walk_frames, with_frames
from pipeline.night.ledger import Done, Run, known_of, model_of
from pipeline.night.processes import pays as processes_pay
from pipeline.night.processes import read_by_processes
from pipeline.night.reading import Decoded, Decoder, FramesFile, Read, Reading, SceneFile, read_images
from pipeline.night.repeats import Known
from pipeline.night.rows import Classified, FileOutcome, Repeated, answer_of, to_row
from pipeline.night.scene_files import write_part
from pipeline.night.scene_reading import OfScene, SceneTile, walk, with_scenes
from pipeline.night.tiled_scenes import JudgedTile, Outcome, Scenes
from pipeline.night.workers import apart, walks_apart
from pipeline.params.file import Params
from pipeline.params.model import Compute
from pipeline.storage.folders import Folder, folder_at

_one_at_a_time = threading.Lock()  # one network, so one shard at a time
ALWAYS = nullcontext()
AT_THE_MODEL = 2  # batches: one is computed, while the next is stacked and copied to a card
_Answers = tuple[Sequence[NDArray[np.float32]] | NDArray[np.float32], NDArray[np.float32] | None]
AnyRead = Read | OfScene | OfFrames
_Asked = tuple[list[AnyRead], list[str], "Future[_Answers]"]  # a batch, its different contents, their answers


class OtherModelError(NightshiftError):
    """The model in a run's ledger is not the one of its plan."""


@contextmanager
def model_folder(output: Folder) -> Iterator[Path]:
    """The folder of a run's model on this machine, which `load_engine` takes; a temporary copy for a store."""
    with model_of(output).at_hand() as folder:
        yield next((file.parent for file in folder.rglob(CONTRACT)), folder)


@lru_cache(maxsize=1)
def engine_of(output: Folder, compute: Compute, batch_size: int, contract_hash: str) -> tuple[Engine, Reference | None]:
    """The model in the ledger of `output`, loaded once. Raises OtherModelError when it is not the one of the hash."""
    with model_folder(output) as folder:  # a loaded network needs no files
        engine = load_engine(folder, compute, embedding=True, batch_size=batch_size)
        reference = read_reference(folder, engine.contract)
    if engine.contract.hash != contract_hash:
        raise OtherModelError(f"The model in {output} is not the one of the run's plan. Start a new run.")
    return engine, reference


def classify_here(
    run: Run, numbers: list[int], params: Params, decoder: Decoder = decode,
    turn: AbstractContextManager[object] = ALWAYS,
) -> Done:  # fmt: skip
    """Classify shards in this process; yields the number of each and its count of files when its part is on disk.

    It reads the files of the next shard while the model works on the current one. turn: held while the model works;
    reading starts before.
    """
    source, size = folder_at(run.plan.input), params.batch.batch_size
    with turn:
        engine, reference = engine_of(run.output, params.compute, size, run.plan.contract_hash)
    known, rules = Known(known_of(run.output)), engine.contract.images
    paths = (path for number in numbers for path in run.shard(number))
    # Two batches in flight bound the memory.
    how = Reading(
        params.compute.threads, 2 * size, params.batch.file_timeout, decoder, known.get, bool(rules.tiles), True
    )
    read = read_by_processes if decoder is decode and processes_pay(params.compute) else read_images
    reads = read(source, paths, rules, how)
    lives, plays = (partial(walks_apart, one) if decoder is apart else None for one in (walk, walk_frames))
    all_reads = with_frames(with_scenes(reads, source, rules, how, lives), source, rules, how, plays)
    begun = itertools.chain(list(itertools.islice(all_reads, 1)), all_reads)
    with turn:
        scenes = Scenes(engine.contract, with_places=run.plan.location)
        outcomes = scenes.files(with_files(judge(begun, engine, size, reference), engine.contract))
        for number in numbers:
            files = len(run.shard(number))
            rows = (to_row(outcome, run.plan.stamp, run.plan.heading) for outcome in _of_files(outcomes, files))
            remembered = _remembered(rows, known, run.plan.heading)
            run.write_part(number, _with_scenes(remembered, run, number, scenes))
            yield number, files
    known.close()


def _of_files(outcomes: Iterator[FileOutcome], files: int) -> Iterator[FileOutcome]:
    """The outcomes of so many files, with those of their frames."""
    while files:
        outcome = next(outcomes)
        files -= isinstance(outcome, Repeated) or not outcome.frame
        yield outcome


def classify_alone(run: Run, number: int, params: Params) -> int:
    """Classify one shard in this process; returns its number of files.

    The model works on one shard at a time. Another thread can read the next shard's files meanwhile.
    """
    [(_, files)] = classify_here(run, [number], params, turn=_one_at_a_time)
    return files


def judge(
    reads: Iterator[AnyRead], engine: Engine, size: int, reference: Reference | None = None
) -> Iterator[Outcome | OfFrames]:
    """One outcome per file, in order, or per tile of a scene; unreadable files never reach the model.

    reference: what to compare the images with; None: no outlier scores and no flags. The model has the next batch
    before the outcomes of one are used, so that it never waits for them.
    """
    asked: deque[_Asked] = deque()
    batch: list[AnyRead] = []
    ended: list[Exception] = []
    with ThreadPoolExecutor(AT_THE_MODEL, "model") as model:
        for read in _until_an_error(reads, ended):
            batch.append(read)
            if len(batch) == size:
                asked.append(_submit(batch, model, engine, reference))
                batch = []
            if len(asked) == AT_THE_MODEL:
                yield from _outcomes(*asked.popleft(), engine.contract, reference)
        asked.append(_submit(batch, model, engine, reference))
        for one in asked:
            yield from _outcomes(*one, engine.contract, reference)
    for error in ended:
        raise error


def _until_an_error(reads: Iterator[AnyRead], ended: list[Exception]) -> Iterator[AnyRead]:
    """What was read, also where the disk is gone then: the caller raises that error when all of it has its outcome."""
    try:
        yield from reads
    except (NightshiftError, OSError) as error:
        ended.append(error)


def _submit(batch: list[AnyRead], model: ThreadPoolExecutor, engine: Engine, reference: Reference | None) -> _Asked:
    """Hand a batch over to a thread that asks the model, about identical bytes once."""
    pictures: dict[str, NDArray[np.uint8]] = {}
    for read in batch:
        match read:
            case Decoded(picture=picture):
                pictures[read.key] = picture.pixels
            case SceneTile(tile=Tile(ignored="") as tile):
                pictures[read.key] = tile.pixels
    return batch, [*pictures], model.submit(_ask, [*pictures.values()], engine, reference)


def _ask(pictures: list[NDArray[np.uint8]], engine: Engine, reference: Reference | None) -> _Answers:
    """Probabilities, and embeddings if they are needed, of each of `pictures`."""
    if not pictures:
        return (), None
    return (engine.predict(np.stack(pictures)), None) if reference is None else engine.judge(np.stack(pictures))


def _outcomes(
    batch: list[AnyRead], digests: list[str], answers: "Future[_Answers]", contract: Contract,
    reference: Reference | None,
) -> Iterator[Outcome | OfFrames]:  # fmt: skip
    rows, embeddings = answers.result()
    scores = [None] * len(rows) if reference is None or embeddings is None else reference.scores(embeddings).tolist()
    found = {digest: (row, score) for digest, row, score in zip(digests, rows, scores, strict=True)}
    for read in batch:
        match read:
            case Decoded(path, digest, picture, light, frame):
                size = picture.width, picture.height
                judged = _outcome(path, digest, size, light, *found[read.key], contract, reference)
                yield replace(judged, taken=picture.taken, frame=frame)
            case SceneTile(path, digest, window, Tile(ignored="") as tile):
                row, score = found[read.key]
                size = window.width, window.height
                judged = _outcome(path, digest, size, tile.light, row, score, contract, reference)
                yield JudgedTile(read, tile, row, judged)
            case SceneFile() | FramesFile():
                raise AssertionError("a scene is read tile by tile, a file of several frames frame by frame")
            case _:
                yield read


def _with_scenes(rows: Iterable[list[str]], run: Run, number: int, scenes: Scenes) -> Iterator[list[str]]:
    """The rows of a shard; before they end, and so count, what is kept of its scenes is written."""
    yield from rows
    write_part(run, number, scenes.taken())


def _remembered(rows: Iterable[list[str]], known: Known, columns: Sequence[str]) -> Iterator[list[str]]:
    """The rows, each remembered for files with the same content."""
    for values in rows:
        row = dict(zip(columns, values, strict=True))
        if row["label"] and not frame_in(row["path"])[1]:
            known.add(row["sha256"], answer_of(row))
        yield values


def _outcome(
    path: str, digest: str, size: tuple[int, int], light: Light, row: NDArray[np.float32], score: float | None,
    contract: Contract, reference: Reference | None,
) -> Classified:  # fmt: skip
    best = np.argsort(-row, kind="stable")[:RANKS]
    ranked = tuple((contract.class_names[index], float(row[index])) for index in best)
    why = reasons(ranked[0][1], score, contract)
    odd = () if reference is None else reference.flags(light, *size)
    numbers = [] if contract.candidates_above is None else candidates(row, contract.candidates_above)
    names = tuple(contract.class_names[number] for number in numbers)
    flags = why + odd
    return Classified(path, digest, *size, ranked, bool(why), score, flags, light, names)
