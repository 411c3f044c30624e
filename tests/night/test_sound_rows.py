"""A finished night's rows are taken as it wrote them, or not at all: the message names the row and what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.night.rows import RowsError
from pipeline.night.sound_rows import require_as_written, rows_as_written
from pipeline.night.summary import read_summary
from pipeline.storage.folders import folder_at
from tests.fixtures.finished import finished
from tests.fixtures.project import REPOSITORY, nightshift

ROWS = {
    "a.jpg": {
        "label": "cat", "candidates": '["cat"]', "taken_at": "2026-01-01T22:00:00+01:00", "label_2": "dog",
        "confidence_2": "0.100000", "sharpness": "1.234e+04", "width": "40", "height": "30", "flags": "dark",
    },
    "film.tif#frame=1": {"label": "ant"},
    "film.tif": {"label": "=dog", "status": "unsure"},
    "b, c.jpg": {"error": "truncated"},
}  # fmt: skip
Change = Callable[[str], str]
DAMAGED: dict[str, tuple[Change, str]] = {
    "a confidence": (lambda text: text.replace("0.900000", "abc", 1), ", row 2: confidence cannot be “abc”."),
    "no confidence": (lambda text: text.replace("0.900000", "", 1), ", row 2: confidence cannot be empty."),
    "a status": (lambda text: text.replace(",unsure,", ",fine,"), ", row 4: status cannot be “fine”."),
    "a label": (lambda text: text.replace("ok,cat", "ok,elephant"), ", row 2: the night gave no label “elephant”."),
    "no label": (lambda text: text.replace("ok,cat", "ok,"), ", row 2: label cannot be empty."),
    "a label of an unreadable file": (lambda text: text.replace("unreadable,", "unreadable,cat"), ", row 5: label "),
    "another of its labels": (
        lambda text: text.replace("'=dog", "cat"),
        ": 2 rows have the label cat, and summary.json counts 1.",
    ),
    "another status": (
        lambda text: text.replace("film.tif,unsure", "film.tif,ok"),
        ": 2 rows have the status ok, and summary.json counts 1.",
    ),
    "candidates": (lambda text: text.replace('"[""cat""]"', "cat"), ", row 2: candidates cannot be “cat”."),
    "a date": (lambda text: text.replace("2026-01-01T", "01.01.2026 "), ", row 2: taken_at cannot be “01.01.2026 22"),
    "a number": (lambda text: text.replace("1.234e+04", "12340,5"), ", row 2: it does not have one cell for each"),
    "a path that leads out": (
        lambda text: text.replace("film.tif,", "../x.jpg,"),
        ", row 4: path cannot be “../x.jpg”",
    ),
    "an absolute path": (lambda text: text.replace("\na.jpg", "\n.//etc/x"), ", row 2: path cannot be “.//etc/x”."),
    "rows of another night": (
        lambda text: text.replace("nightshift,3", "nightshift,2"),
        ", row 2: it is of another night than summary.json: nightshift version 2, 2026-01-02T02:00:00+00:00.",
    ),
    "fewer rows": (
        lambda text: text[: text.index('"b, c')],
        ": 0 rows have the status unreadable, and summary.json counts 1.",
    ),
    "half a row": (lambda text: text[: text.index("unsure")], ", row 4: it does not have one cell for each column."),
    "only the header": (
        lambda text: text.partition("\n")[0],
        ": 0 rows have the status ok, and summary.json counts 1.",
    ),
    "no column": (lambda text: text.replace(",confidence,", ",certainty,", 1), " has no column confidence."),
    "no column of a later version": (lambda text: text.replace(",flags", ",notes", 1), ": it has no column flags."),
    "semicolons": (lambda text: text.replace(",", ";"), ": the columns are separated by semicolons."),
    "an empty file": (lambda _: "", " is empty."),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_what_was_changed_is_named_with_its_place_and_what_to_do(tmp_path: Path, what: str) -> None:
    output = finished(tmp_path, ROWS)
    summary, file = read_summary(folder_at(output)), output / "predictions.csv"
    assert summary
    before = file.read_bytes().decode()
    change, words = DAMAGED[what]
    after = change(before)
    assert after != before
    file.write_bytes(after.encode())
    with pytest.raises(RowsError) as caught:
        require_as_written(folder_at(output), summary)
    said = str(caught.value)
    assert said.startswith(str(file))
    assert words in said
    assert said.endswith("Restore the file, or run the night again; corrections of labels belong in review.csv.")


def test_rows_as_the_night_wrote_them_are_given_whatever_version_it_was(tmp_path: Path) -> None:
    output = finished(tmp_path, ROWS)
    summary, file = read_summary(folder_at(output)), output / "predictions.csv"
    assert summary
    assert [row["path"] for row in rows_as_written(folder_at(output), summary)] == [*ROWS]
    lines = file.read_text().splitlines()
    file.write_text("".join(",".join(line.replace("b, c", "c").split(",")[:15]) + "\n" for line in lines))
    assert [row["flags"] for row in rows_as_written(folder_at(output), summary)] == [""] * len(ROWS)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose night has a row that a person has changed."""
    found = tmp_path_factory.mktemp("project")
    text = (REPOSITORY / "params.yaml").read_text()
    (found / "params.yaml").write_text(text.replace("location: drop", "location: keep"))
    output = finished(found, ROWS, keep=True)
    file = output / "predictions.csv"
    file.write_text(file.read_text().replace("0.900000", "abc", 1))
    return found


@pytest.mark.parametrize(
    "command",
    ["report predictions/monday", "review predictions/monday --no-browser", "sort monday new", "tag monday --into new",
     "tag monday", "export geojson monday new", "export camtrap-dp monday new"],
)  # fmt: skip
def test_every_command_over_it_ends_in_one_message_and_writes_nothing(project: Path, command: str) -> None:
    def files() -> set[Path]:
        return {file for file in project.rglob("*") if ".nightshift" not in file.parts}

    before = files()
    done = nightshift(*command.split(), cwd=project, check=False)
    assert done.returncode == 1
    [said] = [line for line in done.stderr.splitlines() if not line.startswith("Log: ")]
    assert said == (
        "Error: predictions/monday/predictions.csv, row 2: confidence cannot be “abc”. Restore the file, or run the "
        "night again; corrections of labels belong in review.csv."
    )
    assert done.stdout == ""
    assert files() == before
