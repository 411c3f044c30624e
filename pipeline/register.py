"""The gate, the MLflow version, its aliases, the way back. Retrains nothing; safe to repeat.

`@challenger` is the newest version that passed the gate, `@champion` the one the night uses, `@previous` the
champion before it.
"""

import contextlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from PIL import Image

import pipeline
from pipeline.contract import Contract, read_contract
from pipeline.errors import NightshiftError
from pipeline.export import largest_difference
from pipeline.files import read_json, write_json
from pipeline.metrics import as_text
from pipeline.params import Params, load_params
from pipeline.params_model import Gate
from pipeline.paths import EVALUATION, MODEL, PREPARED, REGISTRATION, TRAINING_METRICS
from pipeline.prepared import read_split
from pipeline.stage import log, run
from pipeline.tracking import (
    CONTRACT_TAG,
    GATE_TAG,
    connected,
    lineage_tags,
    log_training,
    unjudged_run,
    use_experiment,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
COMPARED_IMAGES = 64  # validation images on which the exported network must answer as Keras does
SERVED_PACKAGES = ("mlflow", "numpy", "openvino", "pandas", "pillow", "pydantic", "pyyaml")
# Readers of more formats, and what enhances: a served model has those that were there when it was registered.
SERVED_IF_INSTALLED = ("imagecodecs", "opencv-python-headless", "pillow-heif", "pydicom", "tifffile")


class Refused(NightshiftError):  # noqa: N818 - a decision, not a fault
    """The model missed the gate; says where."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A version in the registry."""

    name: str
    version: int
    run_id: str
    aliases: tuple[str, ...]
    contract_hash: str


def gate_failures(evaluation: dict[str, Any], difference: float, gate: Gate) -> Iterator[str]:
    """One line for each limit that the model misses."""
    limits = (
        ("accuracy", gate.min_accuracy, "min_accuracy"),
        ("balanced_accuracy", gate.min_balanced_accuracy, "min_balanced_accuracy"),
    )
    for metric, least, key in limits:
        value = evaluation[metric]["value"]
        if value < least:
            yield f"{metric} on the test images is {value:.3f}; register.gate.{key} asks for at least {least:g}"
    loss = evaluation["log_loss"]["value"]
    if loss > gate.max_log_loss:
        yield f"log_loss on the test images is {loss:.3f}; register.gate.max_log_loss allows {gate.max_log_loss:g}"
    if difference > gate.max_export_difference:
        yield (
            f"the exported network differs from Keras by {difference:.2g} in a class probability; "
            f"register.gate.max_export_difference allows {gate.max_export_difference:g}"
        )


def register_current(params: Params, flow_run: str = "") -> Registered:
    """Put the current model before the gate and, when it passes, into the registry with its aliases.

    A model that is registered already is not registered twice. Raises Refused; its run stays in MLflow for people to
    see. Raises TrackingError when the store does not answer.
    """
    contract, evaluation = read_contract(MODEL), read_json(EVALUATION)
    name = params.register_.model_name
    with connected() as client:
        version = _find(client, name, contract.hash)
        if version is None:
            difference = largest_difference(MODEL, read_split(PREPARED, "val").images[:COMPARED_IMAGES])
            refusals = list(gate_failures(evaluation, difference, params.register_.gate))
            run_id, address = _log_run(client, params, contract, evaluation, difference, refusals, flow_run)
            if refusals:
                raise Refused("\n  ".join(["The model is not registered:", *refusals, f"MLflow run: {run_id}"]))
            version = _create_version(client, name, address, contract, evaluation)
        else:
            log.info("This model is registered already, as version %d.", version)
        _set_aliases(client, name, version, params)
        registered = _by_number(client, name, version)
    write_json(REGISTRATION, {"name": name, "version": registered.version, "run_id": registered.run_id})
    return registered


def _log_run(
    client: "MlflowClient", params: Params, contract: Contract, evaluation: dict[str, Any], difference: float,
    refusals: list[str], flow_run: str,
) -> tuple[str, str]:  # fmt: skip
    """The MLflow run of the training, or a new one, with the model; its id, and the address of the model."""
    import mlflow

    experiment = use_experiment(client, params.register_.model_name)
    with mlflow.start_run(
        unjudged_run(client, experiment, contract.hash),
        experiment_id=experiment,
        run_name=f"{contract.backbone} {contract.hash[:8]}",
        tags={**lineage_tags(contract, flow_run), GATE_TAG: "; ".join(refusals) or "passed"},
    ) as active:
        log_training(params, evaluation, read_json(TRAINING_METRICS))
        mlflow.log_metric("export_difference", difference)
        source = Path(pipeline.__file__).parent
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(source / "serving.py"),
            artifacts={"model": str(MODEL)},
            code_paths=[str(source)],
            pip_requirements=list(_requirements()),
            signature=_signature(),
            input_example=_example(contract),
        )
    return str(active.info.run_id), str(info.model_uri)


def _requirements() -> Iterator[str]:
    """The packages that the served model needs, as they are here."""
    for package in SERVED_PACKAGES:
        yield f"{package}=={metadata.version(package)}"
    for package in SERVED_IF_INSTALLED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield f"{package}=={metadata.version(package)}"


