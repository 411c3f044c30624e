"""A label that a person wrote into a review outlives every later run into the same folder, and `tidy`."""

import csv
import datetime
import io
import shutil
from pathlib import Path

import pytest

from pipeline import tidy
from pipeline.model.contract import Contract
from pipeline.night.counts import feed
from pipeline.night.kept_labels import read_kept
from pipeline.night.review import Candidates, write_review
from pipeline.night.rows import Row, read_rows
from pipeline.params.data import Images
from pipeline.storage.files import sha256_of_file
from pipeline.storage.folders import folder_at
from tests.fixtures.images import save_image
from tests.fixtures.project import REPOSITORY
from tests.fixtures.reviews import image, row
from tests.fixtures.summaries import summary_of

CONTRACT = Contract(
    class_names=("cat", "dog"), images=Images(width=32, height=24, fit="stretch", max_megapixels=1), backbone="cnn",
    temperature=1.0, unsure_below=0.7, dataset_sha256="1" * 64, weights_sha256="2" * 64, code_commit="",
    reference_sha256="3" * 64, outlier_above=0.25,
)  # fmt: skip


def unsure(path: str, content: str = "") -> dict[str, str]:
    return {**row(image(path, 0.6, flags="low_confidence")), "sha256": content or f"content of {path}"}


def sure(path: str) -> dict[str, str]:
    return {**row(image(path)), "sha256": f"content of {path}"}


def run_night(output: Path, rows: list[Row], most: int = 500) -> dict[str, str]:
    """The review of a night with these rows, as its end writes it: path -> correct_label."""
    candidates = Candidates(most, read_kept(folder_at(output)))
    feed(rows, [candidates])
    write_review(folder_at(output), candidates.found(), {}, CONTRACT, None)
    return {line["path"]: line["correct_label"] for line in read_rows(output / "review.csv")}


