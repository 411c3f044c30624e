"""What `nightshift status` says of the last night, also after a spreadsheet has saved its review."""

import csv
import io
import json
from pathlib import Path

import pytest

from flows.status import status_lines
from pipeline.night.counts import feed
from pipeline.night.review import Candidates, write_review
from pipeline.night.rows import read_rows, to_row, write_rows
from pipeline.storage.folders import folder_at
from tests.fixtures.reviews import CONTRACT, NIGHT
from tests.fixtures.rows import STAMP
from tests.fixtures.summaries import SUMMARY


@pytest.fixture
def review(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The review of the only night of a project, of which nine rows are to be looked at."""
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "predictions/monday"
    output.mkdir(parents=True)
    write_rows(output / "predictions.csv", [to_row(outcome, STAMP) for outcome in NIGHT])
    candidates = Candidates(500)
    feed(read_rows(output / "predictions.csv"), [candidates])
    write_review(folder_at(output), candidates.found(), {}, CONTRACT, None)
    (output / "summary.json").write_text(json.dumps(SUMMARY))
    return output / "review.csv"


@pytest.mark.parametrize("separator", [";", "\t", ","])
@pytest.mark.parametrize("encoding", ["cp1252", "utf-8-sig", "utf-16"])
def test_rows_without_a_correction_are_counted(review: Path, separator: str, encoding: str) -> None:
    with review.open(encoding="utf-8", newline="") as file:
        heading, first, *others = csv.reader(file)
    out = io.StringIO()
    csv.writer(out, delimiter=separator).writerows([heading, [*first[:-1], "k\u00e4fer"], *others])
    review.write_bytes(out.getvalue().encode(encoding))
    expected = f"{len(others)} rows of predictions/monday/review.csv have no correct_label yet"
    assert any(expected in line for line in status_lines())


def test_a_review_that_is_none_any_more_is_one_line(review: Path) -> None:
    review.write_text("something,else\n1,2\n")
    assert any("review.csv is not a night's review: it has no columns path" in line for line in status_lines())
