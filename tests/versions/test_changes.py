"""Every difference between two versions is found once and under its right name, and the counts add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.versions.changes import (
    SIDE_TABLE,
    Changes,
    DataVersion,
    Move,
    TableChanges,
    compare,
    compare_tables,
    name_lines,
    side_table_line,
    table_rows,
)


def without_counts(changes: Changes) -> Changes:
    return Changes(changes.added, changes.removed, changes.changed, changes.relabelled, changes.moved)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        pytest.param({}, {}, Changes(), id="nothing"),
        pytest.param({"cat/1": "a"}, {"cat/1": "a"}, Changes(), id="the same"),
        pytest.param({}, {"cat/1": "a"}, Changes(added=("cat/1",)), id="added"),
        pytest.param({"cat/1": "a"}, {}, Changes(removed=("cat/1",)), id="removed"),
        pytest.param({"cat/1": "a"}, {"cat/1": "b"}, Changes(changed=("cat/1",)), id="changed"),
        pytest.param({"cat/1": "a"}, {"cat/x/2": "a"}, Changes(moved=(Move("cat/1", "cat/x/2"),)), id="moved"),
        pytest.param({"cat/1": "a"}, {"dog/1": "a"}, Changes(relabelled=(Move("cat/1", "dog/1"),)), id="relabelled"),
        pytest.param(
            {"cat/1": "a", "cat/2": "b"}, {"katze/1": "a", "katze/2": "b"},
            Changes(relabelled=(Move("cat/1", "katze/1"), Move("cat/2", "katze/2"))), id="a class renamed",
        ),
        pytest.param(
            {"cat/1": "a", "dog/1": "b"}, {"cat/1": "b", "dog/1": "a"},
            Changes(relabelled=(Move("cat/1", "dog/1"), Move("dog/1", "cat/1"))), id="two images swapped labels",
        ),
        pytest.param(
            {"cat/1": "a", "cat/2": "b", "cat/3": "c"}, {"cat/1": "b", "cat/2": "c"},
            Changes(removed=("cat/1",), moved=(Move("cat/2", "cat/1"), Move("cat/3", "cat/2"))),
            id="one taken out and the rest renumbered",
        ),
        pytest.param(
            {"cat/1": "a", "dog/1": "b"}, {"dog/1": "a"},
            Changes(removed=("dog/1",), relabelled=(Move("cat/1", "dog/1"),)), id="relabelled over another image",
        ),
        pytest.param({"cat/1": "a"}, {"cat/1": "a", "dog/1": "a"}, Changes(added=("dog/1",)), id="a copy is added"),
        pytest.param({"cat/1": "a", "dog/1": "a"}, {"dog/1": "a"}, Changes(removed=("cat/1",)), id="one copy less"),
        pytest.param(
            {"cat/1": "a", "cat/2": "a"}, {"cat/3": "a", "dog/1": "a"},
            Changes(moved=(Move("cat/1", "cat/3"),), relabelled=(Move("cat/2", "dog/1"),)),
            id="a copy that can stay in its class does",
        ),
        pytest.param(
            {"cat/1": "a", "cat/2": "a"}, {"dog/2": "a", "dog/x": "a", "dog/y": "a"},
            Changes(added=("dog/y",), relabelled=(Move("cat/1", "dog/x"), Move("cat/2", "dog/2"))),
            id="of copies those of one name match",
        ),
        pytest.param({SIDE_TABLE: "a"}, {SIDE_TABLE: "b"}, Changes(), id="the side table is no image"),
        pytest.param({}, {"notes.txt": "a"}, Changes(added=("notes.txt",)), id="a file in no class folder"),
        pytest.param({"a/x": "1"}, {"ab/x": "1"}, Changes(relabelled=(Move("a/x", "ab/x"),)), id="labels alike"),
    ],
)  # fmt: skip
def test_each_difference_has_its_name(before: dict[str, str], now: dict[str, str], expected: Changes) -> None:
    assert without_counts(compare(before, now)) == expected


paths = st.builds("{}/{}".format, st.sampled_from(["cat", "dog", "dog/deep", "bird"]), st.sampled_from("123456"))
versions = st.dictionaries(paths, st.sampled_from("abcde"), max_size=18)  # few contents: many copies


@given(before=versions, now=versions)
def test_counts_reconcile_for_every_label_and_each_difference_is_said_once(
    before: dict[str, str], now: dict[str, str]
) -> None:
    found = compare(before, now)
    for label in found.labels:
        came, went = label.added + label.relabelled_in, label.removed + label.relabelled_out
        assert label.before + came - went == label.now
    assert sum(label.before for label in found.labels) == len(before)
    assert sum(label.now for label in found.labels) == len(now)

    moves = found.moved + found.relabelled
    assert all(before[move.before] == now[move.now] for move in moves)
    gone = [*found.removed, *found.changed, *(move.before for move in moves)]
    come = [*found.added, *found.changed, *(move.now for move in moves)]
    assert sorted(gone) == sorted(path for path in before if now.get(path) != before[path])
    assert sorted(come) == sorted(path for path in now if before.get(path) != now[path])
    unmatched = {before[path] for path in (*found.removed, *found.changed)}
    assert not unmatched & {now[path] for path in (*found.added, *found.changed)}, "all that can be matched is"


@given(before=versions, now=versions)
def test_the_way_back_is_the_same_with_the_signs_turned(before: dict[str, str], now: dict[str, str]) -> None:
    there, back = compare(before, now), compare(now, before)
    assert len(there.moved) == len(back.moved)
    assert len(there.relabelled) == len(back.relabelled)
    assert len(there.added) + len(there.changed) == len(back.removed) + len(back.changed)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        pytest.param("path,group\na,1\n", "path,group\na,1\n", TableChanges(), id="the same"),
        pytest.param("path,group\na,1\nb,2\n", "path,group\nb,2\na,1\n", TableChanges(), id="another order"),
        pytest.param(
            "path,group\na,1\nb,2\n", "path,group\nb,3\nc,1\n",
            TableChanges(added=("c",), removed=("a",), changed=("b",)), id="rows",
        ),
        pytest.param(
            "path,group\na,1\n", "path,split\na,test\n",
            TableChanges(columns_added=("split",), columns_removed=("group",)), id="columns change no row",
        ),
        pytest.param("", "path\na\n", TableChanges(added=("a",), columns_added=("path",)), id="a new table"),
        pytest.param("path\na\na\n", "path\na\n", TableChanges(removed=("a",)), id="a path twice"),
        pytest.param("\ufeffpath\r\na\r\n", "path\na\n", TableChanges(), id="as spreadsheets save it"),
        pytest.param("path,group\na\n", "path,group\na,1\n", TableChanges(changed=("a",)), id="a short row"),
        pytest.param("x,y\n1,2\n", "x,y\n1,3\n", TableChanges(added=("1,3",), removed=("1,2",)), id="without paths"),
    ],
)  # fmt: skip
def test_rows_of_the_side_table_are_compared_by_their_path(before: str, now: str, expected: TableChanges) -> None:
    assert compare_tables(before, now) == expected


def snapshot(content: str | None, table: str | None) -> DataVersion:
    return DataVersion("a version", {SIDE_TABLE: content} if content else {}, table)


@pytest.mark.parametrize(
    ("before", "now", "line"),
    [
        pytest.param(snapshot(None, ""), snapshot(None, ""), "", id="no table"),
        pytest.param(snapshot("1", None), snapshot("1", None), "", id="unchanged and not in the cache"),
        pytest.param(
            snapshot("1", "path,group\na,1\nb,2\n"), snapshot("2", "path,group,split\na,2,\nc,1,\n"),
            "metadata.csv: 1 row added; 1 row removed; 1 row changed; column split added", id="rows and columns",
        ),
        pytest.param(
            snapshot(None, ""), snapshot("1", "path\na\nb\n"), "metadata.csv: 2 rows added; column path added", id="new"
        ),
        pytest.param(
            snapshot("1", None), snapshot("2", "path\na\n"),
            "metadata.csv: changed (an older version's rows are not in the local cache)", id="not in the cache",
        ),
        pytest.param(
            snapshot("1", "path\na\n"), snapshot("2", "path\r\na\r\n"),
            "metadata.csv: same rows and columns, in another order or notation", id="other line ends",
        ),
    ],
)  # fmt: skip
def test_the_side_tables_change_is_one_line(before: DataVersion, now: DataVersion, line: str) -> None:
    assert side_table_line(before, now) == line


def test_the_table_has_a_row_a_label_and_their_sum() -> None:
    before = {"cat/1": "a", "cat/2": "b", "dog/1": "c", "notes.txt": "n"}
    now = {"cat/1": "x", "dog/1": "c", "dog/2": "b", "dog/3": "d", "notes.txt": "n"}
    assert table_rows(compare(before, now)) == [
        ("(no class folder)", "1", "", "", "", "", "", "", "1"),
        ("cat", "2", "", "", "", "1", "1", "", "1"),
        ("dog", "1", "1", "", "1", "", "", "", "3"),
        ("all", "4", "1", "", "1", "1", "1", "", "5"),
    ]
    assert table_rows(compare({}, {})) == [("all", "0", "", "", "", "", "", "", "0")]


def test_of_very_many_labels_the_table_shows_those_with_a_change() -> None:
    before = {f"{number}/1": str(number) for number in range(100)}
    rows = table_rows(compare(before, before | {"7/2": "new"}))
    assert [row[0] for row in rows] == ["7", "(99 labels without a change)", "all"]
    assert rows[-1] == ("all", "100", "1", "", "", "", "", "", "101")


def test_the_first_names_of_each_kind_or_all() -> None:
    changes = compare({"cat/1": "a"}, {"dog/1": "a", **{f"dog/{number}": str(number) for number in range(2, 9)}})
    assert name_lines(changes, first=2) == [
        "added (7):", "  dog/2", "  dog/3", "  … and 5 more (--names lists all)", "relabelled (1):", "  cat/1 -> dog/1"
    ]  # fmt: skip
    assert len(name_lines(changes, first=None)) == 10
