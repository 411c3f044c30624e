"""What a folder's groups, draws, heads and names of classes are, without a folder."""

import numpy as np
import pytest

from pipeline.data.judgements import Judgement, counting
from pipeline.data.label_folders import LabelError
from pipeline.evaluation.results import Interval
from pipeline.review import clusters, groups, head
from pipeline.review.classes import renamed, valid_name
from pipeline.review.enough import Fitted, advise


def blobs(each: int, classes: int = 3, apart: float = 6.0, seed: int = 0) -> tuple[clusters.Features, list[str]]:
    """Features around `classes` centres, and their labels, shuffled."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    rng.shuffle(labels)
    centres = rng.normal(0, apart, (classes, 20))
    return (centres[labels] + rng.normal(0, 1, (len(labels), 20))).astype(np.float32), [f"class {n}" for n in labels]


def test_every_image_is_in_one_group_and_images_that_look_alike_are_together() -> None:
    features, labels = blobs(32)
    found = clusters.alike(features)
    assert sorted(np.concatenate(found)) == list(range(len(features)))
    assert all(len({labels[row] for row in group}) == 1 for group in found)


@pytest.mark.parametrize("count", [0, 1, 2, 16, 17])
def test_a_few_images_are_grouped_too(count: int) -> None:
    found = clusters.alike(blobs(6)[0][:count])
    assert sorted(row for group in found for row in group) == list(range(count))


def test_identical_images_are_grouped() -> None:
    assert sum(map(len, clusters.alike(np.ones((40, 8), np.float32)))) == 40


def test_only_images_drawn_by_chance_measure_the_head() -> None:
    features, labels = blobs(40, classes=2)
    spoilt, drawn = list(labels), np.arange(80) < 40
    spoilt[40:60] = [{"class 0": "class 1", "class 1": "class 0"}[label] for label in labels[40:60]]
    fair, every = (head.balanced_accuracy(features, spoilt, which, 0) for which in (drawn, np.full(80, True)))
    assert fair
    assert every
    assert fair.value > 0.9 > 0.85 > every.value
    assert fair.low is not None
    assert fair.high is not None
    assert fair.low < fair.value <= fair.high


def test_of_many_images_those_drawn_by_chance_are_measured_first(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = blobs(40, classes=2)
    monkeypatch.setattr(head, "MOST_MEASURED", 60)
    spoilt, drawn = list(labels), np.arange(80) >= 40
    spoilt[:40] = reversed(labels[:40])  # say nothing
    found = head.balanced_accuracy(features, spoilt, drawn, 0)
    assert found
    assert found.value > 0.9


@pytest.mark.parametrize("drawn", [0, head.LEAST_DRAWN - 1])
def test_few_drawn_images_measure_nothing(drawn: int) -> None:
    features, labels = blobs(40, classes=2)
    assert head.balanced_accuracy(features, labels, np.arange(80) < drawn, 0) is None


def test_copies_of_a_scene_are_in_one_fold() -> None:
    rng = np.random.default_rng(0)
    scenes = rng.normal(0, 1, (20, 30)).astype(np.float32)  # their labels say nothing
    features = np.repeat(scenes, 4, axis=0) + rng.normal(0, 1e-3, (80, 30)).astype(np.float32)
    labels = [f"class {number % 2}" for number in np.repeat(rng.permutation(20), 4)]
    found = head.balanced_accuracy(features, labels, np.full(80, True), 0)
    assert found
    assert found.value < 0.75


def test_the_fair_draw_follows_from_the_content_alone() -> None:
    images = [f"{number:064x}" for number in range(2000)]
    drawn = groups.draws(images, seed=7)
    assert 0.2 < len(drawn) / len(images) < 0.3
    assert set(groups.draws(images[:100], seed=7)) == set(drawn) & set(images[:100])
    assert drawn != groups.draws(images, seed=8)
    assert drawn != sorted(drawn)


def test_a_label_that_was_declined_is_not_proposed_again() -> None:
    features, labels = blobs(10, classes=2)
    images = [f"{number:064x}" for number in range(20)]
    fitted = head.fit(features, labels)
    wrong = {images[0]: {labels[0]}, images[1]: {"class 0", "class 1"}}
    found = {one.sha256: one for group in groups.by_head(images, features, fitted, wrong) for one in group.members}
    assert len(found) == 20
    assert found[images[0]].label not in ("", labels[0])
    assert found[images[1]].label == ""
    assert [found[image].label for image in images[2:]] == labels[2:]


def heads(*accuracies: tuple[float, float], measured: int = 80) -> list[Fitted]:
    return [
        Fitted(20 * number, measured, Interval(value=value, low=low, high=min(1.0, 2 * value - low)))
        for number, (value, low) in enumerate(accuracies, 1)
    ]


@pytest.mark.parametrize(
    ("counts", "fitted", "left", "enough", "said"),
    [
        ({}, [], 500, False, "Name what you see"),
        ({"a": 30}, [], 470, False, "at least two"),
        ({"a": 30, "b": 5}, heads((0.99, 0.95)), 465, False, "too few so far: b (5)"),
        ({"a": 30, "b": 5}, heads((0.99, 0.95)), 0, False, "add images"),
        ({"a": 30, "b": 25}, heads((0.92, 0.85)), 445, True, "92 % (85 to 99)"),
        ({"a": 30, "b": 25}, heads((0.85, 0.75)), 445, False, "Go on"),
        ({"a": 30, "b": 25}, heads((0.7, 0.6), (0.75, 0.7), (0.75, 0.7), (0.75, 0.7), (0.755, 0.7)), 9, True, "gained"),
        ({"a": 30, "b": 25}, heads((0.7, 0.6), (0.72, 0.6), (0.75, 0.7), (0.79, 0.7)), 9, False, "Go on"),
        ({"a": 30, "b": 25}, heads(*[(0.7, 0.6)] * 5, measured=20), 9, False, "Go on"),
        ({"a": 30, "b": 25}, heads((0.7, 0.6)), 0, True, "Every image is judged"),
    ],
)
def test_what_is_enough(counts: dict[str, int], fitted: list[Fitted], left: int, enough: bool, said: str) -> None:
    advice = advise(counts, fitted, left, least=20)
    assert advice.enough == enough
    assert said in " ".join(advice.sentences)


@pytest.mark.parametrize("typed", ["", "   ", "\u200b", "a\x00b", "a\nb", "a\u202eb", "x" * 201, "\udcff", "á" * 130])
def test_names_that_cannot_be_a_class(typed: str) -> None:
    with pytest.raises(LabelError):
        valid_name(typed)


@pytest.mark.parametrize("typed", ["Cat", " n/a ", "раковина", "猫", "=1+1", "..", "می‌خواهم", "e\u0301"])
def test_names_that_can(typed: str) -> None:
    assert valid_name(typed)


def test_a_class_is_renamed_in_the_name_of_those_who_judged() -> None:
    images = ["a" * 64, "b" * 64, "c" * 64]
    said = [("Ann", "crack"), ("Ben", "Crack"), ("Ann", "stain")]
    before = [
        Judgement(sha256=image, path="x.png", label=label, reader=reader, source="unlabelled", seconds=2)
        for image, (reader, label) in zip(images, said, strict=True)
    ]
    later = renamed(counting(before), images, "crack", "fissure", "Ben")
    now = counting([*before, *later])
    assert [now.label_of(image) for image in images] == ["fissure", "fissure", "stain"]
    assert [(one.reader, (one.model_extra or {})["renamed_by"]) for one in later] == [("Ann", "Ben"), ("Ben", "Ben")]
