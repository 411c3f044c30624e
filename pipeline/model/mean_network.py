"""One network that answers with the mean of several networks, or of an image and its mirror image. Trains nothing.

The last layer is linear. So the mean of several networks' logits is one last layer over their embeddings side by side,
and the mean over an image and its mirror image is the last layer over the mean of both embeddings: what runs the
network sees images, an embedding, a dense layer and logits, as in any other.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

MEMBER = "network_"  # begins the names of the networks inside


def mean_network(networks: Sequence["keras.Model"], flips: bool) -> "keras.Model":
    """The mean of the logits of `networks`; `flips`: of both an image and its mirror image, left and right swapped.

    Each network ends in dropout and a dense layer. Call it in the scope that they were built in.
    """
    import keras

    first = networks[0]
    images = keras.Input(first.input.shape[1:], name=first.input.name)
    pixels = keras.ops.concatenate([images, keras.ops.flip(images, axis=2)]) if flips else images
    # Not the dense layer's `input`, which is where it was used first: on the features of the frozen backbone.
    inner = [
        keras.Model(network.input, network.layers[-2].output, name=f"{MEMBER}{number}")
        for number, network in enumerate(networks, 1)
    ]
    found = [network(pixels) for network in inner]
    embedding = keras.ops.concatenate(found, axis=1) if len(found) > 1 else found[0]
    if flips:
        embedding = keras.ops.mean(keras.ops.reshape(embedding, (2, -1, embedding.shape[1])), axis=0)
    layer = keras.layers.Dense.from_config(first.layers[-1].get_config())
    model = keras.Model(images, layer(embedding), name=first.name)
    kernels, biases = zip(*(network.layers[-1].get_weights() for network in networks), strict=True)
    layer.set_weights([np.concatenate(kernels) / np.float32(len(networks)), np.mean(biases, axis=0)])
    return model


def members(network: "keras.Model") -> list["keras.Model"]:
    """The networks inside a mean network; any other is its only one.

    With flips each sees an image and its mirror image as a batch of two.
    """
    return [layer for layer in network.layers if layer.name.startswith(MEMBER)] or [network]
