"""Labels that a person corrected in the table of suspected ones move images in data/raw, if they are still as seen."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pipeline.data.judgements import every_judgement
from pipeline.data.label_folders import LabelError
from pipeline.data.report_tables import write_table
from pipeline.data.suspects import ISSUE_COLUMNS
from pipeline.sources.copy import import_from
from pipeline.sources.judged import plan_judged
from pipeline.sources.layout import SourceError
from pipeline.storage.files import sha256_of_file
from tests.fixtures.images import save_image
from tests.fixtures.sources import tree


@pytest.fixture
def suspects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with wrong labels, and the table of suspected ones, which a person has filled in."""
    monkeypatch.chdir(tmp_path)
    for number, path in enumerate(("bees/1.png", "bees/=x/2.png", "bees/3.png", "wasps/1.png", "wasps/5.png")):
        save_image(tmp_path / "data/raw" / path, seed=number)
    (tmp_path / "data/raw/metadata.csv").write_text("path,site\nbees/1.png,north\nwasps/5.png,south\n")
    typed = {"bees/1.png": "wasps", "bees/=x/2.png": " wasps ", "bees/3.png": "bees", "wasps/5.png": ""}
    rows = [
        (path, path.split("/")[0], "wasps", 0.9, 0.1, sha256_of_file(Path("data/raw", path)), label)
        for path, label in typed.items()
    ]
    write_table(Path("reports/label_issues.csv"), pd.DataFrame(rows, columns=list(ISSUE_COLUMNS)))
    return Path("reports/label_issues.csv")


def test_corrected_suspects_move_to_their_label_with_their_rows(suspects: Path) -> None:
    before = tree(Path("data/raw"))
    done = import_from(str(suspects))
    after = tree(Path("data/raw"))
    assert len(done.moved) == 2
    assert after["wasps/1 (from bees).png"] == before["bees/1.png"], "wasps has another image of this name"
    assert after["wasps/=x/2.png"] == before["bees/=x/2.png"]
    assert {"bees/3.png", "wasps/1.png", "wasps/5.png"} < after.keys()
    assert "bees/1.png" not in after
    assert len(after) == len(before)
    assert "wasps/1 (from bees).png,north" in Path("data/raw/metadata.csv").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda file: save_image(file, seed=99), "have changed since: bees/1.png", id="edited"),
        pytest.param(Path.unlink, "cannot be read in data/raw: bees/1.png", id="gone"),
    ],
)
def test_a_suspect_that_is_not_what_the_person_saw_is_refused(
    suspects: Path, change: Callable[[Path], object], words: str
) -> None:
    change(Path("data/raw/bees/1.png"))
    with pytest.raises(SourceError, match=words):
        import_from(str(suspects))


def test_a_label_typed_for_a_suspect_must_be_the_projects(suspects: Path) -> None:
    suspects.write_text(suspects.read_text().replace(" wasps ", "wsaps"))
    with pytest.raises(LabelError, match="wsaps"):
        import_from(str(suspects))


def test_a_corrected_suspect_is_kept_too_and_a_rejected_one_leaves_with_the_judged_ones(suspects: Path) -> None:
    suspects.write_text(suspects.read_text().replace(" wasps ", "reject"))
    assert len(import_from(str(suspects)).moved) == 1
    said = [(one.path, one.folder, *one.said, one.proposed) for one in every_judgement()]
    assert sorted(said) == [
        ("bees/1.png", "data/raw", "label", "wasps", "wasps"), ("bees/3.png", "data/raw", "label", "bees", "wasps"),
        ("bees/=x/2.png", "data/raw", "reject", "", "wasps"),
    ]  # fmt: skip
    plan = plan_judged()
    assert ([one.path for one in plan.rejected], plan.new, plan.moved, plan.there) == (["bees/=x/2.png"], (), (), 2)