def _create_version(
    client: "MlflowClient", name: str, address: str, contract: Contract, evaluation: dict[str, Any]
) -> int:
    """A version that carries its contract's hash from its first moment: a killed registration can be repeated."""
    import mlflow

    created = mlflow.register_model(address, name, tags={CONTRACT_TAG: contract.hash})
    classes = f"{len(contract.class_names)} classes: {', '.join(contract.class_names[:10])}"
    client.update_model_version(
        name, created.version,
        f"{contract.backbone}, {classes}. Test accuracy {as_text(evaluation['accuracy'])}, "
        f"balanced {as_text(evaluation['balanced_accuracy'])}, on {evaluation['images']} images.",
    )  # fmt: skip
    return int(created.version)


def _signature() -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec
    from mlflow.types.schema import Map

    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.string, "label"), ColSpec(DataType.double, "confidence"), ColSpec(DataType.boolean, "unsure"),
        ColSpec(Map(DataType.double), "probabilities"), ColSpec(DataType.string, "error"),
    ]  # fmt: skip
    return ModelSignature(inputs=Schema([ColSpec(DataType.binary, "image")]), outputs=Schema(outputs))


def _example(contract: Contract) -> pd.DataFrame:
    """A request that the model answers: one grey image."""
    encoded = io.BytesIO()
    Image.new("RGB", (contract.images.width, contract.images.height), "grey").save(encoded, "PNG")
    return pd.DataFrame({"image": [encoded.getvalue()]})


def _set_aliases(client: "MlflowClient", name: str, version: int, params: Params) -> None:
    """The newest version is the challenger; the very first one, or every one under `promote: auto`, champion too.

    Repeating the registration of an older version moves nothing.
    """
    challenger = _by_alias(client, name, CHALLENGER)
    if challenger and challenger.version > version:
        return
    client.set_registered_model_alias(name, CHALLENGER, str(version))
    new = challenger is None or challenger.version < version
    if (new and params.register_.promote == "auto") or _by_alias(client, name, CHAMPION) is None:
        _crown(client, name, version)


def _crown(client: "MlflowClient", name: str, version: int) -> None:
    before = _by_alias(client, name, CHAMPION)
    if before and before.version != version:
        client.set_registered_model_alias(name, PREVIOUS, str(before.version))
    client.set_registered_model_alias(name, CHAMPION, str(version))


def promote(name: str, version: int | None = None) -> Registered:
    """Make `version` the champion, or the challenger when none is given. Raises NightshiftError when there is none."""
    with connected() as client:
        known = {int(found.version) for found in client.search_model_versions(f"name='{name}'")}
        if version is None and (challenger := _by_alias(client, name, CHALLENGER)):
            version = challenger.version
        if version not in known:
            what = "no @challenger" if version is None else f"no version {version}"
            raise NightshiftError(f"{name} has {what} in MLflow. `nightshift status` lists the versions there are.")
        _crown(client, name, version)
        return _by_number(client, name, version)


def rollback(name: str) -> Registered:
    """Swap the champion with the one before it. Raises NightshiftError when there is none."""
    with connected() as client:
        before = _by_alias(client, name, PREVIOUS)
        if before is None:
            raise NightshiftError(
                f"{name} has no @previous in MLflow: no other version was champion before. "
                "Name one with `nightshift promote VERSION`."
            )
        _crown(client, name, before.version)
        return _by_number(client, name, before.version)


def champion(name: str) -> Registered:
    """The version the night uses. Raises NightshiftError when there is none."""
    with connected() as client:
        found = _by_alias(client, name, CHAMPION)
        if found is None:
            raise NightshiftError(
                f"No version of {name} is @champion in MLflow. Run `nightshift train`, then `nightshift promote`."
            )
        return found


def versions(name: str) -> list[tuple[Registered, str]]:
    """All versions with their descriptions, the newest first."""
    with connected() as client:
        found = client.search_model_versions(f"name='{name}'")
        numbers = sorted((int(version.version) for version in found), reverse=True)
        words = {int(version.version): version.description or "" for version in found}
        return [(_by_number(client, name, number), words[number]) for number in numbers]


def fetch_model(model: Registered, folder: Path) -> Path:
    """Copy a version's files into `folder`; returns the folder that `load_engine` takes."""
    import mlflow

    with connected():
        folder.mkdir(parents=True, exist_ok=True)
        copy = mlflow.artifacts.download_artifacts(f"models:/{model.name}/{model.version}", dst_path=str(folder))
    return Path(copy) / "artifacts" / MODEL.name


def _find(client: "MlflowClient", name: str, contract_hash: str) -> int | None:
    """The version that carries this contract."""
    found = client.search_model_versions(f"name='{name}' and tags.`{CONTRACT_TAG}`='{contract_hash}'")
    return int(found[0].version) if found else None


def _by_alias(client: "MlflowClient", name: str, alias: str) -> Registered | None:
    from mlflow import MlflowException

    try:
        return _registered(client.get_model_version_by_alias(name, alias))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):  # no such model; no such alias
            return None
        raise


def _by_number(client: "MlflowClient", name: str, version: int) -> Registered:
    return _registered(client.get_model_version(name, str(version)))


def _registered(found: "ModelVersion") -> Registered:
    aliases = tuple(sorted(found.aliases))
    return Registered(found.name, int(found.version), found.run_id or "", aliases, found.tags.get(CONTRACT_TAG, ""))


def main() -> None:
    """`python -m pipeline.register`."""
    registered = register_current(load_params())
    log.info("%s version %d (%s)", registered.name, registered.version, ", ".join(registered.aliases) or "no alias")


if __name__ == "__main__":
    sys.exit(run(main))
