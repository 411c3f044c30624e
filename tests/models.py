"""Tiny real models, made without training: a linear classifier of an image's mean colour, as OpenVINO files."""

from pathlib import Path

import numpy as np
import openvino
from openvino import opset13 as ops

from pipeline.model.contract import NETWORK, OPENVINO, Contract, weights_sha256, write_contract
from pipeline.params.data import Images


def write_colour_model(
    folder: Path, rules: Images, class_names: tuple[str, ...], weights: list[list[float]], bias: list[float]
) -> Path:
    """A model whose logits are mean colour (0..1) times `weights` (3, classes) plus `bias` (classes,)."""
    pixels = ops.parameter([-1, rules.height, rules.width, 3], np.float32)
    mean = ops.divide(ops.reduce_mean(pixels, [1, 2], keep_dims=False), np.float32(255))
    logits = ops.add(ops.matmul(mean, np.array(weights, np.float32), False, False), np.array(bias, np.float32))
    (folder / OPENVINO).mkdir(parents=True)
    openvino.save_model(openvino.Model([logits], [pixels]), folder / OPENVINO / NETWORK, compress_to_fp16=False)
    write_contract(
        folder,
        Contract(
            class_names=class_names, images=rules, backbone="mean colour", temperature=1.0, unsure_below=0.5,
            dataset_sha256="0" * 64, weights_sha256=weights_sha256(folder), code_commit="",
        ),
    )  # fmt: skip
    return folder
