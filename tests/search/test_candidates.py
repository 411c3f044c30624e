"""What automatic training combines, and in which order."""

from pathlib import Path

import pytest

from pipeline.params.file import Params
from pipeline.params.model import Start
from pipeline.search.candidates import (
    AUGMENTATIONS,
    HEAD,
    MOST,
    RATE,
    Base,
    base_of,
    base_of_values,
    bases,
    heads,
    other_sizes,
    recipes,
)
from pipeline.search.space import value_of, with_values


@pytest.fixture
def without_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "models"


def test_networks_whose_weights_are_here_come_the_cheapest_first_at_their_own_sizes(
    defaults: Params, without_cache: Path
) -> None:
    assert [str(base) for base in bases(defaults)] == [
        "efficientnet_lite0, 224 px", "efficientnet_lite1, 240 px", "efficientnet_lite2, 260 px",
    ]  # fmt: skip
    without_cache.mkdir()
    (without_cache / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5").touch()
    assert [base.backbone for base in bases(defaults)][:2] == ["mobilenet_v2", "efficientnet_lite0"]


def test_a_present_size_of_its_own_is_one_more(defaults: Params, without_cache: Path) -> None:
    smaller = with_values(defaults, {"images.width": 128, "images.height": 96})
    assert [str(base) for base in bases(smaller)][:2] == [
        "efficientnet_lite0, 128 x 96 px",
        "efficientnet_lite0, 224 px",
    ]


def test_named_networks_are_tried_besides_the_present_one_and_no_others(defaults: Params) -> None:
    starts = [Start(backbone="resnet50"), Start(backbone="keras_file", weights="mine.keras", size=96)]
    named = defaults.model_copy(update={"tune": defaults.tune.model_copy(update={"backbones": starts})})
    assert [str(base) for base in bases(named)] == [
        "keras_file mine.keras, 96 px", "efficientnet_lite0, 224 px", "resnet50, 224 px",
    ]  # fmt: skip


def test_what_is_trained_from_scratch_is_not_among_them(defaults: Params, without_cache: Path) -> None:
    scratch = with_values(defaults, {"model.weights": "none"})
    assert base_of(scratch) not in bases(scratch)
    ways = recipes(scratch, [(Base("efficientnet_lite1", "package", 240, 240), heads(scratch)[0])])
    assert {base_of_values(way).backbone for way in ways} == {"efficientnet_lite1"}


@pytest.mark.parametrize(
    ("base", "longest", "sides"),
    [
        (Base("efficientnet_lite0", "package", 224, 224), 2000, [160, 288]),
        (Base("efficientnet_lite2", "package", 260, 260), 2000, [192, 352]),
        (Base("efficientnet_lite0", "package", 224, 224), 224, [160]),
        (Base("efficientnet_lite0", "package", 224, 224), 100, []),
        (Base("keras_file", "mine.keras", 96, 96), 2000, []),
    ],
)
def test_other_sizes_are_in_steps_that_networks_halve_and_no_larger_than_the_images(
    base: Base, longest: int, sides: list[int]
) -> None:
    assert [other.width for other in other_sizes(base, longest)] == sides


def test_the_first_head_and_the_first_training_are_those_that_are_set(defaults: Params) -> None:
    assert heads(defaults)[0] == {name: value_of(defaults, name) for name in HEAD}
    rates = [(head["train.head.method"], head["train.head.learning_rate"]) for head in heads(defaults)]
    assert rates == [("auto", 0.001), ("linear", 0.001), ("linear", 0.01), ("linear", 0.01), ("ridge", 0.001),
                     ("nearest_mean", 0.001)]  # fmt: skip
    best = [(Base("efficientnet_lite2", "package", 260, 260), heads(defaults)[3])]
    first, second, *_ = recipes(defaults, best)
    assert all(value_of(defaults, name) == value for name, value in first.items())
    assert base_of_values(second) == best[0][0]
    assert second[RATE] == first[RATE]


def test_trainings_change_one_thing_before_they_change_two(defaults: Params) -> None:
    best = [
        (base_of(defaults), heads(defaults)[0]),
        (Base("efficientnet_lite1", "package", 240, 240), heads(defaults)[1]),
    ]
    ways = recipes(defaults, best)
    assert len(ways) == len({repr(way) for way in ways}) == MOST < 2 * 3 * 3

    def changes(way: dict[str, object]) -> int:
        return sum([base_of_values(way) != best[0][0], way[RATE] != ways[0][RATE],
                    any(way[name] != ways[0][name] for of in AUGMENTATIONS for name in of)])  # fmt: skip

    assert [changes(way) for way in ways[:4]] == [0, 1, 1, 1]


def test_no_training_mirrors_or_turns_images_that_were_not(defaults: Params) -> None:
    assert not {name for of in AUGMENTATIONS for name in of} & {
        "augment.horizontal_flip", "augment.vertical_flip", "augment.rotation",
    }  # fmt: skip
