"""Labels that a person filled into review.csv come into data/raw, for the bytes that were looked at and no others."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from pipeline.model.contract import Contract
from pipeline.night.counts import feed
from pipeline.night.review import Candidates, write_review
from pipeline.night.rows import Classified, FileOutcome, Stamp, Unreadable, csv_path, read_rows, to_row, write_rows
from pipeline.params.data import Images
from pipeline.sources.layout import SourceError
from pipeline.storage.files import sha256_of_file
from pipeline.storage.folders import folder_at
from tests.fixtures.images import save_image
from tests.fixtures.sources import take, tree

NAMES = ("1.png", "deep/2.jpg", "=3.png", "back\\slash \udcff.png", 'comma, quote".png')
CONTRACT = Contract(
    class_names=("cat", "dog"), images=Images(width=32, height=24, fit="stretch", max_megapixels=1), backbone="cnn",
    temperature=1.0, unsure_below=0.7, dataset_sha256="1" * 64, weights_sha256="2" * 64, code_commit="",
)  # fmt: skip


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
    with review.open(encoding="utf-8", newline="") as file:
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
        file.write(first.removesuffix("dog") + "cat\r\n")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            changed,
            r"1 files of .*night photos have changed since that night: 1\.png\..*nothing was copied",
        ),
        (gone, r"names 1 files that cannot be read in .*night photos: 1\.png\. .*nothing was copied"),
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


def test_a_table_that_only_looks_like_a_review_is_a_table(tmp_path: Path) -> None:
    save_image(tmp_path / "1.png")
    (tmp_path / "t.csv").write_text("path,label,why,correct_label\n1.png,cat,,dog\n")
    assert take(tmp_path / "t.csv", tmp_path).new == Counter({"cat": 1})
