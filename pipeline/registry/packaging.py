"""A model as MLflow stores and serves it: code, requirements, signature, an example. Chooses and decides nothing."""

import contextlib
import io
import shutil
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from PIL import Image

from pipeline.core.code import ROOT, file_of, modules_behind
from pipeline.model.contract import Contract
from pipeline.registry.training_images import TRAINING_IMAGES, image_table, write_image_table

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

SERVING = "pipeline.registry.serving"
SERVED_PACKAGES = ("mlflow", "numpy", "opencv-python-headless", "openvino", "pandas", "pillow", "pydantic", "pyyaml")
# Optional format readers: a served model needs those installed at registration.
SERVED_IF_INSTALLED = ("imagecodecs", "pillow-heif", "pydicom", "tifffile")


def log_model(model: Path, contract: Contract, prepared: Path) -> str:
    """Put the model in folder `model` into the active run, with the hashes of its images; returns its address."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / TRAINING_IMAGES
        write_image_table(image_table(prepared), images)
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(file_of(SERVING)),
            artifacts={"model": str(model), "training_images": str(images)},
            code_paths=[str(_code(Path(folder)))],
            pip_requirements=list(_requirements()),
            signature=_signature(),
            input_example=_example(contract),
        )
    return str(info.model_uri)


def _code(folder: Path) -> Path:
    """Copy the modules that serving needs into `folder`: MLflow moves each file in a request of its own."""
    for file in map(file_of, modules_behind(SERVING, plumbing=True)):
        for source in (file, file.with_name("__init__.py"), ROOT / "pipeline/__init__.py"):
            copy = folder / source.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    return folder / "pipeline"


def _requirements() -> Iterator[str]:
    """The packages that the served model needs, in the installed versions."""
    for package in SERVED_PACKAGES:
        yield f"{package}=={metadata.version(package)}"
    for package in SERVED_IF_INSTALLED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield f"{package}=={metadata.version(package)}"


def _signature() -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec
    from mlflow.types.schema import Array, Map

    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.string, "label"), ColSpec(DataType.double, "confidence"), ColSpec(DataType.boolean, "unsure"),
        ColSpec(Map(DataType.double), "probabilities"), ColSpec(DataType.string, "error"),
        ColSpec(Array(DataType.string), "candidates"),
        ColSpec(DataType.string, "flags"), ColSpec(DataType.double, "outlier_score"),
    ]  # fmt: skip
    return ModelSignature(inputs=Schema([ColSpec(DataType.binary, "image")]), outputs=Schema(outputs))


def _example(contract: Contract) -> pd.DataFrame:
    """An example request: one grey image."""
    encoded = io.BytesIO()
    Image.new("RGB", (contract.images.width, contract.images.height), "grey").save(encoded, "PNG")
    return pd.DataFrame({"image": [encoded.getvalue()]})
