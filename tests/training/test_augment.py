"""Random changes to images: each does what its name says, stays in range, and follows from the seed alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.params.model import Augment
from pipeline.training.augment import augmentation, changes_images, draw_augmented, mixing, random_change
from tests.fixtures.images import noise

OFF = Augment(
    horizontal_flip=False, vertical_flip=False, rotation=0, zoom=0, translation=0, brightness=0, contrast=0,
    saturation=0, hue=0, rand_augment=0, random_erasing=0, mix_up=0, cut_mix=0,
)  # fmt: skip
# Every change of images, at a strength that shows in eight of them and at its limit.
CHANGES: dict[str, tuple[object, object]] = {
    "horizontal_flip": (True, True),
    "vertical_flip": (True, True),
    "rotation": (0.1, 0.5),
    "zoom": (0.2, 0.99),
    "translation": (0.2, 1.0),
    "brightness": (0.3, 1.0),
    "contrast": (0.3, 1.0),
    "saturation": (0.5, 1.0),
    "hue": (0.1, 0.5),
    "rand_augment": (0.3, 1.0),
    "random_erasing": (0.5, 1.0),
}
EVERY = OFF.model_copy(update={name: mild for name, (mild, _) in CHANGES.items()})


def only(name: str, value: object) -> Augment:
    return Augment.model_validate(OFF.model_dump() | {name: value})


def images(count: int = 8) -> NDArray[np.float32]:
    return np.stack([noise(32, 24, seed) for seed in range(count)]).astype(np.float32)


def changed(augment: Augment, seed: int = 1, batches: int = 1) -> NDArray[np.float32]:
    """Each batch as training sees it, in a graph."""
    layers = augmentation(augment, seed)
    step = tf.function(lambda batch: layers(batch, training=True))
    return np.concatenate([step(images()).numpy() for _ in range(batches)])


def test_every_change_of_images_is_in_this_file() -> None:
    assert set(CHANGES) | {"mix_up", "cut_mix"} == set(Augment.model_fields)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_happens_in_training_only_stays_in_range_and_follows_from_the_seed(name: str) -> None:
    mild, strongest = (only(name, value) for value in CHANGES[name])
    np.testing.assert_array_equal(augmentation(mild, 1)(images(), training=False), images())
    first = changed(mild, batches=2)
    assert not np.array_equal(first[:8], images())
    assert not np.array_equal(first[:8], first[8:]), "drawn anew for each batch"
    keras.utils.set_random_seed(0)
    keras.random.uniform((3,))
    np.testing.assert_array_equal(changed(mild, batches=2), first)
    of_another_seed = np.asarray(augmentation(mild, 2)(images(), training=True))
    assert np.abs(of_another_seed - first[:8]).max() > 1, "more than a graph rounds otherwise"
    for result in (first, changed(strongest, batches=6)):
        assert result.dtype == np.float32
        assert np.isfinite(result).all()
        assert result.min() >= 0
        assert result.max() <= 255


@pytest.mark.parametrize(
    ("horizontal", "vertical", "mode"),
    [(True, False, "horizontal"), (False, True, "vertical"), (True, True, "horizontal_and_vertical")],
)
def test_flips_of_uint8_and_float32_are_those_of_keras(horizontal: bool, vertical: bool, mode: str) -> None:
    flips = OFF.model_copy(update={"horizontal_flip": horizontal, "vertical_flip": vertical})
    ours = augmentation(flips, 1)
    keras_own = keras.layers.RandomFlip(mode, seed=ours.layers[0].seed)
    expected = keras_own(images(), training=True)
    assert not np.array_equal(expected, images())
    np.testing.assert_array_equal(ours(images(), training=True), expected)
    again = augmentation(flips, 1)(images().astype(np.uint8), training=True)
    assert again.dtype == tf.float32
    np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize("augment", [EVERY, only("brightness", 0.3), OFF], ids=["every", "brightness", "none"])
def test_images_are_changed_as_they_are_read_like_floats(augment: Augment) -> None:
    of_bytes, of_floats = (
        random_change(augment, 1)(tf.constant(batch), tf.eye(8))[0] for batch in (images().astype(np.uint8), images())
    )
    assert of_bytes.dtype == tf.float32
    np.testing.assert_array_equal(of_bytes, of_floats)


def test_nothing_chosen_is_the_identity() -> None:
    np.testing.assert_array_equal(augmentation(OFF, 1)(images(), training=True), images())
    assert not changes_images(OFF)
    assert not changes_images(only("mix_up", 0.2))
    assert all(changes_images(only(name, mild)) for name, (mild, _) in CHANGES.items())


def test_a_change_is_drawn_alike_whatever_else_is_on() -> None:
    flipped = changed(only("horizontal_flip", True))
    both = changed(OFF.model_copy(update={"horizontal_flip": True, "brightness": 0.001}))
    np.testing.assert_allclose(both, flipped, atol=0.3)


def flips(batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [batch, batch[:, :, ::-1], batch[:, ::-1], batch[:, ::-1, ::-1]]


@pytest.mark.parametrize(("name", "allowed"), [("horizontal_flip", (0, 1)), ("vertical_flip", (0, 2))])
def test_a_flip_is_along_its_axis_and_of_half_the_images(name: str, allowed: tuple[int, ...]) -> None:
    result = changed(only(name, True), batches=10)
    original = np.tile(images(), (10, 1, 1, 1))
    which = np.array([[np.array_equal(a, b) for a, b in zip(result, way, strict=True)] for way in flips(original)])
    assert (which.sum(axis=0) == 1).all()
    assert set(which.argmax(axis=0)) == set(allowed)
    assert 0.25 < (which.argmax(axis=0) > 0).mean() < 0.75


def test_colour_changes_leave_grey_images_grey_and_as_they_are() -> None:
    grey = np.repeat(images()[..., :1], 3, axis=-1)
    layers = augmentation(OFF.model_copy(update={"saturation": 1.0, "hue": 0.5}), 1)
    np.testing.assert_allclose(np.asarray(layers(grey, training=True)), grey, atol=0.01)


def test_no_operation_destroys_images_at_a_small_magnitude() -> None:
    """As the paper has it; the library inverts whole images there, or leaves one bit of each colour."""
    layers = augmentation(only("rand_augment", 0.02), 1)
    changes = [np.abs(np.asarray(layers(images(), training=True)) - images()).mean() for _ in range(60)]
    assert max(changes) < 50  # equalisation, which knows no magnitude; inverting makes 100
    assert min(changes) < 5


def test_erasing_hides_one_grey_rectangle_of_the_stated_share_of_images_and_area() -> None:
    result = changed(only("random_erasing", 0.5), batches=20)
    hidden = (result == 127).all(axis=-1)
    areas = hidden.mean(axis=(1, 2))
    erased = areas > 0.01
    assert 0.35 < erased.mean() < 0.65
    assert areas.max() <= 0.36
    for mask in hidden[erased]:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()


def test_layers_answer_in_float32_where_the_network_computes_in_float16() -> None:
    expected = changed(only("brightness", 0.3))
    keras.config.set_dtype_policy("mixed_float16")
    try:
        found = changed(only("brightness", 0.3))
        mix = mixing(only("mix_up", 0.2), 1)
        assert mix is not None
        blended, labels = mix(tf.constant(images()), tf.eye(8))
    finally:
        keras.config.set_dtype_policy("float32")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.1)
    assert blended.dtype == labels.dtype == tf.float32


ONE_HOT = np.eye(4, dtype=np.float32)[np.arange(48) % 4]


def mixed(augment: Augment, seed: int = 3, of: NDArray[np.float32] | None = None) -> tuple[NDArray[np.float32], ...]:
    """48 images of four classes after one epoch of batches of 10."""
    mix = mixing(augment, seed)
    assert mix is not None
    arrays = images(48) if of is None else of
    batches = tf.data.Dataset.from_tensor_slices((arrays, ONE_HOT)).batch(10).map(mix)
    return tuple(np.concatenate(parts) for parts in zip(*batches.as_numpy_iterator(), strict=True))


@pytest.mark.parametrize("name", ["mix_up", "cut_mix"])
@pytest.mark.parametrize("alpha", [0.001, 0.2, 1.0])
def test_mixing_is_repeatable_and_keeps_ranges_at_any_alpha(name: str, alpha: float) -> None:
    pictures, labels = mixed(only(name, alpha))
    assert pictures.dtype == labels.dtype == np.float32
    assert pictures.min() >= 0
    assert pictures.max() <= 255.001
    assert labels.min() >= 0
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-5)
    keras.utils.set_random_seed(0)
    for part, again in zip((pictures, labels), mixed(only(name, alpha)), strict=True):
        np.testing.assert_array_equal(part, again)
    assert not np.array_equal(mixed(only(name, alpha), seed=4)[0], pictures)


def shares_seen(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of images whose class k is the grey level 60 * (k + 1): the share of each class in the picture's brightness."""
    return pictures.mean(axis=(1, 2, 3)) / 60 - 1


