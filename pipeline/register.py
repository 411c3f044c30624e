"""Puts the current model before the gate and into the registry. Retrains nothing; safe to repeat after a kill.

A model becomes a version whether it passes or not, so that people see it, and why, in the MLflow UI; only one that
passed gets an alias. A decision is settled: it is made again only for a refused model whose limits have changed.
"""

import dataclasses
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from filelock import FileLock

from pipeline.core.command import run
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.paths import EVALUATION, MODEL, PREPARED, RAW, REGISTRATION, TRAINING_METRICS
from pipeline.data.prepared import read_dataset, read_split
from pipeline.evaluation.metrics import as_text
from pipeline.model.contract import Contract, read_contract
from pipeline.model.engine import load_engine
from pipeline.model.export import largest_difference
from pipeline.params.file import Params, load_params
from pipeline.params.model import Gate
from pipeline.registry import champions, versions
from pipeline.registry.gate import GATE_TAG, Contest, Decision, Incomparable, decide, from_tags, to_markdown, to_tags
from pipeline.registry.packaging import log_model
from pipeline.registry.rematch import HeldOut, contest
from pipeline.registry.store import CONTRACT_TAG, LOCAL_STORE, connected, lineage_tags, log_training, use_experiment
from pipeline.registry.training_images import TRAINING_IMAGES
from pipeline.registry.versions import Registered
from pipeline.storage.files import read_json, write_json

if TYPE_CHECKING:
    from mlflow import MlflowClient

COMPARED_IMAGES = 64  # validation images on which the exported network must answer as Keras does
LONGEST_DESCRIPTION = 5000  # characters, of MLflow's database
LIMITS_TAG = "nightshift.gate_limits"  # on a version: the limits under which its decision was made
HEADLINES = ("accuracy", "balanced_accuracy")  # as tags `nightshift.<name>` on a version, with their intervals
LOCK = LOCAL_STORE.with_name(f"{LOCAL_STORE.name}.lock")  # one registration at a time from this folder


class Refused(NightshiftError):  # noqa: N818 - a decision, not a fault
    """The model missed the gate; says where."""

    def __init__(self, registration: "Registration") -> None:
        """Keeps the whole registration for who shows it."""
        model = registration.model
        super().__init__(
            "\n  ".join(
                [
                    f"The gate refused {model.name} version {model.version}:",
                    *registration.decision.reasons,
                    f"It is in MLflow (run {model.run_id}) and gets no alias. "
                    f"`nightshift promote {model.version} --force` puts it in production all the same.",
                ]
            )
        )
        self.registration = registration


@dataclass(frozen=True, slots=True)
class Registration:
    """A version and what the gate said of it."""

    model: Registered
    decision: Decision

    def require_passed(self) -> Registered:
        """The version. Raises Refused when the gate refused it."""
        if not self.decision.passed:
            raise Refused(self)
        return self.model


def register_current(params: Params, flow_run: str = "") -> Registration:
    """Put the current model before the gate and into the registry; it gets its aliases when it passes.

    A model that is registered already is not registered twice. Raises TrackingError when the store does not answer.
    """
    contract, evaluation = read_contract(MODEL), read_json(EVALUATION)
    name, gate = params.register_.model_name, params.register_.gate
    with FileLock(LOCK), connected() as client:
        champions.reconcile(client, name)
        model = versions.by_contract(client, name, contract.hash)
        decision = _settled(model, gate)
        judged = model is None or decision is None
        if model and decision:
            log.info("This model is registered already, as version %d.", model.version)
        else:
            model, decision = _judge(client, params, contract, evaluation, model, flow_run)
        if judged or not model.description:  # else it may have a person's words
            client.update_model_version(name, str(model.version), _description(contract, evaluation, decision))
        if decision.passed:
            by_itself = params.register_.promote == "auto" and not decision.needs_a_person
            champions.challenge(client, name, model.version, promote_it=by_itself)
        model = versions.by_number(client, name, model.version)
    write_json(
        REGISTRATION,
        {
            "name": name,
            "version": model.version,
            "run_id": model.run_id,
            "gate": decision.verdict,
            **dataclasses.asdict(decision),
        },
    )
    return Registration(model, decision)


def _settled(model: Registered | None, gate: Gate) -> Decision | None:
    """The decision that stands, if one does."""
    decision = from_tags(model.tags) if model else None
    if model and decision and not decision.passed and model.tags.get(LIMITS_TAG) != _limits(gate):
        log.info("Version %d was refused under other limits, and is judged again.", model.version)
        return None
    return decision


