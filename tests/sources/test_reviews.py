"""Labels that a person filled into review.csv come into data/raw, for the bytes that were looked at and no others."""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.core.cells import csv_path
from pipeline.data.judgements import Judgement, every_judgement, keep, place_of, read_judgements, this_reader
from pipeline.data.label_folders import LabelError
from pipeline.night.counts import feed
from pipeline.night.review import Candidates, write_review
from pipeline.night.review_file import read_review
from pipeline.night.review_labels import show_known
from pipeline.night.rows import Classified, FileOutcome, Stamp, Unreadable, read_rows, to_row, write_rows
from pipeline.sources.judged import plan_judged
from pipeline.sources.layout import SourceError
from pipeline.storage.files import sha256_of_file
from pipeline.storage.folders import folder_at
from tests.fixtures.images import save_image
from tests.fixtures.reviews import CONTRACT
from tests.fixtures.sources import take, tree, write_files

NAMES = ("1.png", "deep/2.jpg", "=3.png", "back\\slash \udcff.png", 'comma, quote".png')


@pytest.fixture
def review(tmp_path: Path) -> Path:
    """The review of a night over pictures of odd names, and one file that is none."""
    folder, output = tmp_path / "night photos", tmp_path / "out"
    outcomes: list[FileOutcome] = [Unreadable("text.png", "not an image in a known format", "ab")]
    for number, name in enumerate(NAMES):
        file = save_image(folder / name, seed=number)
        ranked = (("cat", 0.6), ("dog", 0.4))
        outcomes.append(Classified(name, sha256_of_file(file), 40, 30, ranked, unsure=True))
    (folder / "text.png").write_text("none")
    output.mkdir()
    stamp = Stamp("nightshift", "3", "2026-01-01T00:00:00+00:00")
    write_rows(output / "predictions.csv", [to_row(outcome, stamp) for outcome in outcomes])
    candidates = Candidates(500)
    feed(read_rows(output / "predictions.csv"), [candidates])
    write_review(folder_at(output), candidates.found(), {}, CONTRACT, None)
    (output / "summary.json").write_text(json.dumps({"input": csv_path(str(folder))}))
    return output / "review.csv"


def fill_in(review: Path, labels: dict[str, str], **edits: str) -> None:
    """As a person does in a spreadsheet; it marks the text as UTF-8."""
    with review.open(encoding="utf-8-sig", newline="") as file:
        rows = [*csv.DictReader(file)]
    with review.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows({**row, **edits, "correct_label": labels.get(row["path"], "")} for row in rows)


def test_rows_with_a_label_are_imported_and_the_others_left_aside(review: Path, tmp_path: Path) -> None:
    fill_in(review, {csv_path(NAMES[0]): "dog", csv_path(NAMES[1]): " n/a "})
    done = take(review, tmp_path)
    assert done.new == Counter({"dog": 1, "n/a": 1})
    assert done.left_aside == 4
    folder = tmp_path / "night photos"
    assert tree(tmp_path / "data" / "raw") == {
        "dog/1.png": (folder / "1.png").read_bytes(), "n%2Fa/deep/2.jpg": (folder / "deep/2.jpg").read_bytes(),
    }  # fmt: skip
    again = take(review, tmp_path)
    assert (again.new, again.there) == (Counter(), Counter({"dog": 1, "n/a": 1}))


def test_in_a_copied_project_the_copy_s_images_count(review: Path, tmp_path: Path) -> None:
    fill_in(review, {csv_path(NAMES[0]): "dog"})
    summary = review.with_name("summary.json")
    summary.write_text(json.dumps(json.loads(summary.read_text()) | {"input_from_here": csv_path("../night photos")}))
    shutil.copytree(tmp_path, tmp_path / "copy")
    shutil.rmtree(tmp_path / "night photos")
    assert take(tmp_path / "copy/out/review.csv", tmp_path / "copy").new == Counter({"dog": 1})


def test_every_name_leads_to_its_file(review: Path, tmp_path: Path) -> None:
    fill_in(review, {csv_path(name): f"class {number}" for number, name in enumerate(NAMES)})
    take(review, tmp_path, into="monday")
    for number, name in enumerate(NAMES):
        files = tree(tmp_path / "data" / "raw" / f"class {number}" / "monday")
        assert [*files.values()] == [(tmp_path / "night photos" / name).read_bytes()]
        assert all(path.encode() for path in files), "a name that tables can hold"


