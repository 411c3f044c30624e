"""Every image is looked at once, and not again until it changes."""

import os
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.data import manifest as module
from pipeline.data.manifest import InvalidData, build_manifest, with_metadata
from pipeline.params.data import Images
from pipeline.storage.files import sha256
from tests.fixtures.images import save_image
from tests.fixtures.project import REPOSITORY, run

RULES = Images(width=32, height=24, fit="stretch", max_megapixels=1)


def built(raw: Path, workers: int = 2, rules: Images = RULES) -> pd.DataFrame:
    return build_manifest(raw, rules, workers, raw.parent / "measured")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for number in range(4):
        save_image(tmp_path / "raw" / "cat" / f"{number}.png", seed=number)
        save_image(tmp_path / "raw" / "dog" / f"{number}.jpg", seed=100 + number)
    return tmp_path / "raw"


def test_the_manifest_says_of_each_file_what_it_is_or_why_it_cannot_be_read(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    files = {
        "cat/a.png": save_image(raw / "cat" / "a.png", 1),
        "cat/deep/b.jpg": save_image(raw / "cat" / "deep" / "b.jpg", 2, width=50, height=60),
        "dog/c.jpg": raw / "dog" / "c.jpg",
        "dog/d.jpg": raw / "dog" / "d.jpg",
        "n%2Fa/e.jpg": save_image(raw / "n%2Fa" / "e.png", 3).rename(raw / "n%2Fa" / "e.jpg"),
    }
    (raw / "dog").mkdir()
    files["dog/c.jpg"].write_bytes(b"")
    files["dog/d.jpg"].write_text("words")
    (raw / "dog" / "notes.txt").write_text("not listed")
    about = ["path", "label", "bytes", "sha256", "error", "format", "extension_matches", "mode", "bits", "orientation"]

    def expected(path: str, label: str, error: str, *rest: Any) -> list[Any]:
        data = files[path].read_bytes()
        return [path, label, len(data), sha256(data), error, *rest]

    table = built(raw)
    rows: list[list[Any]] = (
        table[[*about, "width", "height"]].astype(object).where(table.notna(), None).to_numpy().tolist()
    )
    nothing = [None] * 7
    assert rows == [
        expected("cat/a.png", "cat", "", "PNG", True, "RGB", 8, 1, 40, 30),
        expected("cat/deep/b.jpg", "cat", "", "JPEG", True, "RGB", 8, 1, 50, 60),
        expected("dog/c.jpg", "dog", "the file is empty", *nothing),
        expected("dog/d.jpg", "dog", "not an image in a known format", *nothing),
        expected("n%2Fa/e.jpg", "n/a", "", "PNG", False, "RGB", 8, 1, 40, 30),
    ]
    assert table["readable"].tolist() == [True, True, False, False, True]
    measures = table[["brightness", "contrast", "sharpness", "entropy", "aspect", "phash"]]
    assert measures.notna().all(axis=1).tolist() == table["readable"].tolist()


def test_measures_are_of_the_file_whatever_the_model_sees(raw: Path) -> None:
    rules = RULES.model_copy(update={"width": 99, "height": 64, "fit": "crop"})
    pd.testing.assert_frame_equal(built(raw), built(raw, rules=rules))


def test_the_manifest_survives_its_file_whatever_the_number_of_threads(raw: Path, tmp_path: Path) -> None:
    one, many = (build_manifest(raw, RULES, workers, tmp_path / str(workers)) for workers in (1, 8))
    pd.testing.assert_frame_equal(one, many)
    one.to_parquet(tmp_path / "manifest.parquet", index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "manifest.parquet"), one)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are read from now on, really read."""
    paths: list[str] = []
    read_file = module.read_file

    def noted(raw: Path, path: str, rules: Images) -> dict[str, Any]:
        paths.append(path)
        return read_file(raw, path, rules)

    monkeypatch.setattr(module, "read_file", noted)
    return paths


def test_a_second_pass_reads_only_what_has_changed(raw: Path, read: list[str]) -> None:
    first = built(raw)
    assert len(read) == 8
    read.clear()
    pd.testing.assert_frame_equal(built(raw), first)
    assert read == []

    save_image(raw / "cat" / "1.png", seed=50)
    save_image(raw / "cat" / "new.png", seed=51)
    (raw / "dog" / "0.jpg").unlink()
    changed = built(raw)
    assert read == ["cat/1.png", "cat/new.png"]
    pd.testing.assert_frame_equal(changed, build_manifest(raw, RULES, 2, raw.parent / "elsewhere"))


def test_a_change_that_hides_behind_size_and_time_is_seen(raw: Path, read: list[str]) -> None:
    file = raw / "cat" / "0.png"
    before = file.stat()
    built(raw)
    read.clear()
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sha256(bytes(data)) in set(built(raw)["sha256"])
    assert read == ["cat/0.png"]


def test_a_file_that_could_not_be_read_is_tried_again(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_file = module.read_file

    def failing(folder: Path, path: str, rules: Images) -> dict[str, Any]:
        if path == "cat/2.png":
            return {"readable": False, "error": "HEIC images need the package pillow-heif", "sha256": "0" * 64}
        return read_file(folder, path, rules)

    monkeypatch.setattr(module, "read_file", failing)
    assert built(raw)["readable"].sum() == 7
    monkeypatch.undo()
    assert built(raw)["readable"].sum() == 8


@pytest.mark.parametrize("chunk", [1, 3])
def test_a_pass_that_was_killed_goes_on_where_it_stopped(
    raw: Path, read: list[str], monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    noted = module.read_file

    def killed(folder: Path, path: str, rules: Images) -> dict[str, Any]:
        if len(read) == 6:
            raise KeyboardInterrupt
        return noted(folder, path, rules)

    monkeypatch.setattr(module, "read_file", killed)
    with pytest.raises(KeyboardInterrupt):
        built(raw, workers=1)
    monkeypatch.setattr(module, "read_file", noted)
    read.clear()
    whole = built(raw, workers=1)
    assert len(read) <= 8 - (6 - 6 % chunk - chunk)
    assert len(read) < 8
    pd.testing.assert_frame_equal(whole, build_manifest(raw, RULES, 2, raw.parent / "elsewhere"))
    assert [file.name for file in (raw.parent / "measured").rglob("*.parquet")] == ["whole.parquet"]


def test_other_rules_for_decoding_measure_anew(raw: Path, read: list[str]) -> None:
    built(raw)
    read.clear()
    built(raw, rules=RULES.model_copy(update={"max_megapixels": 0.0001}))
    assert len(read) == 8
    assert len(list((raw.parent / "measured").iterdir())) == 1, "what was measured otherwise is forgotten"


def test_a_memory_that_is_deleted_costs_time_only(raw: Path) -> None:
    first = built(raw)
    for file in (raw.parent / "measured").rglob("*.parquet"):
        file.unlink()
    pd.testing.assert_frame_equal(built(raw), first)


@pytest.mark.parametrize("damage", [b"", b"PAR1 half a table"], ids=["empty", "half"])
def test_a_memory_that_is_damaged_is_no_obstacle(raw: Path, damage: bytes) -> None:
    first = built(raw)
    (file,) = (raw.parent / "measured").rglob("*.parquet")
    file.write_bytes(damage)
    pd.testing.assert_frame_equal(built(raw), first)


def test_a_file_without_a_class_is_named(raw: Path) -> None:
    save_image(raw / "stray.jpg")
    with pytest.raises(InvalidData, match=r"stray\.jpg are directly in .* Move each into a folder"):
        built(raw)


def test_many_files_without_a_class_are_counted(tmp_path: Path) -> None:
    for number in range(7):
        save_image(tmp_path / "raw" / f"{number}.jpg")
    with pytest.raises(InvalidData, match=r"0\.jpg, 1\.jpg, 2\.jpg, 3\.jpg, 4\.jpg and 2 more are directly"):
        built(tmp_path / "raw")


def test_a_folder_without_images_says_how_to_get_some(tmp_path: Path) -> None:
    (tmp_path / "raw" / "cat").mkdir(parents=True)
    with pytest.raises(InvalidData, match=r"contains no images.*nightshift data import.*nightshift data demo"):
        built(tmp_path / "raw")


def test_a_name_that_is_no_text_is_named_before_it_spoils_a_table(raw: Path) -> None:
    save_image(raw / "cat" / "a.png").rename(raw / "cat" / os.fsdecode(b"\xff.png"))
    with pytest.raises(InvalidData, match=r"cat/\\xff\.png"):
        built(raw)


MANIFEST = pd.DataFrame({"path": ["cat/a.png", "cat/b.png", "dog/c.png"], "width": [1, 2, 3]})


def side(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"path": ["dog/c.png", "cat/a.png"], **columns}, dtype="str")


def test_the_side_table_is_joined_by_path() -> None:
    table = side(split=["test", ""], patient=["p1", "p2"], width=["wide", ""])
    joined = with_metadata(MANIFEST, table, "patient")
    assert joined["path"].tolist() == MANIFEST["path"].tolist()
    assert joined["split"].fillna("-").tolist() == ["-", "-", "test"]
    assert joined["group"].fillna("-").tolist() == ["p2", "-", "p1"]
    assert joined["width"].tolist() == [1, 2, 3]
    assert joined["width_metadata"].fillna("-").tolist() == ["-", "-", "wide"]


def test_groups_are_whole_only_where_they_are_asked_for() -> None:
    assert with_metadata(MANIFEST, side(group=["p1", "p2"]), "group")["group"].notna().sum() == 2
    assert "group" not in with_metadata(MANIFEST, side(group=["p1", "p2"]), None)
    assert "group" not in with_metadata(MANIFEST, side(), "group"), "the default asks for nothing"


@pytest.mark.parametrize(
    ("table", "group_column", "said"),
    [
        pytest.param(
            pd.DataFrame({"path": ["cat/a.png", "cat/a.png"]}, dtype="str"), None,
            "more than one row for cat/a.png. Keep one", id="a path twice",
        ),
        pytest.param(side(split=["tset", "train"]), None, "split is 'tset' for dog/c.png; allowed: train, val, test",
                     id="no split"),
        pytest.param(side(site=["a", "b"]), "patient", r"'patient', which is not a column of .* \(path, site\)",
                     id="no such group column"),
    ],
)  # fmt: skip
def test_a_side_table_that_cannot_be_right_is_refused(table: pd.DataFrame, group_column: str | None, said: str) -> None:
    with pytest.raises(InvalidData, match=said):
        with_metadata(MANIFEST, table, group_column)


WEIGHED = """
import resource
from pathlib import Path
from tests.data import test_manifest as tests

tests.built(Path("first"))  # what the libraries themselves take
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
tests.module.CHUNK = 10
table = tests.built(Path("raw"), rules=tests.RULES.model_copy(update={"max_megapixels": 10}))
assert table["readable"].all() and len(table) == 60
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_long_pass_holds_little_more_than_the_manifest(tmp_path: Path) -> None:
    """Pixels are let go as they are measured: 60 pictures of 12 MB take less than five of them do.

    In a process of its own: what other tests have loaded and freed would be measured too.
    """
    save_image(tmp_path / "first" / "cat" / "0.jpg", seed=0, width=200, height=200)
    for number in range(60):
        save_image(tmp_path / "raw" / "cat" / f"{number}.jpg", seed=number, width=2000, height=2000)
    weighed = run(sys.executable, "-c", WEIGHED, cwd=tmp_path, PYTHONPATH=str(REPOSITORY))
    assert int(weighed.stdout) < 60_000  # kB
