"""Tables of labelled images: what their rows say, and which row is wrong."""

import io

import pandas as pd
import pytest

from pipeline.sources.layout import SourceError
from pipeline.sources.tables import Row, read_table


def rows(text: str, name: str = "t.csv") -> list[Row]:
    return read_table(text.encode(), name)


def test_path_and_label_are_enough() -> None:
    assert rows("path,label\na.jpg,cat\nb.jpg,dog\n") == [Row("a.jpg", "cat", ()), Row("b.jpg", "dog", ())]


@pytest.mark.parametrize(
    "text",
    [
        "label,cell,path,split,group\ncat,00,a.jpg,Valid,g 1\n",
        "\ufefflabel,cell,path,split,group\r\ncat,00,a.jpg,val,g 1\r\n\r\n,,,,\r\n",
    ],
    ids=["any order", "as Excel saves it"],
)
def test_all_columns_are_kept_as_text_in_their_order(text: str) -> None:
    assert rows(text) == [Row("a.jpg", "cat", (("cell", "00"), ("split", "val"), ("group", "g 1")))]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("header", ["path,label,Note,split,group", "Path, LABEL ,Note,\u00a0Split,GROUP\u200b"])
def test_a_table_is_read_as_people_save_it(separator: str, encoding: str, header: str) -> None:
    lines = [header, "K\u00e4fer/1.jpg,K\u00e4fer,0.5,Test ,g 1", "cat/1.jpg,cat,0.1,,"]
    data = "\r\n".join(lines).replace(",", separator).encode(encoding)
    assert read_table(data, "t.csv") == [
        Row("K\u00e4fer/1.jpg", "K\u00e4fer", (("Note", "0.5"), ("split", "test"), ("group", "g 1"))),
        Row("cat/1.jpg", "cat", (("Note", "0.1"), ("split", ""), ("group", ""))),
    ]


@pytest.mark.parametrize(
    "text",
    ["sep=;\npath;label\na.jpg;cat\n", "\n\npath,label,,\na.jpg,cat,,\n,,,\n", "path,label\n a.jpg ,'=cat\n"],
    ids=["excel's first line", "empty columns and rows", "blanks and a guard"],
)
def test_what_spreadsheets_add_is_no_content(text: str) -> None:
    assert rows(text) in ([Row("a.jpg", "cat", ())], [Row("a.jpg", "=cat", ())])


def test_a_group_is_the_same_with_blanks_around_it() -> None:
    assert [row.known for row in rows("path,label,group\na,x,7 \nb,y, 7\n")] == [(("group", "7"),)] * 2


def test_another_encoding_is_named_with_its_line() -> None:
    with pytest.raises(SourceError, match=r"line 3 has the byte 0xE4 \(in Windows-1252 it would be .*Käfer.*CSV UTF"):
        read_table("path,label\na.jpg,cat\nb.jpg,K\u00e4fer\n".encode("cp1252"), "t.csv")


def test_values_may_hold_separators_quotes_and_formulas() -> None:
    assert rows('path,label,note\n"a, b.jpg","say ""x""","=1+1\nNA"\n') == [
        Row("a, b.jpg", 'say "x"', (("note", "=1+1\nNA"),))
    ]


def test_tabs_separate_a_tsv() -> None:
    assert rows("path\tlabel\na,b.jpg\tNA\n", "t.TSV") == [Row("a,b.jpg", "NA", ())]


def test_parquet_is_read() -> None:
    file = io.BytesIO()
    frame = pd.DataFrame(
        {"path": ["a.jpg", "b.jpg"], "label": ["1", "2"], "n": [1, 2], "x": [0.1, None], "split": ["test", None]}
    )
    frame.astype({"label": "int64"}).to_parquet(file)
    assert read_table(file.getvalue(), "t.parquet") == [
        Row("a.jpg", "1", (("n", "1"), ("x", "0.1"), ("split", "test"))),
        Row("b.jpg", "2", (("n", "2"), ("x", ""), ("split", ""))),
    ]


def test_a_row_that_says_the_same_again_is_no_second_image() -> None:
    assert rows("path,label\na.jpg,cat\na.jpg,cat\n") == [Row("a.jpg", "cat", ())]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        pytest.param("", r"no column path and no column label; its columns are none", id="empty file"),
        pytest.param("file,label\n", r"no column path; its columns are file, label\. It must have", id="no path"),
        pytest.param("file;class\na;b\n", r"its columns are file;class\. .*separated by commas", id="semicolons"),
        pytest.param("path,PATH,label\na,b,c\n", "several columns of the same name: path", id="column in two cases"),
        pytest.param("path,label,path\na,b,c\n", "several columns of the same name: path", id="column twice"),
        pytest.param("path,label,\na,b,c\n", "column 3 has no name", id="column without a name"),
        pytest.param("path,label\na.jpg,\nb.jpg,x\nc.jpg, \n", "label is empty in rows 2, 4", id="no label"),
        pytest.param("path,label\n,cat\n", "path is empty in row 2", id="no file"),
        pytest.param("path,label\na.jpg,cat,x\n", "row 2 does not have 2 values", id="too many values"),
        pytest.param(
            "path,label\na.jpg,cat\nb.jpg,x\na.jpg,dog\n",
            r"1 rows name an image a second time with another label: a\.jpg \(rows 2 and 4\)",
            id="two labels",
        ),
        pytest.param("path,label,group\na.jpg,cat,1\na.jpg,cat,2\n", "another group: .*rows 2 and 3", id="two groups"),
        pytest.param(
            "path,label,split\na,b,train\nc,d,night\ne,f,\ng,h,x\n",
            "split is night, x in rows 3, 5. It must be train, val, test or empty",
            id="unknown split",
        ),
        pytest.param('path,label\n"a,b\n', "is not valid CSV", id="open quote"),
    ],
)
def test_a_wrong_table_is_refused_with_the_place(text: str, match: str) -> None:
    with pytest.raises(SourceError, match=rf"(?s)^t\.csv.*{match}"):
        rows(text)


@pytest.mark.parametrize(
    ("data", "name", "match"),
    [
        (b"path,label\n\xff.jpg,cat\n", "t.csv", "t.csv is not UTF-8 text"),
        (b"path,label\n", "t.parquet", "t.parquet is not a valid Parquet file"),
    ],
)
def test_bytes_that_are_no_table_are_refused(data: bytes, name: str, match: str) -> None:
    with pytest.raises(SourceError, match=match):
        read_table(data, name)
