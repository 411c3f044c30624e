"""What a model keeps of its training images, and the scores and flags of other images against it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.data.prepared import Split
from pipeline.images.measures import Light, measure_light
from pipeline.model import reference
from pipeline.model.contract import (
    CONTRACT,
    EMBEDDINGS,
    REFERENCE,
    Contract,
    ContractError,
    read_contract,
    write_contract,
)
from pipeline.model.reference import (
    Reference,
    ValidationAnswers,
    make_reference,
    read_reference,
    sampled,
    write_reference,
)
from pipeline.params.data import Images
from tests.fixtures.images import noise
from tests.fixtures.models import write_colour_model

RULES = Images(width=20, height=16, fit="stretch", max_megapixels=1)
NAMES = ("cat", "dog")


def split(count: int, seed: int) -> Split:
    """Pictures of 40 to 40 + count by 30 pixels, cats and dogs by turns."""
    labels = np.arange(count) % 2
    table = pd.DataFrame(
        {
            "path": [f"{NAMES[label]}/{number}.png" for number, label in enumerate(labels)],
            "sha256": [f"{seed + number:064x}" for number in range(count)],
            "label": [NAMES[label] for label in labels],
            "width": [40 + number for number in range(count)],
            "height": 30,
        }
    )
    return Split(table, np.stack([noise(20, 16, seed + number) for number in range(count)]), labels)


def embeddings(count: int, seed: int) -> np.ndarray:
    """Of two kinds that are easy to tell apart."""
    rng = np.random.default_rng(seed)
    kinds = np.eye(2, 24)[np.arange(count) % 2]
    return (5 * kinds + rng.normal(0, 0.3, (count, 24))).astype(np.float32)


def answers(count: int) -> np.ndarray:
    sure = np.linspace(0.55, 0.99, count)
    return np.stack([sure, 1 - sure], axis=1).astype(np.float32)


TRAIN, VAL = split(60, 0), split(30, 1000)


@pytest.fixture(scope="module")
def made() -> Reference:
    rows = sampled(60, 7)
    return make_reference(
        TRAIN, rows, embeddings(60, 0), ValidationAnswers(VAL, embeddings(30, 1), answers(30)), NAMES, 0.1, 7
    )


@pytest.fixture
def model(tmp_path: Path, made: Reference) -> Path:
    folder = write_colour_model(tmp_path / "model", RULES, NAMES, [[0.0, 0.0]] * 3, [0, 0])
    write_contract(folder, read_contract(folder).model_copy(update=dict(write_reference(folder, made))))
    return folder


def test_it_comes_back_as_it_was_written(model: Path, made: Reference) -> None:
    found = read_reference(model, read_contract(model))
    assert found is not None
    assert found.about == made.about
    assert found.outlier_above == made.outlier_above
    np.testing.assert_array_equal(found.embeddings, made.embeddings)
    np.testing.assert_array_equal(found.scores(embeddings(4, 3)), made.scores(embeddings(4, 3)))


def test_making_and_writing_it_again_gives_the_same_hash(tmp_path: Path, made: Reference, model: Path) -> None:
    again = make_reference(
        TRAIN, sampled(60, 7), embeddings(60, 0), ValidationAnswers(VAL, embeddings(30, 1), answers(30)), NAMES, 0.1, 7
    )
    assert write_reference(tmp_path, again)["reference_sha256"] == read_contract(model).reference_sha256


def test_a_model_without_a_reference_is_whole_and_keeps_its_hash(tmp_path: Path) -> None:
    folder = write_colour_model(tmp_path / "model", RULES, NAMES, [[0.0, 0.0]] * 3, [0, 0])
    assert not {"reference_sha256", "outlier_above"} & set(json.loads((folder / CONTRACT).read_text()))
    contract = Contract(
        class_names=NAMES, images=RULES, backbone="cnn", temperature=2.0, unsure_below=0.6,
        dataset_sha256="1" * 64, weights_sha256="2" * 64, code_commit="",
    )  # fmt: skip
    # As earlier versions of this project name it: a version in a registry is found by it.
    assert contract.hash == "24fcdad26871f6b4e3101419bb165f792bb48431bc754da514d8d035437644f7"
    assert contract.model_copy(update={"reference_sha256": "3" * 64, "outlier_above": 0.1}).hash != contract.hash
    assert read_reference(folder, read_contract(folder)) is None


@pytest.mark.parametrize("name", [REFERENCE, EMBEDDINGS])
def test_a_reference_that_is_another_ones_is_refused(model: Path, name: str) -> None:
    (model / name).write_bytes((model / name).read_bytes() + b" ")
    with pytest.raises(ContractError, match=r"reference.json and reference.npy are not the ones"):
        read_contract(model)
    (model / name).unlink()
    with pytest.raises(ContractError, match=f"{name} is missing"):
        read_contract(model)


def test_pickled_objects_are_never_loaded(model: Path) -> None:
    contract = read_contract(model)
    np.save(model / EMBEDDINGS, np.array([{}], object))  # NumPy pickles it; reading must refuse
    with pytest.raises(ContractError, match="cannot be read by this version"):
        read_reference(model, contract)


def test_of_the_validation_images_at_most_the_share_that_is_asked_for_are_outliers(made: Reference) -> None:
    scores = made.scores(embeddings(30, 1))
    assert (scores > made.outlier_above).sum() == 2, "the limit is the third largest: 3 of 31 places, 1 in 10 at most"
    assert made.outlier_above in scores
    assert made.outlier_alarms == 0.1


def test_another_kind_of_image_is_an_outlier_and_a_training_image_is_none(made: Reference) -> None:
    other = np.zeros((1, 24), np.float32)
    other[0, 10] = 5
    known, unknown = made.scores(embeddings(60, 0)), made.scores(other)
    assert known.max() < 0.2
    assert unknown > 0.5
    usual = Light(120, 50, made.about.quantiles["sharpness"][50])
    assert unknown > made.outlier_above
    assert made.flags(usual, 60, 30) == ()


@pytest.mark.parametrize(
    ("changes", "size", "flags"),
    [
        ({"brightness": 0.0}, (60, 30), ("dark",)),
        ({"brightness": 255.0}, (60, 30), ("bright",)),
        ({"contrast": 0.0}, (60, 30), ("low_contrast",)),
        ({"contrast": 127.0}, (60, 30), ("high_contrast",)),
        ({"sharpness": 0.0}, (60, 30), ("blurred",)),
        ({"sharpness": 1e6}, (60, 30), ("sharp",)),
        ({}, (20, 30), ("small",)),
        ({}, (20, 10), ("small",)),
        ({}, (4000, 3000), ("large",)),
        ({}, (20, 300), ("small", "large")),
        ({"brightness": 0.0, "contrast": 0.0}, (20, 10), ("dark", "low_contrast", "small")),
        ({}, (28, 21), ()),
        ({}, (140, 44), ()),
    ],
)
def test_a_picture_unlike_the_training_images_has_a_flag(
    made: Reference, changes: dict[str, float], size: tuple[int, int], flags: tuple[str, ...]
) -> None:
    usual = {name: made.about.quantiles[name][50] for name in ("brightness", "contrast", "sharpness")}
    assert made.flags(Light(**usual | changes), *size) == flags


def test_hardly_a_training_or_validation_image_has_a_flag(made: Reference) -> None:
    pictures = [(image, 40 + number) for part in (TRAIN, VAL) for number, image in enumerate(part.images)]
    assert not [flags for image, width in pictures if (flags := made.flags(measure_light(image), width, 30))]


def test_it_says_what_a_night_is_compared_with(made: Reference) -> None:
    about, said = made.about, made.about.validation
    assert (about.paths[1], about.sha256[1], about.labels[1]) == ("dog/1.png", f"{1:064x}", "dog")
    assert (said.images, said.labels, said.answers) == (30, {"cat": 15, "dog": 15}, {"cat": 30, "dog": 0})
    assert sum(said.confidence) == 30
    assert said.confidence[:11] == [0] * 11, "nobody is less than 55 % sure"
    assert said.confidence_quantiles[0] == pytest.approx(0.55)
    assert said.confidence_quantiles[100] == pytest.approx(0.99)
    assert about.quantiles["width"][0] == 40
    assert about.quantiles["width"][100] == 99
    assert all(len(values) == 101 for values in about.quantiles.values())


def test_of_many_images_some_are_kept_the_same_ones_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sampled(5, 7).tolist() == [0, 1, 2, 3, 4]
    monkeypatch.setattr(reference, "MOST", 10)
    rows = sampled(1000, 7)
    assert len(set(rows.tolist())) == 10
    assert rows.tolist() == sorted(rows.tolist()) == sampled(1000, 7).tolist()
    assert rows.tolist() != sampled(1000, 8).tolist()
