"""Labels that were swapped are found, by models that have not seen them."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.checks.alike import alike
from pipeline.checks.label_issues import Evidence, audit, label_issues, out_of_fold, with_corrections
from pipeline.data.report_tables import write_table
from pipeline.data.suspects import ISSUE_COLUMNS, read_suspects
from pipeline.images.decode import decode
from pipeline.params.data import Images
from pipeline.params.model import Model
from tests.fixtures.project import draw_shape


def images_named(paths: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"path": paths, "sha256": [f"content of {path}" for path in paths]})


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


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_there_are_as_many_folds_as_groups_allow(count: int) -> None:
    features, labels = two_clouds()
    groups = np.arange(len(labels)) % count
    answers = out_of_fold(features, labels, groups, folds=5, seed=7)
    assert np.allclose(answers.sum(axis=1), 1)
    assert (answers.argmax(axis=1) == labels).mean() > 0.8


@pytest.mark.parametrize("groups", [np.zeros(120, int), np.repeat([0, 1], 60)], ids=["one unit", "a unit a class"])
def test_labels_that_no_model_can_judge_are_not_suspected(groups: np.ndarray) -> None:
    features, labels = two_clouds()
    answers = out_of_fold(features, labels, groups, folds=5, seed=7)
    assert np.isnan(answers).all()
    assert label_issues(images_named([""] * 120), labels, answers, ("cat", "dog")).empty


def test_labels_are_judged_where_the_other_groups_have_two_classes() -> None:
    features, labels = two_clouds()
    groups = np.where(labels == 0, 0, 1 + np.arange(120) % 2)  # without group 0 there is one class
    answers = out_of_fold(features, labels, groups, folds=5, seed=7)
    assert np.isnan(answers[labels == 0]).all()
    assert not np.isnan(answers[labels == 1]).any()


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
    table = images_named([f"{number}.png" for number in range(120)])
    answers = out_of_fold(features, spoilt, np.arange(120), 5, 7)
    suspects = label_issues(table, spoilt, answers, ("cat", "dog"))
    assert {f"{number}.png" for number in swapped} <= set(suspects["path"])
    assert len(suspects) <= 8
    assert suspects["label_confidence"].is_monotonic_increasing
    assert (suspects["label"] != suspects["suggested"]).mean() > 0.5
    assert alike(suspects, spoilt, answers, ("cat", "dog")) == ()


@pytest.mark.parametrize("distance", [0, 0.5, 6], ids=["no difference", "hardly any", "clear"])
def test_where_two_classes_cannot_be_told_apart_their_labels_are_not_called_wrong(distance: float) -> None:
    features, labels = two_clouds(distance=distance)
    apart = np.random.default_rng(2).normal((0, 9, 0, 0, 0), 1, (60, 5)).astype(np.float32)
    given = np.concatenate([labels, np.repeat(2, 60)])
    given[3:7] = 2
    table = images_named([f"{number}.png" for number in range(180)])
    evidence = Evidence(table, np.concatenate([features, apart]), given, np.arange(180), ("good", "tear", "hole"))
    found = audit(evidence, folds=5, seed=7)
    assert found.suspects is not None
    assert "5.png" in set(found.suspects["path"]), "no hole, and clearly so"
    if distance == 6:
        assert found.alike == ()
        return
    (pair,) = found.alike
    assert (pair.classes, pair.doubts > 10) == (("good", "tear"), True)
    said = r"The audit cannot tell good from tear \([456]\d % of their images are answered right, 50 % by guessing\), "
    assert re.fullmatch(
        said + r"so its \d+ doubts about these labels are worth little and are not listed\.", pair.words
    )
    both = [{row["label"], row["suggested"]} for row in found.suspects.to_dict("records")]
    assert {"good", "tear"} not in both


def test_clean_labels_raise_next_to_no_suspicion() -> None:
    features, labels = two_clouds(distance=8)
    table = images_named([f"{number}.png" for number in range(120)])
    assert len(label_issues(table, labels, out_of_fold(features, labels, np.arange(120), 5, 7), ("a", "b"))) <= 1


def test_real_features_find_planted_label_errors(tmp_path: Path) -> None:
    from pipeline.backbones.build import build_backbone

    rules = Images(width=64, height=64, fit="stretch", max_megapixels=1)
    labels = np.repeat([0, 1], 30)
    table = images_named([f"{number}.png" for number in range(len(labels))])
    for path, label, seed in zip(table["path"], labels, range(60), strict=True):
        draw_shape(tmp_path / path, ("circle", "square")[label], seed)
    images = np.stack([decode((tmp_path / path).read_bytes(), rules).pixels for path in table["path"]])
    backbone = build_backbone(Model(backbone="efficientnet_lite0", weights="package"), rules)
    features = np.asarray(backbone(images.astype(np.float32)))
    planted = np.random.default_rng(3).choice(len(labels), 5, replace=False)
    spoilt = labels.copy()
    spoilt[planted] = 1 - spoilt[planted]
    answers = out_of_fold(features, spoilt, np.arange(len(labels)), 5, 7)
    suspects = set(label_issues(table, spoilt, answers, ("circle", "square"))["path"])
    found = suspects & set(table["path"].iloc[planted])
    assert len(found) >= 3, "recall"
    assert len(found) >= 0.5 * len(suspects), "precision"


def test_labels_that_a_person_typed_stay_in_the_file_until_they_are_imported(tmp_path: Path) -> None:
    file = tmp_path / "label_issues.csv"
    rows = [
        ("a/1.png", "a", "b", 0.9, 0.1, "one", "b"), ("a/2.png", "a", "b", 0.8, 0.2, "two", "a"),
        ("=a/3.png", "a", "b", 0.8, 0.2, "three", ""), ("a/4.png", "a", "b", 0.7, 0.3, "four", "b"),
        ("a/gone.png", "a", "b", 0.7, 0.3, "gone", "b"),
    ]  # fmt: skip
    write_table(file, pd.DataFrame(rows, columns=list(ISSUE_COLUMNS)))
    file.write_text(file.read_text().replace(",", ";"), encoding="utf-16")  # as a spreadsheet saves it
    assert [row["path"] for row in read_suspects(file)][2] == "=a/3.png"
    images = pd.DataFrame({
        "path": ["b/1.png", "a/2.png", "=a/3.png", "a/moved/4.png"], "label": ["b", "a", "a", "a"],
        "sha256": ["one", "two", "three", "four"],
    })  # fmt: skip
    suspects = pd.DataFrame(rows[1:3], columns=list(ISSUE_COLUMNS)).assign(correct_label="")
    kept = with_corrections(suspects, read_suspects(file), images)
    assert kept[["path", "correct_label"]].to_numpy().tolist() == [
        ["a/2.png", "a"], ["=a/3.png", ""], ["a/moved/4.png", "b"],
    ], "the first has its label by now, the last was moved and is no longer suspected"  # fmt: skip
    assert with_corrections(suspects, [], images).equals(suspects)
