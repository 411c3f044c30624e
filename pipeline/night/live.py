"""Pictures classified as they come, for people who cannot wait for the night: one CSV a day, its rows as a night's.

A day keeps the model with which it began. Each picture is decoded in another process, as its bytes are a camera's. The
row is on the disk before anybody hears of it; what a killed collector left without a row comes first the next time.
"""

import csv
import io
import os
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path

from pipeline.collect.kept import Album, cut_half_line
from pipeline.core.cells import listed_path
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.paths import PREDICTIONS
from pipeline.model.contract import read_contract
from pipeline.night.awaited import unknown_labels
from pipeline.night.ledger import MODEL, books_of
from pipeline.night.outputs import LIVE
from pipeline.night.reading import Reading, read_images
from pipeline.night.rows import PREDICTIONS_CSV, Row, Stamp, as_cells, columns_of, read_rows, to_row, write_rows
from pipeline.night.shard import engine_of, judge
from pipeline.night.workers import apart
from pipeline.params.file import Params
from pipeline.registry import champions, versions
from pipeline.storage import output_lock
from pipeline.storage.files import read_json, replacing, write_json
from pipeline.storage.folders import folder_at

BEHIND = ".live"  # the day's model, in its folder
PLAN = "plan.json"
PATIENCE = 60.0  # seconds before the next attempt after a failure, and between two looks for messages that wait
See = Callable[[Iterable[Row]], None]  # gets each new row, once


class Day:
    """The pictures of one day, and the model that classifies them. Raises NightshiftError where there is none."""

    def __init__(self, photos: Path, day: date, params: Params) -> None:
        """photos: the folder of the cameras. The day's folder must be held by this process."""
        self.day, self._photos, self._params = day, folder_at(photos), params
        self.output = output_of(day)
        self._model = folder_at(self.output / BEHIND)
        self._columns = columns_of(location=params.privacy.keeps_location)
        plan = self._planned()
        self._name, self._version = str(plan["model_name"]), str(plan["model_version"])
        size = params.batch.batch_size
        self._engine, self._reference = engine_of(self._model, params.compute, size, str(plan["contract_hash"]))
        if self._engine.contract.images.tiles:
            raise NightshiftError(
                "The champion reads large pictures in tiles (images.tiles), which `collect --classify` does not. Leave "
                "--classify out: the night classifies them."
            )
        model = f"{self._name} version {self._version}"
        for line in unknown_labels(params.notify.when, self._engine.contract.class_names, model):
            log.warning(line)
        self._file = self.output / PREDICTIONS_CSV
        if not self._file.is_file():
            with replacing(self._file) as beside:
                write_rows(beside, [list(self._columns)], heading=False)
        cut_half_line(self._file)
        self._done = {listed_path(row["path"]) for row in read_rows(self._file)}

    def missing(self, cameras: Sequence[str]) -> list[str]:
        """The pictures that arrived today and have no row, in the order of their arrival."""
        albums = (Album(Path(str(self._photos)) / camera, camera) for camera in cameras)
        rows = chain.from_iterable(
            ((row.arrived_at, f"{album.folder.name}/{row.path}") for row in album.rows()) for album in albums
            if album.is_there()
        )  # fmt: skip
        return [path for at, path in sorted(rows) if at and _day_of(at) == self.day and path not in self._done]

    def classify(self, paths: Iterable[str]) -> list[Row]:
        """Classify pictures, by their paths below photos; returns their rows, which are on the disk then."""
        new = [path for path in dict.fromkeys(paths) if path not in self._done]
        size, rules = self._params.batch.batch_size, self._engine.contract.images
        how = Reading(1, 2 * size, self._params.batch.file_timeout, apart)
        stamp = Stamp(self._name, self._version, datetime.now(UTC).isoformat(timespec="seconds"))
        outcomes = judge(read_images(self._photos, new, rules, how), self._engine, size, self._reference)
        rows = [to_row(outcome, stamp, self._columns) for outcome in outcomes]  # type: ignore[arg-type]
        text = io.StringIO(newline="")
        csv.writer(text).writerows(as_cells(row) for row in rows)
        with self._file.open("ab") as file:
            file.write(text.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())
        self._done.update(new)
        return [dict(zip(self._columns, row, strict=True)) for row in rows]

    def _planned(self) -> dict[str, str]:
        """The model of the day, as it was when the day began; fetched if this is its beginning."""
        file = self.output / BEHIND / PLAN
        if file.is_file():
            return dict(read_json(file))
        model = champions.champion(self._params.register_.model_name)
        with books_of(self._model).replacing(MODEL) as beside:
            contract = read_contract(versions.fetch_model(model, beside))
        plan = {"model_name": model.name, "model_version": str(model.version), "contract_hash": contract.hash}
        write_json(file, plan)
        return plan


def output_of(day: date) -> Path:
    """The folder of a day's CSV."""
    return PREDICTIONS / f"{LIVE}{day.isoformat()}"


def _day_of(arrived_at: str) -> date:
    return datetime.fromisoformat(arrived_at).astimezone().date()


def classify_now(photos: Path, paths: Sequence[str], params: Params) -> list[Row]:
    """Classify pictures that were kept just now, by their paths below photos; returns their rows, on the disk."""
    today = datetime.now().astimezone().date()
    with output_lock.held(output_of(today)):
        return Day(photos, today, params).classify(paths)


class Live(threading.Thread):
    """Classifies what it is given, day after day; a failure is said, and tried again."""

    def __init__(self, photos: Path, cameras: Sequence[str], params: Params, see: See) -> None:
        """see: gets the rows, and now and then none, to send what waits."""
        super().__init__(name="classify", daemon=True)
        self._photos, self._cameras, self._params, self._see = photos, cameras, params, see
        self._new: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._over = threading.Event()
        self._said = ""  # why nothing is classified now, as the log says already

    def add(self, path: str) -> None:
        """A picture was kept: its path below photos."""
        self._new.put(path)

    def end_soon(self) -> None:
        """End after the pictures at hand."""
        self._over.set()
        self._new.put("")

    def end(self) -> None:
        """End, and wait for that."""
        self.end_soon()
        self.join(PATIENCE)

    def run(self) -> None:
        """Classify until `end`."""
        while not self._over.is_set():
            try:
                self._one_day(datetime.now().astimezone().date())
            except (NightshiftError, OSError) as error:
                self._say(str(error))
                self._over.wait(PATIENCE)

    def _say(self, why: str) -> None:
        """Warn of what has failed, once for as long as it fails in the same way."""
        if why != self._said:
            log.warning("Pictures are not classified as they come: %s It tries again every %.0f s.", why, PATIENCE)
        self._said = why

    def _one_day(self, today: date) -> None:
        with output_lock.held(output_of(today)):
            day = Day(self._photos, today, self._params)
            new, self._said = day.missing(self._cameras), ""
            while not self._over.is_set() and datetime.now().astimezone().date() == today:
                self._see(day.classify(new) if new else [])
                new = self._waiting()

    def _waiting(self) -> list[str]:
        """What has come since; waits for something, but not for ever."""
        found: list[str] = []
        try:
            found.append(self._new.get(timeout=PATIENCE))
            while True:
                found.append(self._new.get_nowait())
        except queue.Empty:
            return [path for path in found if path]
