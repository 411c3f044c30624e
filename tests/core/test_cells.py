"""No cell of a CSV is a formula, and every text comes back."""

import csv
import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.cells import csv_path, guarded, guarded_path, guarded_value, listed_path, unguarded, unguarded_path
from pipeline.data.report_tables import write_table

STARTS = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001
texts = st.text(st.sampled_from("'=+-@\t\r\n＝./\\a1 é😀"), max_size=8)  # noqa: RUF001


@given(texts)
def test_a_text_is_no_formula_and_comes_back(text: str) -> None:
    assert not guarded(text).startswith(STARTS)
    assert unguarded(guarded(text)) == text


@given(texts)
def test_a_path_is_no_formula_and_comes_back(path: str) -> None:
    for write, read in ((guarded_path, unguarded_path), (csv_path, listed_path)):
        assert not write(path).startswith(STARTS[:6])
        assert read(write(path)) == path


@pytest.mark.parametrize("text", ["-1.5", "+1", "-1,5", "1e-3", "-.5"])
def test_a_number_stays_one(text: str) -> None:
    assert guarded_value(text) == text
    assert guarded_value(f"{text}+1").startswith(("'", text[0] if text[0].isdigit() else "'"))


@pytest.mark.parametrize("text", ["cat", "'s", "it's", "5 - 3", ""])
def test_what_no_spreadsheet_computes_stays_as_it_is(text: str) -> None:
    assert guarded(text) == text == unguarded(text)


def test_a_report_holds_no_formula(tmp_path) -> None:  # type: ignore[no-untyped-def]
    labels = ["+pos", "=1+1", "@home", "-x", "ok"]
    table = pd.DataFrame(
        {"path": [f"{label}/1.jpg" for label in labels], "label": labels, "confidence": [-0.5, 1, 2, 3, 4]}
    )
    write_table(tmp_path / "t.csv", table)
    rows = [*csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text()))]
    assert not [cell for row in rows for name, cell in row.items() if name != "confidence" and cell.startswith(STARTS)]
    assert [unguarded(row["label"]) for row in rows] == labels
    assert [listed_path(row["path"]) for row in rows] == [f"{label}/1.jpg" for label in labels]
    assert rows[0]["confidence"] == "-0.5"
