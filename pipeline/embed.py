"""Features of the frozen backbone, computed once. Fits nothing.

`data/features/<split>.npy` is float32 (n, d), row i for image i of the split; the folder is empty for models that
are trained from scratch.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.contract import NETWORK
from pipeline.device import prepare_device
from pipeline.engine import Network, openvino_network
from pipeline.export import export_openvino
from pipeline.files import replacing
from pipeline.params import Params, load_params
from pipeline.paths import FEATURES, PREPARED
from pipeline.prepared import SPLITS, read_split
from pipeline.stage import log, run

BATCH_SIZE = 32  # the features do not depend on it


def frozen_network(params: Params) -> Network:
    """The backbone with its pretrained weights, on the engine that is fastest here: images in, features out."""
    from pipeline.backbones import build_backbone

    prepare_device(params.compute, params.seed)
    backbone = build_backbone(params.model, params.images)
    with tempfile.TemporaryDirectory() as folder:
        export_openvino(backbone, Path(folder))
        return openvino_network(Path(folder) / NETWORK)


def main() -> None:
    """The stage."""
    params = load_params()
    with replacing(FEATURES) as beside:
        beside.mkdir()
        if not params.model.is_pretrained:
            log.info("%s is trained from scratch: there are no frozen features.", params.model.backbone)
            return
        network = frozen_network(params)
        splits = {name: read_split(PREPARED, name).images for name in SPLITS}
        with tqdm(desc="embed", total=sum(map(len, splits.values())), unit="image") as progress:
            for name, images in splits.items():
                parts = []
                for start in range(0, len(images), BATCH_SIZE):
                    parts.append(network(images[start : start + BATCH_SIZE]))
                    progress.update(len(parts[-1]))
                np.save(beside / f"{name}.npy", np.concatenate(parts))


if __name__ == "__main__":
    sys.exit(run(main))
