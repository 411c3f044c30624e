"""What a night answers: strangers, candidates, labels at their thresholds, models of earlier versions."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFilter

from pipeline.model.contract import read_contract, write_contract
from pipeline.model.engine import load_engine
from pipeline.model.reference import read_reference
from pipeline.night.reading import Reading, read_images
from pipeline.night.rows import Classified, Unreadable, labels_in
from pipeline.night.shard import judge
from pipeline.night.summary import summary_lines
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.params.model import Compute
from pipeline.storage.folders import folder_at
from tests.fixtures.images import save_image
from tests.fixtures.models import write_colour_model
from tests.fixtures.nights import classify, rows
from tests.fixtures.project import draw_shape


def test_an_image_unlike_all_training_images_is_an_outlier_and_a_training_image_is_none(
    here: Params, trained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "night"
    folder.mkdir()
    taught = pd.read_parquet("data/prepared/train.parquet")["path"]
    for number, path in enumerate(taught[2:7]):  # the first one is rare even among those that were taught
        shutil.copy(trained / "data/raw" / path, folder / f"taught-{number}.png")
    Image.new("RGB", (80, 70)).save(folder / "black.png")
    (folder / "text.png").write_text("none")
    summary = classify(folder, tmp_path / "out", here)
    found = {row["path"]: row for row in rows(tmp_path / "out")}
    black, text = found.pop("black.png"), found.pop("text.png")
    assert {"outlier", "dark", "low_contrast", "blurred"} <= set(black["flags"].split())
    assert black["status"] == "unsure", "whatever its confidence"
    assert (text["outlier_score"], text["flags"]) == ("", "")
    assert {flag for row in found.values() for flag in row["flags"].split()} <= {"low_confidence"}
    assert all((row["status"] == "ok") == (row["flags"] == "") for row in found.values())
    assert float(black["outlier_score"]) > 1.5 * max(float(row["outlier_score"]) for row in found.values())
    assert (summary.outliers, summary.flagged) == (1, 1)
    review = [*csv.DictReader((tmp_path / "out/review.csv").open(encoding="utf-8", newline=""))]
    assert [row["path"] for row in review[:2]] == ["text.png", "black.png"]
    assert summary.review is not None
    assert summary.review.of == len(review) == 1 + summary.unsure
    assert not summary.has_strangers, "one of six"


def text_page() -> Image.Image:
    page = Image.new("RGB", (80, 70), "white")
    draw = ImageDraw.Draw(page)
    for line in range(6):
        draw.text((4, 2 + 11 * line), "the quick brown fox", fill="black")
    return page


def test_a_night_of_strangers_says_so_first_and_none_of_them_is_ok(here: Params, tmp_path: Path) -> None:
    folder = tmp_path / "night"
    folder.mkdir()
    draw_shape(folder / "blurred.png", "circle", seed=5)
    with Image.open(folder / "blurred.png") as shape:
        shape.filter(ImageFilter.GaussianBlur(15)).save(folder / "blurred.png")
    Image.new("RGB", (80, 70), (3, 3, 3)).save(folder / "black.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 80, 3), np.uint8)).save(folder / "noise.png")
    text_page().save(folder / "text.png")
    summary = classify(folder, tmp_path / "out", here)
    assert {(row["path"], row["status"]) for row in rows(tmp_path / "out") if "outlier" in row["flags"]} == {
        (name, "unsure") for name in ("black.png", "blurred.png", "noise.png", "text.png")
    }
    assert summary.has_strangers
    assert summary_lines(summary)[0].startswith("4 of 4 images are unlike the training images")
    page = (tmp_path / "out/morning.html").read_text()
    assert "All is well" not in page
    assert page.index("4 of 4 images are unlike the training images") < page.index("4 images, 0 ok")


def test_a_repeated_answer_follows_the_rule_of_today(here: Params, night: Path, tmp_path: Path) -> None:
    """An earlier version marked an outlier `ok`, and gave no reason for `unsure`: such rows are not repeated."""
    classify(night, tmp_path / "first", here)
    csv_file = tmp_path / "first/predictions.csv"
    before = rows(tmp_path / "first")
    earlier = [{**row, "status": "ok", "flags": "outlier"} for row in before[:3]]
    earlier += [{**row, "status": "unsure", "flags": ""} for row in before[3:5]]
    with csv_file.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, before[0])
        writer.writeheader()
        writer.writerows(earlier + before[5:])
    again = classify(night, tmp_path / "again", here, since_last=True)
    assert again.repeated == len(before) - 5
    assert [{**row, "classified_at": ""} for row in rows(tmp_path / "again")] == [
        {**row, "classified_at": ""} for row in before
    ]


def test_a_model_of_an_earlier_version_answers_without_scores(rules: Images, tmp_path: Path) -> None:
    folder = write_colour_model(tmp_path / "model", rules, ("red", "blue"), [[9.0, 0], [0, 0], [0, 9.0]], [0, 0])
    engine = load_engine(folder, Compute(device="cpu", precision="float32", workers=1), embedding=True)
    for number in range(3):
        save_image(tmp_path / "night" / f"{number}.png", seed=number)
    reads = read_images(
        folder_at(tmp_path / "night"), ["0.png", "1.png", "2.png", "gone.png"], rules, Reading(1, 4, 10)
    )
    outcomes = [*judge(reads, engine, 2, read_reference(folder, engine.contract))]
    assert [type(outcome) for outcome in outcomes] == [Classified, Classified, Classified, Unreadable]
    for outcome in outcomes[:3]:
        assert isinstance(outcome, Classified)
        assert (outcome.outlier_score, outcome.flags, outcome.candidates) == (None, (), ())


def test_a_label_at_its_threshold_is_a_candidate_and_the_answer_always(rules: Images, tmp_path: Path) -> None:
    folder = write_colour_model(tmp_path / "model", rules, ("red", "blue"), [[1.0, 0], [0, 0], [0, 1.0]], [0, 0])
    for name, colour in (("red", "#f00"), ("pale", "#c4b"), ("blue", "#00f")):
        Image.new("RGB", (40, 30), colour).save(tmp_path / f"{name}.png")
    names = ["red.png", "pale.png", "blue.png"]
    write_contract(folder, read_contract(folder).model_copy(update={"candidates_above": (0.4, 0.9)}))
    engine = load_engine(folder, Compute(device="cpu", precision="float32", workers=1))
    reads = read_images(folder_at(tmp_path), names, rules, Reading(1, 4, 10))
    found = [outcome.candidates for outcome in judge(reads, engine, 2) if isinstance(outcome, Classified)]
    assert found == [("red",), ("red",), ("blue",)], "of pure colours the other class has 0.27"
    write_contract(folder, read_contract(folder).model_copy(update={"candidates_above": (0.2, 0.45)}))
    engine = load_engine(folder, Compute(device="cpu", precision="float32", workers=1))
    reads = read_images(folder_at(tmp_path), names, rules, Reading(1, 4, 10))
    found = [outcome.candidates for outcome in judge(reads, engine, 2) if isinstance(outcome, Classified)]
    assert found == [("red",), ("red", "blue"), ("blue", "red")]


def test_each_row_names_the_labels_that_its_model_cannot_exclude(here: Params, night: Path, tmp_path: Path) -> None:
    (night / "text.png").write_text("none")
    classify(night, tmp_path / "out", here)
    contract = read_contract(Path("models/current"))
    assert contract.candidates_above is not None
    least = dict(zip(contract.class_names, contract.candidates_above, strict=True))
    for row in rows(tmp_path / "out"):
        found = labels_in(row["candidates"])
        shares = {row["label"]: row["confidence"], row["label_2"]: row["confidence_2"]}
        assert found == [label for label, share in shares.items() if label and (
            label == row["label"] or float(share) >= least[label] - 1e-6
        )]  # fmt: skip
        assert bool(found) == (row["status"] != "unreadable")