def _judge(
    client: "MlflowClient", params: Params, contract: Contract, evaluation: dict[str, Any], model: Registered | None,
    flow_run: str,
) -> tuple[Registered, Decision]:  # fmt: skip
    """A new decision, on its version: the one there is, or a new one."""
    name, gate = params.register_.model_name, params.register_.gate
    difference = largest_difference(MODEL, read_split(PREPARED, "val").images[:COMPARED_IMAGES])
    champion = _champion(client, params, model)
    decision = decide(evaluation, difference, champion, gate, params.evaluate.interval_level)
    tags = {**to_tags(decision), **_headline_tags(evaluation), LIMITS_TAG: _limits(gate)}
    if model:
        _replace_decision(client, model, tags)
        return model, decision
    run_id, address = _log_run(client, params, contract, evaluation, difference, flow_run)
    _tag_run(client, run_id, to_tags(decision))
    return versions.create(client, name, address, contract.hash, tags), decision


def _limits(gate: Gate) -> str:
    return json.dumps(gate.model_dump())


def _champion(client: "MlflowClient", params: Params, model: Registered | None) -> Contest | Incomparable | None:
    """The champion, asked about today's test images; None where there is no other version in production."""
    champion = versions.by_alias(client, params.register_.model_name, champions.CHAMPION)
    if champion is None or (model and model.version == champion.version):
        return None
    log.info("Asking version %d (@champion) about the same test images.", champion.version)
    with tempfile.TemporaryDirectory() as folder:
        files = versions.fetch_model(champion, Path(folder))
        recorded = files.with_name(TRAINING_IMAGES)
        taught = pd.read_parquet(recorded) if recorded.is_file() else None
        images = HeldOut(read_split(PREPARED, "test"), read_dataset(PREPARED).images, RAW)
        return contest(load_engine(MODEL, params.compute), champion.version, files, taught, images, params)


def _log_run(
    client: "MlflowClient", params: Params, contract: Contract, evaluation: dict[str, Any], difference: float,
    flow_run: str,
) -> tuple[str, str]:  # fmt: skip
    """One MLflow run of the whole training, with the model; its id, and the model's address.

    A run of this contract that ended before its model was a version is gone on with.
    """
    import mlflow

    experiment = use_experiment(client, params.register_.model_name)
    begun = client.search_runs([experiment], f"tags.`{CONTRACT_TAG}` = '{contract.hash}'", max_results=1)
    for found in begun:
        if address := _logged_model(client, found):
            return str(found.info.run_id), address
    with mlflow.start_run(
        run_id=str(begun[0].info.run_id) if begun else None,
        experiment_id=experiment,
        run_name=f"{contract.backbone} {contract.hash[:8]}",
        tags=lineage_tags(contract, flow_run),
    ) as active:
        log_training(params, evaluation, read_json(TRAINING_METRICS))
        mlflow.log_metric("export_difference", difference)
        return str(active.info.run_id), log_model(MODEL, contract, PREPARED)


def _logged_model(client: "MlflowClient", found: Any) -> str:
    """The address of a run's model, whole in the store; empty when it has none."""
    for output in found.outputs.model_outputs if found.outputs else []:
        if client.get_logged_model(output.model_id).status == "READY":
            return f"models:/{output.model_id}"
    return ""


def _tag_run(client: "MlflowClient", run_id: str, tags: dict[str, str]) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def _replace_decision(client: "MlflowClient", model: Registered, tags: dict[str, str]) -> None:
    """The new decision's tags in place of the old one's; the limits last, so that a kill leaves it to be made again."""
    for key in [key for key in model.tags if key.startswith(GATE_TAG) and key not in tags]:
        client.delete_model_version_tag(model.name, str(model.version), key)
    for key, value in sorted(tags.items(), key=lambda tag: tag[0] == LIMITS_TAG):
        client.set_model_version_tag(model.name, str(model.version), key, value)
    if model.run_id:
        _tag_run(client, model.run_id, tags)


def _headline_tags(evaluation: dict[str, Any]) -> dict[str, str]:
    return {f"nightshift.{name}": as_text(evaluation[name]) for name in HEADLINES}


def _description(contract: Contract, evaluation: dict[str, Any], decision: Decision) -> str:
    """What MLflow shows of a version: what it is, how good it is, what the gate said."""
    classes = f"{len(contract.class_names)} classes: {', '.join(contract.class_names[:10])}"
    words = (
        f"{contract.backbone}, {classes}. Test accuracy {as_text(evaluation['accuracy'])}, "
        f"balanced {as_text(evaluation['balanced_accuracy'])}, on {evaluation['images']} images.\n\n"
        f"{to_markdown(decision)}"
    )
    return words[:LONGEST_DESCRIPTION]


def main() -> None:
    """`python -m pipeline.register`."""
    registration = register_current(load_params())
    model, decision = registration.model, registration.decision
    for check in decision.checks:
        log.info("%s %s", "passed " if check.passed else "REFUSED", check.words)
    log.info("Compared with: %s", decision.against)
    registration.require_passed()
    log.info("%s version %d (%s)", model.name, model.version, ", ".join(model.aliases) or "no alias")


if __name__ == "__main__":
    sys.exit(run(main))
