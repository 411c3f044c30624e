"""What docs/extending.md says of a new backbone: its steps, followed in a copy of the project, and nothing besides."""

import shutil
from pathlib import Path

import yaml

from tests.fixtures.project import REPOSITORY, run

MODULE = '''"""A network of one convolution."""

import keras
from keras import layers


def pocket(shape: tuple[int, int, int]) -> keras.Model:
    """A network for images of this shape, without weights of its own."""
    images = keras.Input(shape)
    scaled = layers.Rescaling(1 / 255)(images)
    return keras.Model(images, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(scaled)))
'''
USE = """
import numpy as np
from pipeline.backbones.build import build_backbone
from pipeline.params.file import load_params
params = load_params()
images = np.zeros((2, params.images.height, params.images.width, 3), np.float32)
print(params.model.backbone, build_backbone(params.model, params.images)(images).shape)
"""


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, f"{file.name}: {old}"
    file.write_text(text.replace(old, new))


def test_a_backbone_is_a_module_a_case_and_a_name(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pipeline/backbones/pocket.py").write_text(MODULE)
    build, params = tmp_path / "pipeline/backbones/build.py", tmp_path / "pipeline/params/model.py"
    edit(build, "from pipeline.core.errors", "from pipeline.backbones.pocket import pocket\nfrom pipeline.core.errors")
    edit(
        build,
        '        case "keras_hub":\n',
        '        case "pocket":\n            backbone = pocket(shape)\n        case "keras_hub":\n',
    )
    edit(params, "Backbone = Literal[\n", 'Backbone = Literal[\n    "pocket",\n')
    values = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    values["model"] = {"backbone": "pocket", "weights": "none"}
    values["images"] |= {"width": 32, "height": 32}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    assert run("python", "-c", USE, cwd=tmp_path, PYTHONPATH=str(tmp_path)).stdout.split() == ["pocket", "(2,", "4)"]