@pytest.mark.parametrize("name", ["mix_up", "cut_mix"])
def test_labels_are_mixed_as_the_pixels_are(name: str) -> None:
    plain = np.ones((48, 32, 32, 3), np.float32) * 60 * (1 + np.arange(48) % 4)[:, None, None, None]
    pictures, labels = mixed(only(name, 1.0), of=plain)
    expected = labels @ np.arange(4, dtype=np.float32)
    np.testing.assert_allclose(shares_seen(pictures), expected, atol=0.02 if name == "mix_up" else 0.25)
    assert (labels.max(axis=1) < 0.95).sum() > 10, "few were mixed"
    assert (len(np.unique(pictures[0])) == 1) if name == "mix_up" else set(np.unique(pictures)) <= {60, 120, 180, 240}


def test_with_both_each_batch_gets_one_of_them() -> None:
    plain = np.ones((48, 32, 32, 3), np.float32) * 60 * (1 + np.arange(48) % 4)[:, None, None, None]
    both = OFF.model_copy(update={"mix_up": 1.0, "cut_mix": 1.0})
    kinds = set()
    for seed in range(6):
        pictures, _ = mixed(both, seed, plain)
        for start in range(0, 40, 10):
            cut = set(np.unique(pictures[start : start + 10])) <= {60, 120, 180, 240}
            flat = (np.ptp(pictures[start : start + 10], axis=(1, 2, 3)) < 1e-3).all()
            assert cut or flat
            kinds.add((cut, flat))
    assert (True, False) in kinds
    assert (False, True) in kinds


