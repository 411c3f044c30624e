"""Random changes to training images, as Keras layers built from the parameters. Touches no file.

The result depends only on (images, parameters, seed): layers built again with the same seed change the same batches in
the same way, whatever was drawn in between. Changing one parameter does not change the draws of the others.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.params.model import Augment

Change = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]  # images and targets of a batch -> changed ones

COLOURS = (0, 255)
ERASED_AREA = (0.02, 0.33)  # shares of the image, as in Zhong et al., Random Erasing Data Augmentation, 2017
ERASED_COLOUR = 127.0  # grey: drawing noise for every pixel, erased or not, costs three times as much
SAMPLES = 4  # rows of the figure
VARIANTS = 4  # augmented ones in each row
Drawn = Mapping[str, tf.Tensor]  # what a layer of Keras has drawn for a batch, by name


class RandomFlip(layers.RandomFlip):  # type: ignore[misc] # Keras has no types
    """Keras' flips, a fourth of the work: only images that are flipped are moved, and as they are read, in uint8.

    Keras draws once for each image, so with both axes an image is flipped along both or neither.
    """

    _AXES = MappingProxyType({"horizontal": [2], "vertical": [1], "horizontal_and_vertical": [1, 2]})

    def transform_images(self, images: tf.Tensor, transformation: Drawn, training: bool = True) -> tf.Tensor:
        """Flip, then convert."""
        if training:
            chosen = tf.where(tf.reshape(transformation["flips"], [-1]))  # (k, 1), numbers of images
            flipped = tf.reverse(tf.gather_nd(images, chosen), self._AXES[self.mode])
            images = tf.tensor_scatter_nd_update(images, chosen, flipped)
        return tf.cast(images, self.compute_dtype)


class RandAugment(layers.RandAugment):  # type: ignore[misc] # Keras has no types
    """Two of ten operations, drawn for each batch, at `magnitude` (Cubuk et al., RandAugment, 2019).

    Keras' own layer computes all operations twice and discards 20 of 22 results, so it is 14 times slower. At the
    smallest magnitude it also solarises whole images (left out here) and keeps the fewest bits (corrected here).
    """

    _AUGMENT_LAYERS = tuple(name for name in layers.RandAugment._AUGMENT_LAYERS if name != "solarization")

    def __init__(self, magnitude: float, **options: Any) -> None:
        """`magnitude`: 0 to 1."""
        super().__init__(COLOURS, factor=magnitude, **options)
        bits = 8 - round(4 * magnitude)  # the paper's table goes from 8 to 4
        self.random_posterization = layers.RandomPosterization(bits, value_range=COLOURS, **options)

    def transform_images(self, images: tf.Tensor, transformation: Drawn, training: bool = True) -> tf.Tensor:
        """Apply the drawn operations, one after the other."""
        if not training:
            return images
        operations = [
            partial(getattr(self, name).transform_images, transformation=drawn)
            for name, drawn in transformation["transforms"].items()
        ]
        for number in range(self.num_ops):
            images = keras.ops.switch(transformation["layer_idxes"][number], operations, images)
        return keras.ops.clip(images, *COLOURS)  # rounding exceeds the range by 1e-5


def random_change(augment: Augment, seed: int) -> Change:
    """Augmentation, then mixing, of a batch of images, uint8 or float32, and its targets."""
    layers_, mix = augmentation(augment, seed), mixing(augment, seed)
    flips = augment.horizontal_flip or augment.vertical_flip  # they come first, and convert; other layers need floats

    def change(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        changed = layers_(images if flips else tf.cast(images, tf.float32), training=True)
        return mix(changed, targets) if mix else (changed, targets)

    return change


def changes_images(augment: Augment) -> bool:
    """Whether an image can look different after augmentation; mixing is not counted."""
    return any(value for name, value in augment if name not in ("mix_up", "cut_mix"))


def augmentation(augment: Augment, seed: int) -> keras.Sequential:
    """A separate model, images in and images out, (n, height, width, 3) in 0..255; not part of the trained network.

    Changes happen only when it is called with `training=True`.
    """
    seeds = iter(_seeds(seed))
    # One name per draw, not a running number: a draw that is switched off still takes its seed.
    flip, turn, size, place, light, contrast, saturation, hue, rand, erase = (next(seeds) for _ in range(10))
    within: dict[str, Any] = {"value_range": COLOURS, "dtype": "float32"}  # even if the network computes in float16
    moved: dict[str, Any] = {"fill_mode": "reflect", "dtype": "float32"}
    flips = {(True, True): "horizontal_and_vertical", (True, False): "horizontal", (False, True): "vertical"}
    chosen: list[keras.Layer] = []
    if axes := flips.get((augment.horizontal_flip, augment.vertical_flip)):
        chosen.append(RandomFlip(axes, seed=flip, dtype="float32"))
    if augment.rotation:
        chosen.append(layers.RandomRotation(augment.rotation, seed=turn, **moved))
    if augment.zoom:
        chosen.append(layers.RandomZoom(augment.zoom, seed=size, **moved))
    if augment.translation:
        chosen.append(layers.RandomTranslation(augment.translation, augment.translation, seed=place, **moved))
    if augment.brightness:
        chosen.append(layers.RandomBrightness(augment.brightness, seed=light, **within))
    if augment.contrast:
        chosen.append(layers.RandomContrast(augment.contrast, seed=contrast, **within))
    if share := augment.saturation:
        # In Keras 0.5 means unchanged. The range is that of the saturation, 0..1, not of the image: otherwise colours
        # leave 0..255.
        limits = (0.5 - share / 2, 0.5 + share / 2)
        chosen.append(layers.RandomSaturation(limits, value_range=(0, 1), seed=saturation, dtype="float32"))
    if augment.hue:
        chosen.append(layers.RandomHue(2 * augment.hue, seed=hue, **within))  # Keras counts hue in half circles
    if augment.rand_augment:
        chosen.append(RandAugment(augment.rand_augment, seed=rand, dtype="float32"))
    if share := augment.random_erasing:
        options = {"scale": ERASED_AREA, "fill_value": ERASED_COLOUR}
        chosen.append(layers.RandomErasing((share, share), seed=erase, **options, **within))
    return keras.Sequential(chosen or [layers.Identity()], name="augmentation")


def mixing(augment: Augment, seed: int) -> Change | None:
    """Blend the images of a batch with one another, and their labels likewise; None when mixing is off.

    The function takes images (n, height, width, 3) in 0..255, ideally augmented already, and one-hot labels
    (n, classes), and returns both in float32; each row of labels sums to 1. It can be mapped over a `tf.data.Dataset`,
    one batch at a time: each batch continues the sequence of draws. With MixUp (Zhang et al., 2017) and CutMix (Yun et
    al., 2019) both on, each batch gets one of them with equal probability.
    """
    first, second, coin = _seeds(seed)[-3:]
    chosen: list[keras.Layer] = []
    if augment.mix_up:
        chosen.append(layers.MixUp(augment.mix_up, seed=first, dtype="float32"))
    if augment.cut_mix:
        chosen.append(layers.CutMix((augment.cut_mix, augment.cut_mix), seed=second, dtype="float32"))
    if not chosen:
        return None
    draws = keras.random.SeedGenerator(coin)

    def mix(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = tf.cast(images, tf.float32), tf.cast(labels, tf.float32)
        ways = [partial(_mixed, layer, images, labels) for layer in chosen]
        if len(ways) == 1:
            return ways[0]()
        both: tuple[tf.Tensor, tf.Tensor] = tf.cond(keras.random.uniform((), seed=draws) < 0.5, *ways)
        return both

    return mix


def _mixed(layer: keras.Layer, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    mixed = layer({"images": images, "labels": labels}, training=True)
    return mixed["images"], mixed["labels"]


def _seeds(seed: int) -> list[int]:
    """Independent seeds from one seed: those of `seed` and of `seed + 1` are unrelated."""
    return [int(part) for part in np.random.SeedSequence(seed).generate_state(16)]


def draw_augmented(images: NDArray[np.uint8], augment: Augment, seed: int) -> Figure:
    """Some images, each beside augmented versions of itself, and mixed ones if training mixes them.

    images: (n, height, width, 3), 0..255, n at least 1.
    """
    rows = images[np.linspace(0, len(images) - 1, min(SAMPLES, len(images)), dtype=int)]
    batch = tf.constant(rows, tf.float32)
    change = augmentation(augment, seed)
    plain = [""] * len(rows)
    columns = [("original", rows, plain)]
    columns += [("augmented", change(batch, training=True), plain) for _ in range(VARIANTS)]
    if mix := mixing(augment, seed):
        for _ in range(VARIANTS // 2):
            mixed, shares = mix(change(batch, training=True), tf.eye(len(rows)))
            columns.append(("mixed", mixed, [_recipe(row) for row in np.asarray(shares)]))
    figure = Figure(figsize=(1.6 * len(columns), 1.75 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for column, (title, pictures, captions) in enumerate(columns):
        for row, (picture, caption) in enumerate(zip(np.asarray(pictures), captions, strict=True)):
            axes = grid[row, column]
            axes.imshow(np.rint(picture).astype(np.uint8))
            axes.set(xticks=[], yticks=[], xlabel=caption, title=title if row == 0 else "")
    return figure


def _recipe(shares: NDArray[np.float32]) -> str:
    return " + ".join(f"{share:.0%} of {row + 1}" for row, share in enumerate(shares) if share >= 0.005)
