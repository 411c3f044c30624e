"""The stage: computes the frozen backbone's features once, of all images and of augmented views of the training images.

Fits nothing. For models that are trained from scratch the folder of features stays empty; `pipeline.data.features`
defines the format.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.backbones.weights import is_pretrained
from pipeline.core.command import run
from pipeline.core.log import log
from pipeline.core.paths import FEATURES, PREPARED
from pipeline.data.features import Features, write_features, write_views
from pipeline.data.prepared import SPLITS, read_split
from pipeline.model.contract import NETWORK
from pipeline.model.device import prepare_device
from pipeline.model.engine import Network, openvino_network
from pipeline.model.export import export_openvino
from pipeline.params.file import Params, load_params
from pipeline.params.model import Augment
from pipeline.storage.files import replacing

BATCH_SIZE = 32  # plain features do not depend on it; the draws of augmented views do

View = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]  # images (n, height, width, 3) -> changed ones


def frozen_network(params: Params) -> Network:
    """The backbone with its pretrained weights, on the engine that is fastest here: images in, features out."""
    from pipeline.backbones.build import build_backbone

    prepare_device(params.compute.alone, params.seed)
    backbone = build_backbone(params.model, params.images)
    with tempfile.TemporaryDirectory() as folder:
        export_openvino(backbone, Path(folder))
        return openvino_network(Path(folder) / NETWORK, params.compute.threads)


def view(augment: Augment, seed: int, number: int) -> View:
    """The change that makes view `number`; it does not depend on how many views there are."""
    import tensorflow as tf

    from pipeline.training.augment import augmentation

    layers = augmentation(augment, int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator] # one trace for whole batches and the last
    def change(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.round(layers(tf.cast(images, tf.float32), training=True)), tf.uint8)

    return lambda images: np.asarray(change(images))


def embed(
    network: Network, images: NDArray[np.uint8], advance: Callable[[int], object], change: View | None = None
) -> Iterator[Features]:
    """The features of `images` (n, height, width, 3), changed or as they are, batch by batch: (k, d) each.

    `advance` gets the number of images that are done.
    """
    for start in range(0, len(images), BATCH_SIZE):
        batch = images[start : start + BATCH_SIZE]
        features = network(batch if change is None else change(batch))
        advance(len(features))
        yield features


def main() -> None:
    """Write the features of every split, and of the augmented views."""
    params = load_params()
    with replacing(FEATURES) as beside:
        beside.mkdir()
        if not is_pretrained(params.model):
            log.info("%s is trained from scratch: there are no frozen features to compute.", params.model.backbone)
            return
        from pipeline.training.augment import changes_images

        network = frozen_network(params)
        splits = {name: read_split(PREPARED, name).images for name in SPLITS}
        train = splits["train"]
        views = [view(params.augment, params.seed, number) for number in range(params.embed.views)]
        if views and not changes_images(params.augment):
            log.warning("Nothing in `augment` changes an image: there are no augmented views to embed.")
            views = []
        total = sum(map(len, splits.values())) + len(views) * len(train)
        with tqdm(desc="embed", total=total, unit="image") as progress:
            for name, images in splits.items():
                write_features(beside, name, len(images), embed(network, images, progress.update))
            if views:
                parts = (part for change in views for part in embed(network, train, progress.update, change))
                write_views(beside, len(views), len(train), parts)


if __name__ == "__main__":
    sys.exit(run(main))
