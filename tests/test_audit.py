"""Labels that were swapped are found, and the report on the data shows what is to be seen."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.audit import COLUMNS, label_issues, out_of_fold
from pipeline.checks.judgement import read_judgements
from pipeline.checks.report import Findings, write_report
from pipeline.core.paths import DATA_REPORT, EXPECTATIONS, FEATURES, LABEL_ISSUES, MANIFEST, PREPARED
from pipeline.data.prepared import SPLITS, read_split
from pipeline.params.file import load_params
from tests.fixtures.project import change_params, run_stage


def two_clouds(count: int = 60, distance: float = 4) -> tuple[np.ndarray, np.ndarray]:
    """Features of two classes, (2 * count, 5), that are easy to tell apart, and their labels."""
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (2 * count, 5)).astype(np.float32)
    features[count:, 0] += distance
    return features, np.repeat([0, 1], count)


def test_no_image_is_judged_by_a_model_that_has_seen_it_or_its_group() -> None:
    features, labels = two_clouds()
    rng = np.random.default_rng(1)
    # A column that tells each group apart, and nothing of the class: only a model that saw the group could use it.
    groups = np.repeat(np.arange(30), 4)
    group_labels = rng.integers(0, 2, 30)
    telltale = np.eye(30, dtype=np.float32)[groups] * 20
    answers = out_of_fold(telltale, group_labels[groups], groups, folds=5, seed=7)
    assert abs((answers.argmax(axis=1) == group_labels[groups]).mean() - 0.5) < 0.25
    assert np.allclose(out_of_fold(features, labels, np.arange(120), 5, 7).sum(axis=1), 1)


def test_the_same_seed_gives_the_same_answers() -> None:
    features, labels = two_clouds()
    first, second, other = (out_of_fold(features, labels, np.arange(120), 5, seed) for seed in (7, 7, 8))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_swapped_labels_are_found_the_surest_first() -> None:
    features, labels = two_clouds(distance=6)
    swapped = np.array([3, 30, 65, 118])
    spoilt = labels.copy()
    spoilt[swapped] = 1 - spoilt[swapped]
    table = pd.DataFrame({"path": [f"{number}.png" for number in range(120)]})
    answers = out_of_fold(features, spoilt, np.arange(120), 5, 7)
    suspects = label_issues(table, spoilt, answers, ("cat", "dog"))
    assert {f"{number}.png" for number in swapped} <= set(suspects["path"])
    assert len(suspects) <= 8
    assert suspects["label_confidence"].is_monotonic_increasing
    assert (suspects["label"] != suspects["suggested"]).mean() > 0.5


def test_clean_labels_raise_next_to_no_suspicion() -> None:
    features, labels = two_clouds(distance=8)
    table = pd.DataFrame({"path": [f"{number}.png" for number in range(120)]})
    assert len(label_issues(table, labels, out_of_fold(features, labels, np.arange(120), 5, 7), ("a", "b"))) <= 1


def test_real_features_find_planted_label_errors(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    splits = [read_split(PREPARED, name) for name in SPLITS]
    table = pd.concat([split.table for split in splits], ignore_index=True)
    features = np.concatenate([np.load(FEATURES / f"{name}.npy") for name in SPLITS])
    labels = np.concatenate([split.labels for split in splits])
    planted = np.random.default_rng(3).choice(len(labels), 5, replace=False)
    spoilt = labels.copy()
    spoilt[planted] = 1 - spoilt[planted]
    answers = out_of_fold(features, spoilt, np.arange(len(labels)), 5, 7)
    suspects = set(label_issues(table, spoilt, answers, ("circle", "square"))["path"])
    found = suspects & set(table["path"].iloc[planted])
    assert len(found) >= 3, "recall"
    assert len(found) >= 0.5 * len(suspects), "precision"


def test_the_report_shows_everything_and_needs_no_other_file(trained: Path) -> None:
    page = (trained / DATA_REPORT).read_text(encoding="utf-8")
    for words in ("unreadable", "circle (30)", "square (30)", "Near-duplicates", "Darkest", "Suspected label errors"):
        assert words in page, words
    assert page.count("data:image/webp;base64,") >= 24
    assert re.findall(r"(?:src|href)=\"((?!data:|#)[^\"]*)", page) == ["data_docs/index.html"], "but for a link"
    assert (trained / DATA_REPORT.parent / "data_docs/index.html").is_file()
    assert list(pd.read_csv(trained / LABEL_ISSUES).columns) == list(COLUMNS)


def manifest_of(trained: Path) -> pd.DataFrame:
    return pd.read_parquet(trained / MANIFEST)


def findings(manifest: pd.DataFrame, suspects: pd.DataFrame | None = None) -> Findings:
    return Findings(manifest, [], suspects, seed=7)


def test_contradictions_stand_before_mere_repetitions(trained: Path) -> None:
    manifest = manifest_of(trained).assign(split=None)
    circles, squares = (list(manifest.index[manifest["label"] == label]) for label in ("circle", "square"))
    manifest.loc[circles[:5], "cluster"] = "many of one class"
    manifest.loc[[circles[6], circles[7]], "cluster"] = "two splits"
    manifest.loc[circles[6], "split"], manifest.loc[circles[7], "split"] = "train", "test"
    manifest.loc[[circles[9], squares[9]], "cluster"] = "two labels"
    rows = findings(manifest).clusters
    assert [row.title for row in rows[:3]] == ["2 images, two labels", "2 images, two splits", "5 images"]
    assert [image.alarm for image in rows[0].images] == [True, True]
    assert [image.alarm for image in rows[2].images] == [False] * 5


def test_the_extremes_are_the_extremes(trained: Path) -> None:
    manifest = manifest_of(trained)
    darkest, brightest = (row.images[0].path for row in findings(manifest).worst[:2])
    assert darkest == manifest.loc[manifest["brightness"].idxmin(), "path"]
    assert brightest == manifest.loc[manifest["brightness"].idxmax(), "path"]


def test_odd_labels_and_lost_files_do_not_break_the_page(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    manifest = manifest_of(project)
    manifest["label"] = manifest["label"].replace("circle", "<script>alert(1)</script> & 'round'")
    for path in manifest["path"].head(30):
        (project / "data/raw" / path).unlink()
    write_report(manifest, read_judgements(EXPECTATIONS), None, load_params())
    page = DATA_REPORT.read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "no longer readable" in page


def test_a_network_from_scratch_leaves_the_labels_unaudited_and_says_so(project: Path) -> None:
    change_params(project, {"model": {"backbone": "cnn", "weights": "none"}})
    run_stage("embed", project)
    said = run_stage("audit", project)
    assert "Labels are not audited: cnn has no pretrained features" in said
    assert "Not looked for yet" in (project / DATA_REPORT).read_text(encoding="utf-8")
    assert pd.read_csv(project / LABEL_ISSUES).empty