def test_nothing_is_mixed_where_neither_is_on() -> None:
    assert mixing(EVERY, 1) is None


@pytest.mark.parametrize(
    ("count", "augment", "columns", "rows"),
    [
        (10, EVERY, 5, 4),
        (1, OFF, 5, 1),
        (4, EVERY.model_copy(update={"cut_mix": 1.0}), 7, 4),
        (2, OFF.model_copy(update={"mix_up": 0.2, "cut_mix": 1.0}), 7, 2),
    ],
    ids=["more than are shown", "one image", "mixed too", "mixed only"],
)
def test_the_picture_shows_originals_and_what_becomes_of_them(
    count: int, augment: Augment, columns: int, rows: int
) -> None:
    originals = images(count).astype(np.uint8)
    figure = draw_augmented(originals, augment, 1)
    assert len(figure.axes) == rows * columns
    first = [figure.axes[row * columns].images[0].get_array() for row in range(rows)]
    assert np.array_equal(first[0], originals[0])
    assert np.array_equal(first[-1], originals[-1])
    captions = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert len(captions) == rows * (columns - 5)
    assert all("% of" in caption for caption in captions)
    again = draw_augmented(originals, augment, 1)
    for one, other in zip(figure.axes, again.axes, strict=True):
        np.testing.assert_array_equal(one.images[0].get_array(), other.images[0].get_array())
