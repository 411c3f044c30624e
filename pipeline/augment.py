"""Random changes to training images, as Keras layers built from the parameters. Touches no file."""

import keras
from keras import layers

from pipeline.params_model import Augment


def augmentation(augment: Augment, seed: int) -> keras.Sequential:
    """A model of its own, images in and images out, (n, height, width, 3) in 0..255; the trained network lacks it.

    Changes happen only when it is called with `training=True`.
    """
    flips = {(True, True): "horizontal_and_vertical", (True, False): "horizontal", (False, True): "vertical"}
    chosen: list[keras.Layer] = []
    if flip := flips.get((augment.horizontal_flip, augment.vertical_flip)):
        chosen.append(layers.RandomFlip(flip, seed=seed))
    if augment.rotation:
        chosen.append(layers.RandomRotation(augment.rotation, fill_mode="reflect", seed=seed + 1))
    if augment.zoom:
        chosen.append(layers.RandomZoom(augment.zoom, fill_mode="reflect", seed=seed + 2))
    if augment.brightness:
        chosen.append(layers.RandomBrightness(augment.brightness, value_range=(0, 255), seed=seed + 3))
    if augment.contrast:
        chosen.append(layers.RandomContrast(augment.contrast, value_range=(0, 255), seed=seed + 4))
    return keras.Sequential(chosen or [layers.Identity()], name="augmentation")
