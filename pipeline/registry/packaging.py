"""A model as MLflow stores and serves it: code, requirements, signature, an example. Chooses and decides nothing."""

import contextlib
import io
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from PIL import Image

from pipeline.core.code import ROOT, file_of, modules_behind
from pipeline.core.paths import PREPARED
from pipeline.model.contract import Contract
from pipeline.registry.sending import files_below, send
from pipeline.registry.training_images import TRAINING_IMAGES, image_table, write_image_table

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

SERVING = "pipeline.registry.serving"
SERVED_PACKAGES = (
    "defusedxml",
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "openvino",
    "pandas",
    "pillow",
    "pydantic",
    "pyyaml",
)
# Optional format readers: a served model needs those installed at registration.
SERVED_IF_INSTALLED = ("imagecodecs", "pillow-heif", "pydicom", "tifffile")


@contextlib.contextmanager
def new_model(client: "MlflowClient", run_id: str, name: str, params: Mapping[str, Any]) -> Iterator[str]:
    """The id of a new model of the active run, which counts as complete once the block has ended without an error.

    Numbers that the block logs belong to run and model. MLflow's `log_model` would copy them from the run instead, for
    which it asks the server for the history of each of them.
    """
    import mlflow
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    named = {name: str(value) for name, value in params.items()}
    allowed = re.sub(r"[/:.%\"']", "-", name)  # MLflow's rule
    model_id = str(mlflow.initialize_logged_model(allowed, source_run_id=run_id, params=named).model_id)
    client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    try:
        yield model_id
    except Exception:  # whatever failed is raised again; a kill leaves the model unfinished, as it is
        client.finalize_logged_model(model_id, LoggedModelStatus.FAILED)
        raise
    client.finalize_logged_model(model_id, LoggedModelStatus.READY)


def log_model(client: "MlflowClient", run_id: str, model_id: str, model: Path, contract: Contract) -> None:
    """Put the model in folder `model` into the store, with the hashes of its images."""
    import mlflow

    with tempfile.TemporaryDirectory() as room:
        images, saved = Path(room) / TRAINING_IMAGES, Path(room) / "model"
        write_image_table(image_table(PREPARED), images)
        mlflow.pyfunc.save_model(
            saved,
            mlflow_model=mlflow.models.Model(run_id=run_id, model_id=model_id, model_uuid=model_id),
            python_model=str(file_of(SERVING)),
            artifacts={"model": str(model), "training_images": str(images)},
            code_paths=[str(_code(Path(room)))],
            pip_requirements=list(_requirements()),
            signature=_signature(),
            input_example=_example(contract),
        )
        send(partial(client.log_model_artifact, model_id), files_below(saved))


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
