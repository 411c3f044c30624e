"""The frames of validation and test files of several: all readable ones, of at most so many bytes of files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.data import prepared_frames
from pipeline.data.prepared import read_frames
from pipeline.data.prepared_frames import write_frames
from pipeline.params.data import Images
from pipeline.storage.files import sha256
from tests.fixtures.dicom_files import dicom

RULES = Images(width=8, height=8, fit="stretch", max_megapixels=1, frame="all")


def several(*greys: int) -> bytes:
    values = np.stack([np.full((8, 8), grey, np.uint8) for grey in greys])
    return dicom(values, NumberOfFrames=len(greys), WindowCenter=128, WindowWidth=256)


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    whole = several(10, 20, 30)
    files = {"a.dcm": several(1, 2), "b.dcm": several(9), "c.dcm": whole, "d.dcm": whole[:-30], "e.png": b"any"}
    for path, data in files.items():
        (tmp_path / path).write_bytes(data)
    digests = [sha256(data) for data in files.values()]
    return pd.DataFrame({"path": [*files], "sha256": digests, "format": [*["DICOM"] * 4, "PNG"]})


def greys(folder: Path) -> list[tuple[int, int]]:
    found = read_frames(folder, "val")
    assert found is not None
    return [(int(found.rows[one]), int(found.images[one, 0, 0, 0])) for one in found.readable]


def test_every_readable_frame_is_there_with_its_file(tmp_path: Path, table: pd.DataFrame) -> None:
    write_frames(tmp_path, "val", tmp_path, table, RULES, 2)
    assert greys(tmp_path) == [(0, 1), (0, 2), (2, 10), (2, 20), (2, 30), (3, 10), (3, 20)]


def test_of_too_many_some_files_are_drawn_whole(
    tmp_path: Path, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_frames, "MOST_BYTES", 5 * 8 * 8 * 3)
    write_frames(tmp_path, "val", tmp_path, table, RULES, 1)
    rows = [row for row, _ in greys(tmp_path)]
    assert 0 < len(rows) <= 5
    assert all(rows.count(row) == {0: 2, 2: 3, 3: 2}[row] for row in rows)


@pytest.mark.parametrize("frame", ["first", "middle", 1])
def test_where_a_file_has_one_answer_nothing_is_written(tmp_path: Path, table: pd.DataFrame, frame: str | int) -> None:
    write_frames(tmp_path, "val", tmp_path, table, RULES.model_copy(update={"frame": frame}), 1)
    assert read_frames(tmp_path, "val") is None
