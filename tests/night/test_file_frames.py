"""Files of several frames at night (images.frame: all): a row a frame, in order, and that of the file behind them."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from pipeline.core.cells import listed_path
from pipeline.images.frames import open_frames
from pipeline.model.certificate import Certificate, FramesRule, Promise
from pipeline.model.contract import read_contract
from pipeline.night import results
from pipeline.night.file_frames import NO_RULE
from pipeline.night.frame_reading import FramesBegun, FramesEnded, decoded, walk_frames, with_frames
from pipeline.night.ledger import Run, books_of, model_of
from pipeline.night.reading import FramesFile, Reading
from pipeline.night.repeats import Known, remember_last
from pipeline.night.rows import COLUMNS, GONE, Stamp, Unreadable, holds_rows_of, read_rows
from pipeline.night.scene_reading import CHANGED, CRASHED
from pipeline.night.shard import classify_here
from pipeline.night.summary import NightSummary, read_summary
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.storage.files import sha256
from pipeline.storage.folders import folder_at
from tests.fixtures.dicom_files import dicom
from tests.fixtures.nasty_formats import encoded
from tests.fixtures.scenes import begun

RULES = Images(width=32, height=24, fit="stretch", max_megapixels=1, frame="all")
RED, BLUE = (230, 10, 10), (10, 10, 230)
AT = {"AcquisitionDateTime": "20260101120000+0000"}


def frames(*colours: tuple[int, int, int]) -> NDArray[np.uint8]:
    """One frame, 16 x 16, of each colour, with a little of something in it."""
    noise = np.random.default_rng(3).integers(0, 20, (16, 16, 3), np.uint8)
    return np.stack([np.uint8(colour) + noise for colour in colours])


def of_several(*colours: tuple[int, int, int], syntax: str = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    return dicom(frames(*colours), syntax, NumberOfFrames=len(colours), **elements)


def with_a_damaged_frame() -> bytes:
    """Of three compressed frames the second has no start of frame."""
    data = bytearray(of_several(RED, BLUE, RED, syntax=JPEGBaseline8Bit))
    second = data.index(b"\xff\xd8", data.index(b"\xff\xd8") + 2)
    data[second + 2 : second + 40] = bytes(38)
    return bytes(data)


def files() -> dict[str, bytes]:
    plain = of_several(RED, RED, BLUE, RED, BLUE, **AT)
    return {
        "a.dcm": plain,
        "a.dcm#frame=1": encoded(Image.fromarray(frames(BLUE)[0]), "PNG"),
        "b/again.dcm": plain,
        "b/photo.png": encoded(Image.fromarray(frames(BLUE)[0]), "PNG"),
        "cut.dcm": plain[: plain.index(b"\xe0\x7f\x10\0") + 12 + 2 * 768 + 100],
        "damaged.dcm": with_a_damaged_frame(),
        "header.dcm": plain[:300],
        "many.dcm": dicom(frames(RED, BLUE), NumberOfFrames=9000),
        "one.dcm": dicom(frames(RED)[0]),
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames") / "in"
    for path, data in files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def params(defaults: Params) -> Params:
    quiet = {"track": False, "batch_size": 4, "max_unreadable": 1.0}
    return defaults.model_copy(update={"batch": defaults.batch.model_copy(update=quiet)})


def night(source: Path, output: Path, params: Params, rules: Images = RULES, **contract: Any) -> NightSummary:
    run = begun(source, output, rules=rules, **contract)
    for _ in classify_here(run, run.unfinished(), params):
        pass
    return results.finish(run, params).summary


@pytest.fixture(scope="module")
def finished(source: Path, params: Params) -> Path:
    night(source, source.with_name("out"), params)
    return source.with_name("out")


def rows_of(output: Path) -> list[dict[str, str]]:
    return [*read_rows(output / "predictions.csv")]


def share(row: dict[str, str], label: str) -> float:
    return next(float(row[f"confidence{rank}"]) for rank in ("", "_2", "_3") if row[f"label{rank}"] == label)


def test_each_file_has_its_row_behind_those_of_its_frames(finished: Path) -> None:
    rows = rows_of(finished)
    paths = [row["path"] for row in rows]
    in_order = [
        *(f"a.dcm#frame={number}" for number in range(1, 6)), "a.dcm", r"a.dcm\x23frame=1",
        *(f"b/again.dcm#frame={number}" for number in range(1, 6)), "b/again.dcm", "b/photo.png",
        *(f"cut.dcm#frame={number}" for number in range(1, 6)), "cut.dcm",
        *(f"damaged.dcm#frame={number}" for number in range(1, 4)), "damaged.dcm", "header.dcm", "many.dcm", "one.dcm",
    ]  # fmt: skip
    assert paths == in_order
    assert listed_path(r"a.dcm\x23frame=1") == "a.dcm#frame=1", "a real file of that name is never taken for a frame"
    said = {row["path"]: row for row in rows}
    assert [said[f"a.dcm#frame={number}"]["label"] for number in range(1, 6)] == ["red", "red", "blue", "red", "blue"]
    own = said["a.dcm"]
    assert (own["label"], own["label_2"]) == ("red", "blue")
    for label in ("red", "blue", "white"):
        assert share(own, label) == pytest.approx(np.mean([share(row, label) for row in rows[:5]]), abs=2e-6)
    assert own["brightness"] == said["a.dcm#frame=3"]["brightness"], "it looks as the middle frame does"
    assert {row["taken_at"] for row in rows[:6]} == {"2026-01-01T12:00:00+00:00"}


def test_damage_is_said_at_the_frame_and_at_the_file(finished: Path) -> None:
    said = {row["path"]: row for row in rows_of(finished)}
    assert [said[f"damaged.dcm#frame={number}"]["status"] for number in (1, 2, 3)] == ["ok", "unreadable", "ok"]
    assert (said["damaged.dcm"]["label"], said["damaged.dcm"]["flags"]) == ("red", "damaged_frames")
    assert [said[f"cut.dcm#frame={number}"]["status"] for number in (1, 2, 3, 4)] == ["ok", "ok", *["unreadable"] * 2]
    cut = "damaged DICOM image: its pixels are cut off"
    assert (said["cut.dcm"]["status"], said["cut.dcm"]["error"]) == (
        "unreadable", f"3 of its 5 frames cannot be read: {cut}",
    )  # fmt: skip
    assert said["header.dcm"]["status"] == "unreadable"
    assert said["many.dcm"]["status"] == "unreadable"
    assert said["one.dcm"]["label"] == "red"


def test_the_summary_counts_files_and_their_frames_apart(finished: Path) -> None:
    summary = read_summary(folder_at(finished))
    assert summary is not None
    assert summary.frames is not None
    assert (summary.reconciled, summary.listed, summary.counts) == (True, 9, {"ok": 6, "unsure": 0, "unreadable": 3})
    assert (summary.frames.files, summary.frames.ok, summary.frames.unreadable) == (4, 14, 4)
    assert summary.review is not None
    assert summary.review.unreadable == 3
    assert "frame=" not in (finished / "review.csv").read_text().replace(r"\x23frame=1", "")
    assert summary.events is not None
    assert summary.events.images == 3, "a frame is not a picture of an event"
    assert "4 files have several frames." in (finished / "morning.html").read_text()


def test_a_frame_is_answered_as_a_night_of_that_number_does(
    source: Path, finished: Path, tmp_path: Path, params: Params
) -> None:
    night(source, tmp_path / "out", params, RULES.model_copy(update={"frame": 2}))
    alone = {row["path"]: row for row in rows_of(tmp_path / "out")}["a.dcm"]
    ours = {row["path"]: row for row in rows_of(finished)}["a.dcm#frame=2"]
    assert ours | {"path": "a.dcm"} == alone


def test_a_killed_night_writes_the_same_bytes(source: Path, finished: Path, tmp_path: Path, params: Params) -> None:
    run = begun(source, tmp_path, rules=RULES)
    next(classify_here(run, run.unfinished(), params))
    part = books_of(run.output).path / "parts" / "00000.csv"
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join(lines[:2] + lines[3:]))  # frame 3 is lost
    again = Run.unfinished_in(folder_at(tmp_path))
    assert again is not None
    for _ in classify_here(again, again.unfinished(), params):
        pass
    results.finish(again, params)
    assert (tmp_path / "predictions.csv").read_bytes() == (finished / "predictions.csv").read_bytes()


ROWS = ["a#frame=1", "a#frame=2", "a", "b"]


@pytest.mark.parametrize(
    ("paths", "holds"),
    [
        (ROWS, True), (ROWS[1:], False), (ROWS[2:], True), (ROWS[:2] + ROWS[3:], False), ([ROWS[0], *ROWS], False),
        ([ROWS[1], ROWS[0], *ROWS[2:]], False), ([*ROWS, "b#frame=1"], False), (["b#frame=1", *ROWS[2:]], False),
        (ROWS[:-1], False), ([*ROWS, "c"], False),
    ],
)  # fmt: skip
def test_no_row_is_lost_or_doubled_unseen(finished: Path, paths: list[str], holds: bool) -> None:
    row = rows_of(finished)[0]
    summary = read_summary(folder_at(finished))
    assert summary is not None
    stamp = Stamp(row["model_name"], row["model_version"], row["classified_at"])
    lines = [",".join([path, *(row[column] for column in COLUMNS[1:])]) for path in paths]
    data = "".join(f"{line}\r\n" for line in lines).encode()
    assert holds_rows_of(data, ["a", "b"], stamp) is holds


def promise(certified: bool, below: float) -> Promise:
    shares = {"target_precision": 0.9, "confidence": 0.9, "lower_bound": 0.9, "precision": 0.95}
    return Promise(unsure_below=below, certificate=Certificate(**shares, certified=certified, images=90))


@pytest.mark.parametrize(
    ("rule", "frame", "own"),
    [
        (None, ("unsure", "not_certified"), ("unsure", "not_certified")),
        (FramesRule(frame=promise(True, 0.5), file=promise(False, 0.5)), ("ok", ""), ("unsure", "not_certified")),
        (FramesRule(frame=promise(True, 1.0), file=promise(True, 0.5)), ("unsure", "low_confidence"), ("ok", "")),
    ],
    ids=["no rule", "of frames alone", "of both"],
)
def test_nothing_is_ok_by_a_promise_about_images(
    source: Path, tmp_path: Path, params: Params, rule: FramesRule | None,
    frame: tuple[str, str], own: tuple[str, str],
) -> None:  # fmt: skip
    (tmp_path / "in").mkdir()
    shutil.copy(source / "a.dcm", tmp_path / "in")
    shutil.copy(source / "b/photo.png", tmp_path / "in")
    summary = night(tmp_path / "in", tmp_path / "out", params, certificate=promise(True, 0.5).certificate, frames=rule)
    *of_frames, file, photo = ((row["status"], row["flags"]) for row in rows_of(tmp_path / "out"))
    assert (set(of_frames), file, photo) == ({frame}, own, ("ok", ""))
    assert summary.frames is not None
    assert summary.frames.words == (rule.words if rule else NO_RULE)


def reads(source: Path, path: str, **how: Any) -> list[Any]:
    rules = how.pop("rules", RULES)
    return [*with_frames(iter([FramesFile(path)]), folder_at(source), rules, Reading(2, 8, 30), **how)]


def test_a_file_that_changes_or_is_gone_or_kills_has_one_row(source: Path) -> None:
    begun_, *found, ended = reads(source, "a.dcm")
    assert (begun_.count, [one.frame for one in found], ended) == (5, [1, 2, 3, 4, 5], FramesEnded("a.dcm"))
    assert isinstance(begun_, FramesBegun)
    [other] = reads(source, "one.dcm")
    assert (other.path, other.error) == ("one.dcm", CHANGED)
    [gone] = reads(source, "gone.dcm")
    assert (gone.path, gone.error) == ("gone.dcm", GONE)
    [many] = reads(source, "many.dcm")
    assert many.error == "damaged DICOM image: it claims 9,000 frames, more than such a file can have"
    assert reads(source, "a.dcm", survives=lambda *_: False) == [Unreadable("a.dcm", CRASHED)]
    walk_frames(folder_at(source), "damaged.dcm", RULES)


def test_a_frame_that_hangs_costs_those_after_it(source: Path) -> None:
    opened = open_frames((source / "a.dcm").read_bytes(), RULES)
    released = Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(released.wait)
        found = [*decoded(opened, "a.dcm", "", pool, Reading(1, 1, 0.0))]
        released.set()
    assert [one.frame for one in found if isinstance(one, Unreadable)] == [1, 2, 3, 4, 5]
    assert {one.error for one in found if isinstance(one, Unreadable)} == {"frame 1 could not be read within 0 s"}


def test_a_later_night_repeats_no_answer_of_a_file_whose_frames_it_judges_again(
    source: Path, finished: Path, tmp_path: Path
) -> None:
    summary = read_summary(folder_at(finished))
    assert summary is not None
    run = begun(source, tmp_path / "same", rules=RULES)
    contract = read_contract(Path(str(model_of(run.output).path)))
    last = Path(shutil.copytree(finished, tmp_path / "last"))
    summary.model_copy(update={"contract_hash": contract.hash}).write(folder_at(last))
    remember_last(folder_at(source), last, tmp_path / "known", contract, COLUMNS)
    known = Known(tmp_path / "known")
    digests = {name: sha256((source / name).read_bytes()) for name in ("a.dcm", "one.dcm", "a.dcm#frame=1")}
    assert {name: known.earlier(digest) is not None for name, digest in digests.items()} == {
        "a.dcm": False, "one.dcm": True, "a.dcm#frame=1": True,
    }  # fmt: skip
    known.close()
