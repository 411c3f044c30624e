"""Run a frozen backbone over images, on the engine that is fastest here. Fits nothing, opens no file of the project."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.model.contract import NETWORK
from pipeline.model.device import prepare_device
from pipeline.model.engine import Network, openvino_network
from pipeline.model.export import export_openvino
from pipeline.params.file import Params

BATCH_SIZE = 32  # plain features do not depend on it; the draws of augmented views do

View = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]  # images (n, height, width, 3) -> changed ones


def frozen_network(params: Params) -> Network:
    """The backbone with its pretrained weights, on the engine that is fastest here: images in, features out."""
    with tempfile.TemporaryDirectory() as folder:
        return openvino_network(export_frozen(params, Path(folder)), params.compute.threads)


def export_frozen(params: Params, folder: Path) -> Path:
    """Write the backbone with its pretrained weights as OpenVINO files into `folder`; returns the network's file.

    Raises NightshiftError when the weights cannot be loaded.
    """
    from pipeline.backbones.build import build_backbone

    prepare_device(params.compute.alone, params.seed)
    export_openvino(build_backbone(params.model, params.images), folder)
    return folder / NETWORK


def embed(
    network: Network, images: NDArray[np.uint8], advance: Callable[[int], object], change: View | None = None
) -> Iterator[NDArray[np.float32]]:
    """The features of `images` (n, height, width, 3), changed or as they are, batch by batch: (k, d) each.

    `advance` gets the number of images that are done.
    """
    for start in range(0, len(images), BATCH_SIZE):
        batch = images[start : start + BATCH_SIZE]
        features = network(batch if change is None else change(batch))
        advance(len(features))
        yield features
