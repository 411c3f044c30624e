"""Nights that read from a store, write to one, or both: the same rows as from a folder, whatever the network does."""

import dataclasses
import json
import socket
import threading
from contextlib import suppress
from pathlib import Path

import fsspec
import pytest
from upath import UPath

from pipeline.night import shard
from pipeline.night.ledger import Done, Run
from pipeline.night.planning import ClassifyError
from pipeline.night.reading import Decoded, Reading, ReadingError, read_image, read_images
from pipeline.night.rows import GONE, Unreadable
from pipeline.night.run import Steps
from pipeline.night.shard import OtherModelError
from pipeline.night.workers import classify_shards
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.storage import stores
from pipeline.storage.addresses import place
from pipeline.storage.folders import folder_at
from pipeline.storage.stores import StoreError
from tests.fixtures.commands import rows_at
from tests.fixtures.images import save_image
from tests.fixtures.nights import begun, classify
from tests.fixtures.project import draw_shape, nightshift
from tests.fixtures.stores import free_port, lead_to, upload


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Ten shapes, two files that are no images, one that only its first bytes give away; some in folders."""
    folder = tmp_path / "images"
    for number in range(10):
        draw_shape(folder / ("deep/er" * (number % 3 == 0)) / f"{number}.png", ("circle", "square")[number % 2], number)
    (folder / "deep.jpg").write_text("no image")
    (folder / "=1.jpg").write_bytes(b"")
    (folder / "notes.txt").write_text("not listed")
    save_image(folder / "scan.png").rename(folder / "scan")
    return folder


def far(address: str) -> UPath:
    found = place(address)
    assert isinstance(found, UPath)
    return found


def test_a_night_from_store_to_store_gives_the_rows_of_a_local_one(
    trained: Path, images: Path, bucket: str, tmp_path: Path
) -> None:
    upload(images, f"{bucket}/photos")
    nightshift("classify", str(images), str(tmp_path / "out"), "--no-prefect", cwd=trained)
    done = nightshift("classify", f"{bucket}/photos/", f"{bucket}/out", "--no-prefect", cwd=trained)
    assert f"{bucket}/out/predictions.csv" in done.stdout
    nightshift("classify", f"{bucket}/photos", str(tmp_path / "mixed"), "--no-prefect", cwd=trained)
    assert rows_at(f"{bucket}/out") == rows_at(tmp_path / "out") == rows_at(tmp_path / "mixed")
    assert len(rows_at(tmp_path / "out")) == 13
    assert sorted(fsspec.filesystem("s3").find(f"{bucket}/out")) == [
        f"{bucket.removeprefix('s3://')}/out/{name}"
        for name in (
            "model_card.html", "morning.html", "predictions.csv", "review.csv", "review.html", "summary.json",
        )
    ]  # fmt: skip
    summary = json.loads(stores.read_bytes(far(f"{bucket}/out/summary.json")))
    assert (summary["input"], summary["listed"], summary["reconciled"]) == (f"{bucket}/photos", 13, True)


def test_of_an_object_that_is_too_long_no_more_is_read_than_is_allowed(
    bucket: str, rules: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.night.reading.HEADER_BYTES", 0)
    most = 16_000_000  # rules.max_megapixels is 1
    fs = fsspec.filesystem("s3")
    for name, size in (("long.png", most + 1), ("longest.png", 2 * most), ("just.png", most), ("empty.png", 0)):
        fs.pipe_file(f"{bucket}/photos/{name}", bytes(size))
    taken: list[int] = []
    get = type(fs).cat_file

    def counted(*words: object, **more: object) -> bytes:
        data: bytes = get(*words, **more)
        taken.append(len(data))
        return data

    monkeypatch.setattr(type(fs), "cat_file", counted)
    found = {name: read_image(folder_at(f"{bucket}/photos"), name, rules) for name in ("long.png", "longest.png")}
    for read in found.values():
        assert isinstance(read, Unreadable)
        assert read.error == f"its bytes are more than images.max_megapixels allows a file ({most})"
        assert read.sha256 == ""
    assert taken == [most + 1] * 2
    for name, reason in (("just.png", "not an image"), ("empty.png", "empty")):
        read = read_image(folder_at(f"{bucket}/photos"), name, rules)
        assert isinstance(read, Unreadable)
        assert reason in read.error
        assert len(read.sha256) == 64


def test_an_unfinished_night_in_a_store_goes_on_with_its_own_model_and_files(
    here: Params, images: Path, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(images, f"{bucket}/photos")
    source, output = far(f"{bucket}/photos"), far(f"{bucket}/out")
    with folder_at(output).hold():
        run = begun(source, output, here)
        assert [*classify_shards(run, [1], here)] == [(1, 3)]
    assert run.unfinished() == [0, 2, 3, 4]
    fsspec.filesystem("s3").pipe_file(f"{bucket}/photos/late.jpg", b"not in the plan")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'empty.db'}")  # no registry is needed
    summary = classify(source, output, here)
    assert (summary.listed, summary.started_at, summary.reconciled) == (13, run.plan.started_at, True)
    assert summary.came_since == 1


def test_a_model_in_the_books_that_is_another_one_is_refused(here: Params, images: Path, bucket: str) -> None:
    output = far(f"{bucket}/out")
    with folder_at(output).hold():
        run = begun(images, output, here)
    shard.engine_of.cache_clear()
    other = dataclasses.replace(run, plan=run.plan.model_copy(update={"contract_hash": "0" * 64}))
    with pytest.raises(OtherModelError, match="is not the one of the run's plan"):
        list(shard.classify_here(other, [0], here))


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("photos", "photos/out", "lies inside"),
        ("none", "out", "contains no image files"),
        ("photos", "out.csv", "must be a folder"),
    ],
)
def test_a_night_that_cannot_start_says_why(
    here: Params, images: Path, bucket: str, source: str, output: str, message: str
) -> None:
    upload(images, f"{bucket}/photos")
    with pytest.raises(ClassifyError, match=message):
        classify(place(f"{bucket}/{source}"), place(f"{bucket}/{output}"), here)


def test_a_bucket_that_is_not_there_and_a_protocol_without_its_package_are_named(trained: Path, bucket: str) -> None:
    done = nightshift(
        "classify", "data/raw", "s3://no-such-bucket-of-ours/out", "--no-prefect", cwd=trained, check=False
    )
    assert done.returncode == 1
    assert "The run on s3://no-such-bucket-of-ours/out stopped" in done.stderr
    assert "Traceback" not in done.stderr
    done = nightshift("classify", "gs://bucket/photos", "out", "--no-prefect", cwd=trained, check=False)
    assert done.returncode == 1
    assert "reading gs:// needs a package that is not installed" in done.stderr


class Wire:
    """A way to a server that can be cut: what it carries, it carries unchanged."""

    def __init__(self, address: str) -> None:
        self.port, self._server_port, self._ends = free_port(), int(address.rpartition(":")[2]), list[socket.socket]()
        self.mend()

    def mend(self) -> None:
        self._open = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._open,), daemon=True).start()

    def cut(self) -> None:
        self._open.shutdown(socket.SHUT_RDWR)
        for end in [self._open, *self._ends]:
            end.close()

    def _accept(self, opened: socket.socket) -> None:
        while True:
            try:
                ours, _ = opened.accept()
            except OSError:
                return
            theirs = socket.create_connection(("127.0.0.1", self._server_port))
            self._ends += [ours, theirs]
            for a, b in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=self._carry, args=(a, b), daemon=True).start()

    def _carry(self, a: socket.socket, b: socket.socket) -> None:
        with suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
        for end in (a, b):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire(s3: str, bucket: str, images: Path, monkeypatch: pytest.MonkeyPatch) -> Wire:
    """The bucket's images behind a wire."""
    upload(images, f"{bucket}/photos")
    found = Wire(s3)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # of S3's own client, for each of ours
    lead_to(f"http://127.0.0.1:{found.port}", monkeypatch)
    monkeypatch.setattr(stores, "PAUSES", (0.1, 0.1))
    return found