def test_a_review_that_nobody_has_filled_in_says_what_to_do(review: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no labels in the column correct_label. Write the right label there"):
        take(review, tmp_path)
    assert not (tmp_path / "data" / "raw").exists()


def changed(folder: Path, review: Path) -> None:
    save_image(folder / "1.png", seed=99)


def gone(folder: Path, review: Path) -> None:
    (folder / "1.png").unlink()


def folder_gone(folder: Path, review: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def summary_gone(folder: Path, review: Path) -> None:
    review.with_name("summary.json").unlink()


def summary_of_something_else(folder: Path, review: Path) -> None:
    review.with_name("summary.json").write_text("[1]")


def two_labels(folder: Path, review: Path) -> None:
    with review.open("a", encoding="utf-8", newline="") as file:
        first = next(line for line in review.read_text(encoding="utf-8-sig").splitlines() if line.startswith("1.png"))
        file.write(first.removesuffix("dog,") + "cat,\r\n")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (folder_gone, "night photos, the folder of the images in .*review.csv, does not exist"),
        (summary_gone, r"summary.json does not say which folder review.csv is a review of"),
        (summary_of_something_else, r"summary.json does not say which folder review.csv is a review of"),
        (two_labels, r"review.csv has two labels for 1\.png"),
    ],
)
def test_what_cannot_be_trusted_is_refused_whole(review: Path, tmp_path: Path, damage: object, words: str) -> None:
    fill_in(review, {"1.png": "dog", csv_path(NAMES[1]): "dog"})
    damage(tmp_path / "night photos", review)  # type: ignore[operator]
    with pytest.raises(SourceError, match=words):
        take(review, tmp_path)
    assert not (tmp_path / "data" / "raw").exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (changed, r"1 files of .*night photos have changed since: 1\.png\..*nothing was copied"),
        (gone, r"names 1 files that cannot be read in .*night photos: 1\.png\. .*nothing was copied"),
    ],
)
@pytest.mark.parametrize("name", ["review.csv", "review-1.csv"])
def test_an_image_that_is_gone_or_has_changed_is_left_out_and_named_and_may_come_back(
    review: Path, project: Path, damage: Callable[[Path, Path], None], words: str, name: str
) -> None:
    folder = project / "night photos"
    review = review.rename(review.with_name(name))
    before = (folder / "1.png").read_bytes()
    damage(folder, review)
    fill_in(review, {"1.png": "ants"})
    with pytest.raises(SourceError, match=words):
        take(review, project)
    assert judged(project) == []
    fill_in(review, {"1.png": "ants", csv_path(NAMES[1]): "ants"})
    done = take(review, project)
    assert done.new == Counter(ants=1)
    assert (
        f"Left out: 1 image of {folder}, gone or changed since somebody looked: 1.png. Restore them, and `nightshift "
        "data import labels` brings them in."
    ) in done.notes
    assert sorted(said[:3] for said in judged(project)) == [
        ("1.png", "label", "ants"), (csv_path(NAMES[1]), "label", "ants"),
    ]  # fmt: skip
    (folder / "1.png").write_bytes(before)
    assert [item.file.path for item in plan_judged(project).new] == ["1.png"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that has two labels."""
    write_files(tmp_path / "data/raw", "ants/0.jpg", "K\u00e4fer/0.jpg")
    return tmp_path


@pytest.mark.parametrize("typed", ["ants ", "\u00a0ants", "\tants\u200b"])
def test_blanks_around_a_label_are_cut(review: Path, project: Path, typed: str) -> None:
    fill_in(review, {"1.png": typed})
    assert take(review, project).new == Counter(ants=1)


@pytest.mark.parametrize("typed", ["Ants", "ant", "Kafer", "K\u00c4FER"])
def test_a_label_that_the_project_does_not_have_is_refused(review: Path, project: Path, typed: str) -> None:
    fill_in(review, {"1.png": typed})
    meant = "ants" if typed[0] in "aA" else "K\u00e4fer"
    with pytest.raises(LabelError, match=rf"{typed}.*did you mean '?{meant}'?\?.*nothing was copied"):
        take(review, project)
    assert not (project / "data/raw" / typed).exists()


def test_new_classes_of_a_review_are_asked_for(review: Path, project: Path) -> None:
    fill_in(review, {"1.png": "wasp"})
    with pytest.raises(LabelError, match=r"wasp \(1 image\)\. The project's are K\u00e4fer, ants\..*--new-label"):
        take(review, project)
    done = take(review, project, new_label=True)
    assert done.new == Counter(wasp=1)
    assert done.notes[0] == "New to this project: wasp (1 image). If that is a slip, move the images in data/raw."


def test_another_spelling_is_never_a_new_class(review: Path, project: Path) -> None:
    fill_in(review, {"1.png": "Ants"})
    with pytest.raises(LabelError, match=r"'Ants' of 1\.png; did you mean 'ants'\?"):
        take(review, project, new_label=True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("separator", [";", "\t", ",", "|"])
def test_a_review_is_read_as_a_spreadsheet_saves_it(review: Path, project: Path, encoding: str, separator: str) -> None:
    fill_in(review, {"1.png": "K\u00e4fer", csv_path("=3.png"): "ants"})
    with review.open(encoding="utf-8-sig", newline="") as file:
        columns, *rows = csv.reader(file)
    confidences = [columns.index(name) for name in ("confidence", "confidence_2")]
    lines = [["Path", " Status ", *columns[2:]], *rows]
    for row in rows:
        for place in confidences:
            row[place] = row[place].replace(".", ",")
    text = "\r\n".join(separator.join(f'"{cell.replace(chr(34), 2 * chr(34))}"' for cell in row) for row in lines)
    review.write_bytes(text.encode(encoding, "replace"))
    assert take(review, project).new == Counter({"K\u00e4fer": 1, "ants": 1})
    assert all(0 < float(row["confidence"]) < 1 for row in read_review(review.read_bytes(), "r") if row["confidence"])


def test_a_path_whose_letters_a_spreadsheet_has_lost_is_known_by_its_hash(review: Path, project: Path) -> None:
    fill_in(review, {"1.png": "ants"})
    review.write_text(review.read_text(encoding="utf-8-sig").replace("1.png", "?.png"))
    take(review, project)
    assert (project / "data/raw/ants/1.png").is_file()


def test_a_table_that_only_looks_like_a_review_is_a_table(tmp_path: Path) -> None:
    save_image(tmp_path / "1.png")
    (tmp_path / "t.csv").write_text("path,label,why,correct_label\n1.png,cat,,dog\n")
    assert take(tmp_path / "t.csv", tmp_path).new == Counter({"cat": 1})


def judged(project: Path) -> list[tuple[str, str, str, str, str]]:
    """What data/labels.jsonl has, without its times."""
    every = every_judgement(project / "data/labels.jsonl")
    assert all((one.reader, one.source) == (this_reader(), "import") for one in every)
    return [(one.path, *one.said, one.proposed, one.model_version) for one in every_judgement(
        project / "data/labels.jsonl")]  # fmt: skip


def test_what_is_typed_is_kept_once_as_a_judgement_of_whoever_imports_it(review: Path, project: Path) -> None:
    fill_in(
        review, {"1.png": "ants", csv_path(NAMES[1]): "reject", csv_path(NAMES[2]): "?", csv_path(NAMES[3]): "ants"}
    )
    done = take(review, project)
    expected = [
        ("1.png", "label", "ants", "cat", "3"), (csv_path(NAMES[1]), "reject", "", "cat", "3"),
        (csv_path(NAMES[2]), "cannot_tell", "", "cat", "3"), (csv_path(NAMES[3]), "label", "ants", "cat", "3"),
    ]  # fmt: skip
    assert (sorted(judged(project)), done.new) == (sorted(expected), Counter(ants=2))
    assert done.notes[-2:] == (
        f"Kept 4 judgements of {this_reader()} in data/labels.jsonl.",
        "`nightshift data import labels` takes the rejected images out of data/raw.",
    )
    take(review, project)
    assert len(judged(project)) == 4
    fill_in(review, {"1.png": "K\u00e4fer"})
    assert len(take(review, project).moved) == 1
    assert (len(judged(project)), judged(project)[-1][2]) == (5, "k\u00e4fer")
    place = place_of(next(every_judgement(project / "data/labels.jsonl")))
    assert Path(place).read_bytes() == (project / "night photos/1.png").read_bytes()


def test_a_class_may_be_named_like_a_word(review: Path, project: Path) -> None:
    write_files(project / "data/raw", "reject/0.jpg")
    fill_in(review, {"1.png": "reject", csv_path(NAMES[1]): "-"})
    assert take(review, project).new == Counter(reject=1)
    assert sorted(said[1:3] for said in judged(project)) == [("label", "reject"), ("reject", "")]


def test_a_review_may_only_reject(review: Path, project: Path) -> None:
    before = tree(project / "data/raw")
    fill_in(review, {"1.png": "-"})
    assert take(review, project).new == Counter()
    assert (len(judged(project)), tree(project / "data/raw")) == (1, before)


def test_a_slip_is_in_no_ledger(review: Path, project: Path) -> None:
    fill_in(review, {"1.png": "ant"})
    with pytest.raises(LabelError):
        take(review, project)
    assert judged(project) == []


def test_what_a_review_only_shows_is_nobodys_judgement_again(review: Path, project: Path) -> None:
    ledger = project / "data/labels.jsonl"
    photos = [project / "night photos" / name for name in NAMES[:3]]
    ada = [Judgement(sha256=sha256_of_file(file), path="x", reader="ada", source="night", label="ants")
           for file in photos]  # fmt: skip
    keep(ada, ledger)
    assert show_known(folder_at(review.parent), read_judgements(ledger))
    keep([ada[0].model_copy(update={"label": "K\u00e4fer", "at": later()}),
          ada[1].model_copy(update={"reader": "bob", "label": "K\u00e4fer"})], ledger)  # fmt: skip
    lines = ledger.read_text()
    done = take(review, project)
    assert done.new == Counter({"K\u00e4fer": 1, "ants": 1}), "as it is judged now; that on which they differ stays out"
    assert ledger.read_text() == lines


def later() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=1)
