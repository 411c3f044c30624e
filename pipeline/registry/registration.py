"""Puts a model before the gate and into the registry. Trains nothing; safe to repeat after a kill.

A model becomes a version whether it passes or not, so that people see it, and why, in the MLflow UI; only one that
passed gets an alias. A decision stays: only a refused model is judged again, and only after its limits have changed.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from pipeline.core.log import log
from pipeline.core.paths import PREPARED, RAW
from pipeline.core.text import counted
from pipeline.data.prepared import read_dataset, read_split
from pipeline.evaluation.headlines import in_percent
from pipeline.evaluation.results import Evaluation, TrainingResult
from pipeline.model.contract import Contract
from pipeline.model.engine import load_engine
from pipeline.model.export import COMPARED_IMAGES, largest_difference
from pipeline.params.file import Params
from pipeline.params.gate import Gate
from pipeline.registry import champions, versions
from pipeline.registry.decision import (
    DECISION_TAG,
    GATE_TAG,
    Decision,
    earlier_tags,
    from_tags,
    limits_changed,
    to_markdown,
    to_tags,
)
from pipeline.registry.gate import Contest, Incomparable, decide
from pipeline.registry.packaging import log_model, new_model
from pipeline.registry.registration_result import Registration
from pipeline.registry.rematch import HeldOut, contest
from pipeline.registry.runs import (
    CONTRACT_TAG,
    DESCRIPTION_TAG,
    all_params,
    final,
    lineage_tags,
    log_training,
    on_test_images,
    tag_run,
)
from pipeline.registry.store import LOCAL_STORE, Store
from pipeline.registry.succession import CHAMPION
from pipeline.registry.training_images import test_images
from pipeline.registry.versions import Registered

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ABOUT = (  # MLflow shows it above the versions
    "An image classifier, trained by Nightshift: one version for each training, with what the gate said of it. The "
    "nights use the version with the alias @champion; @challenger is the newest one that passed the gate; `nightshift "
    "rollback` returns to @previous. To promote a version, open it, click the pencil beside its aliases and add "
    "`champion`, or run `nightshift promote`."
)
LONGEST_DESCRIPTION = 5000  # characters; a limit of MLflow's database
HEADLINES = ("accuracy", "balanced_accuracy")  # as tags `nightshift.<name>` on a version, with their intervals
LOCK = LOCAL_STORE.with_name(f"{LOCAL_STORE.name}.lock")  # one registration at a time from this folder


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained and evaluated model to register."""

    folder: Path
    contract: Contract
    evaluation: Evaluation
    training: TrainingResult
    flow_run: str = ""  # id of Prefect's flow run, if any


def register(candidate: Candidate, params: Params) -> Registration:
    """Put a model before the gate and into the registry; it gets its aliases when it passes.

    A model that is registered already is not registered twice. Raises TrackingError when the store does not answer.
    """
    with FileLock(LOCK), Store.of_project().connected() as client:
        return _Registrar(client, candidate, params).register()