def fill_in(output: Path, labels: dict[str, str], **more: str) -> None:
    lines = [*read_rows(output / "review.csv")]
    with (output / "review.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*lines[0], *more])
        writer.writeheader()
        writer.writerows({**line, **more, "correct_label": labels.get(line["path"], "")} for line in lines)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A night with three images to look at, two of which a person has labelled."""
    (tmp_path / "out").mkdir()
    run_night(tmp_path / "out", [unsure("a.png"), unsure("b.png"), unsure("c.png")])
    fill_in(tmp_path / "out", {"a.png": "dog", "b.png": "Ameise, rot"})
    return tmp_path / "out"


def kept_files(output: Path) -> list[str]:
    return sorted(file.name for file in output.glob("review-*.csv"))


def test_labels_stand_in_the_review_of_the_next_run(output: Path) -> None:
    for _ in range(2):
        after = run_night(output, [unsure("a.png"), unsure("b.png"), unsure("c.png"), unsure("new.png")])
        assert after == {"a.png": "dog", "b.png": "Ameise, rot", "c.png": "", "new.png": ""}
    assert kept_files(output) == []


def test_an_image_that_the_model_is_sure_of_by_now_keeps_its_row_and_its_label(output: Path) -> None:
    assert run_night(output, [sure("a.png"), unsure("c.png"), sure("b.png")]) == {
        "c.png": "", "a.png": "dog", "b.png": "Ameise, rot",
    }  # fmt: skip


def test_a_shorter_review_still_has_every_label(output: Path) -> None:
    rows: list[Row] = [unsure("a.png"), unsure("b.png"), unsure("c.png")]
    assert run_night(output, rows, most=0) == {"a.png": "dog", "b.png": "Ameise, rot"}


def test_a_label_goes_with_the_bytes_to_another_name(output: Path) -> None:
    moved = unsure("moved/a.png", "content of a.png")
    assert run_night(output, [moved, unsure("b.png")]) == {"moved/a.png": "dog", "b.png": "Ameise, rot"}


@pytest.mark.parametrize("rows", [[unsure("b.png")], [unsure("a.png", "other bytes"), unsure("b.png")], []])
def test_the_whole_file_is_kept_when_an_image_is_gone_or_has_changed(output: Path, rows: list[Row]) -> None:
    before = (output / "review.csv").read_bytes()
    after = run_night(output, rows)
    assert after.get("a.png", "") == ""
    assert kept_files(output) == ["review-1.csv"]
    assert (output / "review-1.csv").read_bytes() == before
    run_night(output, rows)
    assert kept_files(output) == ["review-1.csv"], "one that was carried over is not kept twice"


def as_a_spreadsheet_saves(text: str, kind: str) -> bytes:
    lines = [*csv.reader(io.StringIO(text, newline=""))]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter="," if kind == "windows-1252" else ";").writerows(lines)
    return out.getvalue().encode("utf-8-sig" if kind == "semicolons" else "utf-16" if kind == "utf-16" else "cp1252")


@pytest.mark.parametrize("kind", ["semicolons", "windows-1252", "utf-16"])
def test_a_review_in_another_form_is_kept_as_it_is(output: Path, kind: str) -> None:
    text = (output / "review.csv").read_text(encoding="utf-8").replace("Ameise, rot", "Käfer")
    (output / "review.csv").write_bytes(as_a_spreadsheet_saves(text, kind))
    before = (output / "review.csv").read_bytes()
    run_night(output, [unsure("a.png")])
    assert (output / "review-1.csv").read_bytes() == before


def test_a_persons_own_columns_are_kept_too(output: Path) -> None:
    fill_in(output, {"a.png": "dog"}, note="ask Anna")
    assert run_night(output, [unsure("a.png")]) == {"a.png": "dog"}
    assert "ask Anna" in (output / "review-1.csv").read_text()


def test_what_a_person_wrote_into_the_wrong_column_is_kept_too(output: Path) -> None:
    fill_in(output, {"a.png": "dog"}, judged="ask Anna")
    run_night(output, [unsure("a.png")])
    assert "ask Anna" in (output / "review-1.csv").read_text()


def test_a_review_without_labels_leaves_nothing_behind(tmp_path: Path) -> None:
    run_night(tmp_path, [unsure("a.png")])
    run_night(tmp_path, [sure("a.png")])
    assert kept_files(tmp_path) == []


@pytest.fixture
def old_night(output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The night of `output` in a project, a hundred days ago, with one real image."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    night = Path("predictions/old")
    night.parent.mkdir()
    output.rename(night)
    photo = save_image(tmp_path / "photos/=a.png")
    run_night(night, [{**unsure("=a.png"), "sha256": sha256_of_file(photo)}])
    (night / "review-1.csv").unlink()
    ended = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=100)
    summary_of(finished_at=ended.isoformat(timespec="seconds")).write(folder_at(night))
    return night


def tidied() -> str:
    said: list[str] = []
    tidy.tidy("nightshift", tidy.Asked(nights=90), said.append)
    return "\n".join(said)


def test_tidy_keeps_a_night_whose_labels_were_never_imported(old_night: Path, tmp_path: Path) -> None:
    fill_in(old_night, {"./=a.png": "n/a"})
    assert "kept predictions/old: 1 labels in review.csv are in no class of data/raw." in tidied()
    learnt = tmp_path / "data/raw/n%2Fa/shop/=a.png"
    save_image(learnt, seed=9)
    assert "kept predictions/old" in tidied(), "another image of the same name"
    learnt.write_bytes((tmp_path / "photos/=a.png").read_bytes())
    assert "deleted predictions/old" in tidied()
    assert not old_night.exists()


def test_tidy_keeps_a_night_with_labels_in_an_earlier_review(old_night: Path) -> None:
    (old_night / "review-2.csv").write_bytes("path;sha256;correct_label\na.png;12;K\u00e4fer\n".encode("cp1252"))
    assert "kept predictions/old: review-2.csv was changed by hand" in tidied()
    (old_night / "review-2.csv").write_text("path,sha256,correct_label\na.png,12,dog\n")
    assert "kept predictions/old: 1 labels in review-2.csv" in tidied()
    (old_night / "review-2.csv").write_text("path,sha256,correct_label\na.png,12, \n")
    assert "deleted predictions/old" in tidied()