PATHS = ["1.png", "2.png", "gone.png", "4.png", "5.png", "deep.jpg", "7.png", "8.png"]


def test_a_cut_network_is_no_files_fault(wire: Wire, bucket: str, rules: Images) -> None:
    reads = read_images(folder_at(f"{bucket}/photos"), PATHS, rules, Reading(1, 2, 60))
    found = [next(reads) for _ in range(3)]
    assert found[2] == Unreadable("gone.png", GONE)
    wire.cut()
    with pytest.raises(StoreError, match=f"{bucket}/photos: its store does not answer .* tried 3 times"):
        found.extend(reads)
    assert [read.path for read in found] == PATHS[: len(found)]
    assert [read.path for read in found if isinstance(read, Unreadable)] == ["gone.png"]


def test_a_network_that_is_back_in_time_costs_nothing(
    wire: Wire, bucket: str, rules: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "PAUSES", (1.0,) * 20)
    reads = read_images(folder_at(f"{bucket}/photos"), PATHS, rules, Reading(1, 2, 60))
    found = [next(reads)]
    wire.cut()
    threading.Timer(2, wire.mend).start()
    found += reads
    assert [read.path for read in found if isinstance(read, Decoded)] == [
        path for path in PATHS if path not in ("gone.png", "deep.jpg")
    ]


def test_where_all_objects_are_gone_no_file_is_called_unreadable(images: Path, bucket: str, rules: Images) -> None:
    upload(images, f"{bucket}/photos")
    reads = read_images(folder_at(f"{bucket}/photos"), PATHS, rules, Reading(1, 2, 60))
    assert isinstance(next(reads), Decoded)
    fsspec.filesystem("s3").rm(f"{bucket}/photos", recursive=True)
    with pytest.raises(ReadingError, match="is gone. When it is there again, run the same command again"):
        list(reads)


def test_a_night_whose_network_is_cut_says_so_and_a_rerun_completes_it(
    here: Params, wire: Wire, bucket: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = far(f"{bucket}/photos"), far(f"{bucket}/out")

    def cut_after_one(run: Run, numbers: list[int], params: Params) -> Done:
        for number in numbers:
            yield from shard.classify_here(run, [number], params)
            wire.cut()

    with pytest.raises(StoreError, match="does not answer"):
        classify(source, output, here, Steps(classify=cut_after_one))
    wire.mend()
    stores.delete_tree(output / ".nightshift.lock")  # or a minute's wait: nobody could free it
    classify(source, output, here)
    classify(images, tmp_path / "out", here)
    assert rows_at(f"{bucket}/out") == rows_at(tmp_path / "out")
