"""The stage: computes the frozen backbone's features once, of all images and of augmented views of the training images.

Fits nothing. For models that are trained from scratch the folder of features stays empty; `pipeline.data.features`
defines the format.
"""

import sys

import numpy as np

from pipeline.backbones.weights import is_pretrained
from pipeline.core.command import run
from pipeline.core.log import log
from pipeline.core.paths import FEATURES, PREPARED
from pipeline.core.terminal import progress_bar
from pipeline.data.features import write_features, write_views
from pipeline.data.prepared import SPLITS, read_split
from pipeline.model.frozen import View, embed, frozen_network
from pipeline.params.file import load_params
from pipeline.params.model import Augment
from pipeline.storage.files import replacing


def view(augment: Augment, seed: int, number: int) -> View:
    """The change that makes view `number`; it does not depend on how many views there are."""
    import tensorflow as tf

    from pipeline.training.augment import augmentation

    layers = augmentation(augment, int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator] # one trace for whole batches and the last
    def change(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.round(layers(tf.cast(images, tf.float32), training=True)), tf.uint8)

    return lambda images: np.asarray(change(images))


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
        with progress_bar(desc="embed", total=total, unit="image") as progress:
            for name, images in splits.items():
                write_features(beside, name, len(images), embed(network, images, progress.update))
            if views:
                parts = (part for change in views for part in embed(network, train, progress.update, change))
                write_views(beside, len(views), len(train), parts)


if __name__ == "__main__":
    sys.exit(run(main))