@dataclass(frozen=True, slots=True)
class _Registrar:
    """One registration: the store, the model and the limits."""

    client: "MlflowClient"
    candidate: Candidate
    params: Params

    @property
    def name(self) -> str:
        return self.params.register_.model_name

    @property
    def gate(self) -> Gate:
        return self.params.register_.gate

    def register(self) -> Registration:
        client, name = self.client, self.name
        champions.reconcile(client, name)
        model = versions.by_contract(client, name, self.candidate.contract.hash)
        decision = self._settled(model)
        judged = model is None or decision is None
        if model and decision:
            log.info("This model is registered already, as version %d.", model.version)
        else:
            model, decision = self._judge(model)
        if model.model_id and not versions.has_files(model):
            log.warning("The files of version %d were gone from the MLflow store: they are put back.", model.version)
            log_model(client, model.run_id, model.model_id, self.candidate.folder, self.candidate.contract)
        if (whole := versions.registered_model(client, name)) and not whole.description:
            client.update_registered_model(name, ABOUT)
        if judged or not model.description:  # else a person may have edited it
            client.update_model_version(name, str(model.version), _description(self.candidate, decision))
        if decision.passed:
            by_itself = self.params.register_.promote == "auto" and not decision.needs_a_person
            champions.challenge(client, name, model.version, promote_it=by_itself)
        champion = versions.by_alias(client, name, CHAMPION)
        return Registration(
            versions.by_number(client, name, model.version), decision, champion.version if champion else None,
            _accuracy_in_words(self.candidate.evaluation),
        )  # fmt: skip

    def _settled(self, model: Registered | None) -> Decision | None:
        """The earlier decision, if it still holds."""
        decision = from_tags(model.tags) if model else None
        if model and decision and not decision.passed and limits_changed(model.tags, self.gate):
            log.info("The gate refused version %d under other limits and judges it again.", model.version)
            return None
        return decision

    def _judge(self, model: Registered | None) -> tuple[Registered, Decision]:
        """Make a new decision, and store it on the version: the existing one, or a new one."""
        candidate, difference = self.candidate, self._export_difference()
        champion, level = self._champion(model), self.params.evaluate.interval_level
        decision = decide(candidate.evaluation, difference, champion, self.gate, level)
        if certificate := candidate.contract.certificate:
            decision = replace(decision, certificate=certificate.words)
        tags = {**_headline_tags(candidate), **to_tags(decision, self.gate)}
        if model:
            self._replace_decision(model, decision, tags)
            return model, decision
        run_id, address = self._log_run(difference)
        tag_run(self.client, run_id, self._of_run(decision))
        return versions.create(self.client, self.name, address, candidate.contract.hash, tags), decision

    def _export_difference(self) -> float:
        """As the training measured it; it left that to us on a GPU, where TensorFlow could not use the CPU as well."""
        found = self.candidate.contract
        if found.export_difference is not None:
            return found.export_difference
        images = read_split(PREPARED, "val").images[:COMPARED_IMAGES]
        return largest_difference(self.candidate.folder, images, found.temperature)

    def _champion(self, model: Registered | None) -> Contest | Incomparable | None:
        """The champion on today's test images; None when no other version is in production."""
        champion = versions.by_alias(self.client, self.name, CHAMPION)
        if champion is None or (model and model.version == champion.version):
            return None
        log.info("Evaluating version %d (@champion) on the same test images.", champion.version)
        with tempfile.TemporaryDirectory() as folder:
            files = versions.fetch_model(champion, Path(folder))
            taught = versions.fetch_training_images(champion, Path(folder) / "images")
            images = HeldOut(read_split(PREPARED, "test"), read_dataset(PREPARED).images, RAW)
            engine = load_engine(self.candidate.folder, self.params.compute)
            return contest(engine, champion.version, files, taught, images, self.params)

    def _log_run(self, difference: float) -> tuple[str, str]:
        """Record the whole training in one MLflow run, with the model; returns its id, and the model's address.

        It continues a run of this contract that ended before its model became a version.
        """
        import mlflow

        client, candidate, contract = self.client, self.candidate, self.candidate.contract
        experiment = Store.of_project().experiment(client, self.name)
        begun = client.search_runs([experiment], f"tags.`{CONTRACT_TAG}` = '{contract.hash}'", max_results=1)
        for found in begun:
            if address := self._logged_model(found):
                return str(found.info.run_id), address
        with mlflow.start_run(
            run_id=str(begun[0].info.run_id) if begun else None,
            experiment_id=experiment,
            run_name=f"{contract.backbone} {contract.hash[:8]}",
            tags=lineage_tags(contract, candidate.flow_run),
        ) as active:
            run_id = str(active.info.run_id)
            numbers = {
                **on_test_images(candidate.evaluation),
                **final(candidate.training),
                "export_difference": difference,
            }
            known = all_params(self.params) | active.data.params
            with new_model(client, run_id, f"{contract.backbone} {contract.hash[:8]}", known) as model_id:
                log_training(client, active, model_id, self.params, numbers)
                log_model(client, run_id, model_id, candidate.folder, contract)
            return run_id, f"models:/{model_id}"

    def _logged_model(self, run: "Run") -> str:
        """The address of a run's model, if it is complete in the store; else empty."""
        for output in run.outputs.model_outputs if run.outputs else []:
            if self.client.get_logged_model(output.model_id).status == "READY":
                return f"models:/{output.model_id}"
        return ""

    def _of_run(self, decision: Decision) -> dict[str, str]:
        """The tags of the run: what the gate said, and the words that MLflow shows above it."""
        return {GATE_TAG: decision.verdict, DESCRIPTION_TAG: _description(self.candidate, decision)}

    def _replace_decision(self, model: Registered, decision: Decision, tags: dict[str, str]) -> None:
        """Replace the old decision's tags. The decision itself comes last, so that a killed replacement is repeated."""
        for key, value in sorted(tags.items(), key=lambda tag: tag[0] == DECISION_TAG):
            self.client.set_model_version_tag(model.name, str(model.version), key, value)
        for key in earlier_tags(model.tags):
            self.client.delete_model_version_tag(model.name, str(model.version), key)
        if model.run_id:
            tag_run(self.client, model.run_id, self._of_run(decision))


def _accuracy_in_words(evaluation: Evaluation) -> str:
    found = evaluation.of("accuracy")
    between = f" ({in_percent(found.ends[0])} to {in_percent(found.ends[1])})" if found.ends else ""
    return f"{in_percent(found.value)}{between} of {counted(evaluation.images, 'test image')}"


def _headline_tags(candidate: Candidate) -> dict[str, str]:
    numbers = {f"nightshift.{name}": str(candidate.evaluation.of(name)) for name in HEADLINES}
    return {**numbers, versions.TEST_IMAGES_TAG: test_images(PREPARED)}


def _description(candidate: Candidate, decision: Decision) -> str:
    """What MLflow shows of a version: what it is, how good it is, what the gate said."""
    contract, evaluation = candidate.contract, candidate.evaluation
    classes = f"{len(contract.class_names)} classes: {', '.join(contract.class_names[:10])}"
    words = (
        f"{contract.backbone}, {classes}. Test accuracy {evaluation.of('accuracy')}, "
        f"balanced {evaluation.of('balanced_accuracy')}, on {evaluation.images} images.\n\n"
        f"{to_markdown(decision)}"
    )
    return words[:LONGEST_DESCRIPTION]
