"""The side table: rows come and change by path, everything else stays."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.data.side_table import MetadataError, merged, read_metadata, write_metadata


def table(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype="str")


@pytest.mark.parametrize(
    ("before", "rows", "after"),
    [
        pytest.param(
            table(path=[]), {"b": {"split": "val"}, "a": {}}, table(path=["a", "b"], split=["", "val"]), id="new"
        ),
        pytest.param(
            table(path=["a", "c"], group=["1", "2"]),
            {"b": {"x": "="}, "c": {"group": "3"}},
            table(path=["a", "b", "c"], group=["1", "", "3"], x=["", "=", ""]),
            id="added and changed",
        ),
        pytest.param(table(path=["b", "a"]), {}, table(path=["a", "b"]), id="sorted"),
    ],
)
def test_rows_are_merged_by_path(before: pd.DataFrame, rows: dict[str, dict[str, str]], after: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(merged(before, rows), after)


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    values = table(path=["=1+1/ü.jpg", 'a"b,c/1.jpg'], group=["007", "NA"], note=["two\nlines", ""])
    write_metadata(tmp_path / "m.csv", values)
    pd.testing.assert_frame_equal(read_metadata(tmp_path / "m.csv"), values)


def test_no_file_is_no_rows(tmp_path: Path) -> None:
    assert read_metadata(tmp_path / "none.csv").to_dict("list") == {"path": []}


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"file,group\n", "has no column path; its columns are file, group"),
        (b'path\n"a\n', "Could not read .* is not valid CSV"),
        (b"", "has no column path; its columns are none"),
        (b"path,group,Group \na,1,2\n", "several columns of the same name: group"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path: Path, data: bytes, match: str) -> None:
    (tmp_path / "m.csv").write_bytes(data)
    with pytest.raises(MetadataError, match=match):
        read_metadata(tmp_path / "m.csv")
