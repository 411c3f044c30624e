"""What a scheduled deployment needs and does not have."""

from pathlib import Path
from typing import Any

import pytest

from flows.services.readiness import lacking
from pipeline.params.file import Params
from tests.fixtures.images import save_image


def said(deployment: str, parameters: dict[str, Any]) -> list[str]:
    return [line.partition(". ")[0] for line in lacking(deployment, parameters, "nightshift")]


@pytest.mark.parametrize(
    ("name", "words"),
    [("absent", "does not exist"), ("empty", "holds no image"), ("notes", "holds no image"), ("file", "is a file"),
     ("full", ""), ("s3://bucket/photos", "")],
)  # fmt: skip
def test_a_night_without_images_is_named_before_it_fails(here: Params, tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/read.txt").write_text("no picture")
    (tmp_path / "file").write_text("no folder")
    save_image(tmp_path / "full/below/a.png")
    source = name if "://" in name else str(tmp_path / name)
    expected = [f"`nightly` will fail: {source} {words}"] if words else []
    assert said("nightly", {"source": source}) == expected
    assert said("nights", {"inputs": [{"source": source}, {"source": str(tmp_path / "full")}]}) == [
        line.replace("nightly", "nights") for line in expected
    ]


def test_a_night_without_a_champion_is_named(here: Params, tmp_path: Path) -> None:
    save_image(tmp_path / "a.png")
    parameters = {"source": str(tmp_path), "model_name": "nobody"}
    assert said("nightly", parameters) == ["`nightly` will fail: no version of nobody is @champion in MLflow"]


def test_a_training_without_images_is_named_and_others_need_nothing(
    here: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said("training", {}) == said("tidy", {"nights": 365}) == said("data-watch", {}) == []
    monkeypatch.chdir(tmp_path)
    assert said("training", {}) == ["`training` will fail: data/raw does not exist"]


@pytest.mark.parametrize(
    ("deployment", "parameters"), [("nightly", {}), ("nights", {"inputs": [{}]}), ("nights", {})], ids=str
)
def test_a_night_that_names_no_folder_is_over_the_usual_one(
    here: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deployment: str, parameters: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    [line] = [line for line in said(deployment, parameters) if "@champion" not in line]
    assert line == f"`{deployment}` will fail: photos does not exist"


def test_a_missing_champion_is_said_once_for_all_folders(here: Params, tmp_path: Path) -> None:
    save_image(tmp_path / "a.png")
    inputs = [{"source": str(tmp_path), "model_name": "nobody"}] * 2
    assert said("nights", {"inputs": inputs}) == ["`nights` will fail: no version of nobody is @champion in MLflow"]
