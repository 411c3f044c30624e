"""Gate and registry on a real store: what a repeated, killed, doubled or refused registration leaves there."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.params.file import load_params
from pipeline.registry import champions, current, versions
from pipeline.registry.decision import GATE_TAG, LIMITS_TAG, from_tags
from pipeline.registry.store import Store, TrackingError
from tests.fixtures import forked
from tests.fixtures.project import change_contract, change_params, dvc, nightshift, stage
from tests.fixtures.registry import NAME, START, Killed, aliases, killed

REGISTER = (sys.executable, "-m", "pipeline.register")


def runs() -> list[dict[str, str]]:
    """The tags of every MLflow run."""
    with Store.of_project().connected() as client:
        experiment = client.get_experiment_by_name(NAME)
        assert experiment
        return [found.data.tags for found in client.search_runs([experiment.experiment_id])]


def test_the_first_model_is_champion_an_equal_one_challenger_and_a_worse_one_has_no_alias(
    registry_project: Path,
) -> None:
    assert aliases() == START
    third, second, first = champions.known_versions(NAME)
    assert [model.tags[GATE_TAG] for model in (first, second, third)] == ["passed", "passed", "refused"]
    decisions = [decision for model in (first, second, third) if (decision := from_tags(model.tags))]
    assert decisions[0].against == "no other version in production"
    assert decisions[1].against.startswith("version 1, on the same ")
    assert "not recorded" not in decisions[1].against, "which of them it was trained on is known"
    assert decisions[2].reasons[0].startswith("max_loss: balanced accuracy is 0.500, the champion's 1.000")
    assert "**The gate: refused.**" in third.description
    assert sorted(tags[GATE_TAG] for tags in runs()) == ["passed", "passed", "refused"], "on the runs too"


def test_mlflow_says_in_words_what_model_version_and_run_are_and_few_tags_are_on_a_version(
    registry_project: Path,
) -> None:
    first = champions.known_versions(NAME)[-1]
    with Store.of_project().connected() as client:
        assert "@champion" in client.get_registered_model(NAME).description
        run = client.get_run(first.run_id)
        logged = client.get_logged_model(first.model_id)
    assert run.data.tags["mlflow.note.content"] == first.description
    assert first.description.startswith("keras_file, 2 classes: circle, square. Test accuracy ")
    assert logged.name == f"keras_file {first.tags['nightshift.contract'][:8]}"
    parts = ("contract", "gate", "decision", "accuracy", "balanced_accuracy", "champion_since", "test_images")
    assert set(first.tags) == {f"nightshift.{part}" for part in parts}
    inputs = {one.dataset.name: one.tags[0].value for one in run.inputs.dataset_inputs}
    assert inputs == {"train": "training", "val": "validation", "test": "test"}
    assert len({one.dataset.digest for one in run.inputs.dataset_inputs}) == 3


def test_a_model_has_the_numbers_and_parameters_of_its_run_which_has_each_number_once(registry_project: Path) -> None:
    with Store.of_project().connected() as client:
        run = client.get_run(versions.by_number(client, NAME, 1).run_id)
        [made] = run.outputs.model_outputs
        model = client.get_logged_model(made.model_id)
        history = client.get_metric_history(run.info.run_id, "final_val_log_loss")
    assert (model.status, model.source_run_id) == ("READY", run.info.run_id)
    known = {metric.key: metric.value for metric in model.metrics}
    numbers = {name: value for name, value in run.data.metrics.items() if name.startswith(("test_", "final_"))}
    assert {"test_accuracy", "final_val_log_loss"} <= numbers.keys()
    assert known == {**numbers, "export_difference": run.data.metrics["export_difference"]}
    assert model.params == run.data.params
    assert len(history) == 1, "the training has logged it already"


def test_a_registration_asks_the_store_for_the_history_of_one_number(
    registry_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a server each is a request, and a run has a hundred."""
    from mlflow import MlflowClient

    asked, real = [], MlflowClient.get_metric_history

    def counted(client: MlflowClient, run_id: str, key: str) -> Any:
        asked.append(key)
        return real(client, run_id, key)

    monkeypatch.setattr(MlflowClient, "get_metric_history", counted)
    change_contract(registry_project, code_commit="counted")
    stage("register", registry_project, check=False)
    assert sorted(aliases()) == [1, 2, 3, 4]
    assert asked == ["val_loss"]


def test_a_refused_registration_ends_with_its_reasons_on_the_console(registry_project: Path) -> None:
    said = (registry_project / "refused.log").read_text()
    assert said.startswith("1\n")
    assert "The gate refused nightshift version 3:\n  max_loss: balanced accuracy is 0.500" in said
    assert "REFUSED max_loss" in said
    assert "Traceback" not in said
    written = json.loads((registry_project / "reports/registration.json").read_text())
    assert (written["version"], written["gate"]) == (3, "refused")
    assert next(check for check in written["checks"] if check["name"] == "max_loss")["passed"] is False


def test_a_training_that_ends_refused_shows_the_gates_table_and_ends_with_the_reasons(registry_project: Path) -> None:
    dvc("commit", "--force", cwd=registry_project)  # what lies there is what training made: nothing is to be done again
    done = nightshift("train", "--no-prefect", cwd=registry_project, check=False)
    assert done.returncode == 1
    assert "The gate: refused" in done.stdout
    assert re.search(r"^  max_loss +refused +balanced accuracy is 0\.500", done.stdout, re.MULTILINE)
    assert "Error: The gate refused nightshift version 3:\n  max_loss: " in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(aliases()) == [1, 2, 3]


def test_registering_a_refused_model_again_changes_nothing_until_its_limits_change(registry_project: Path) -> None:
    before = champions.known_versions(NAME)
    assert stage("register", registry_project, check=False).returncode == 1
    assert champions.known_versions(NAME) == before
    gate = {"max_loss": 1.0, "max_calibration_loss": 1.0, "max_class_loss": 1.0}
    change_params(registry_project, {"register": {"gate": gate}})
    stage("register", registry_project)
    assert aliases() == {3: ("challenger",), 2: (), 1: ("champion",)}
    with Store.of_project().connected() as client:
        third = versions.by_number(client, NAME, 3)
    assert third.tags[GATE_TAG] == "passed"
    assert "**The gate: passed.**" in third.description


def test_a_version_that_an_earlier_release_refused_is_judged_again_once_its_limits_change(
    registry_project: Path,
) -> None:
    with Store.of_project().connected() as client:
        client.delete_model_version_tag(NAME, "3", "nightshift.decision")
        for tag, value in {"gate.max_loss": "refused: x; asked for: y", "gate_limits": json.dumps(limits())}.items():
            client.set_model_version_tag(NAME, "3", f"nightshift.{tag}", value)
    before = champions.known_versions(NAME)
    assert "max_loss: x; asked for: y" in stage("register", registry_project, check=False).stderr
    assert champions.known_versions(NAME) == before
    gate = {"max_loss": 1.0, "max_calibration_loss": 1.0, "max_class_loss": 1.0}
    change_params(registry_project, {"register": {"gate": gate}})
    stage("register", registry_project)
    assert aliases() == {3: ("challenger",), 2: (), 1: ("champion",)}
    with Store.of_project().connected() as client:
        tags = versions.by_number(client, NAME, 3).tags
    assert tags[GATE_TAG] == "passed"
    assert not {LIMITS_TAG, "nightshift.gate.max_loss"} & set(tags)


def limits() -> dict[str, object]:
    return load_params().register_.gate.model_dump()


def test_registering_an_older_model_again_moves_nothing(registry_project: Path) -> None:
    with Store.of_project().connected() as client:
        fetched = versions.fetch_model(versions.by_number(client, NAME, 1), registry_project / "fetched")
    shutil.rmtree("models/current")
    shutil.copytree(fetched, "models/current")
    champions.promote(NAME, 2)
    before = champions.known_versions(NAME)
    stage("register", registry_project)
    assert champions.known_versions(NAME) == before


def test_two_registrations_at_once_make_one_version(registry_project: Path) -> None:
    change_contract(registry_project, code_commit="at once")
    other = forked.fork(*REGISTER, cwd=registry_project)
    done = stage("register", registry_project, check=False)
    said = ["".join(other.communicate()), done.stdout + done.stderr]
    assert [other.wait(), done.returncode] == [1, 1], said  # refused, as the model is as bad as version 3
    assert sum("is registered already, as version 4" in words for words in said) == 1
    assert sorted(aliases()) == [1, 2, 3, 4]
    assert len(runs()) == 4


def test_the_second_of_two_machines_gives_way(registry_project: Path) -> None:
    with Store.of_project().connected() as client:
        first = versions.by_number(client, NAME, 2)
        source = client.get_model_version(NAME, "2").source
        found = versions.create(client, NAME, source, first.tags["nightshift.contract"], {})
    assert found.version == 2
    assert sorted(aliases()) == [1, 2, 3]


KILLED_WHILE_IT_SENDS = """
import os
from mlflow import MlflowClient
from pipeline import register
real, sent = MlflowClient.log_model_artifact, []
def log_model_artifact(*given):
    sent.append(given)
    return real(*given) if len(sent) < 4 else os._exit(9)
MlflowClient.log_model_artifact = log_model_artifact
register.main()
"""


def test_a_registration_killed_before_the_version_goes_on_with_its_run(
    registry_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_contract(registry_project, code_commit="killed")
    done = forked.run(sys.executable, "-c", KILLED_WHILE_IT_SENDS, cwd=registry_project, check=False)
    assert done.returncode == 9
    assert aliases() == START
    assert len(runs()) == 4
    with monkeypatch.context() as patched:
        patched.setattr(versions, "create", killed)
        with pytest.raises(Killed):
            stage("register", registry_project)
    assert aliases() == START
    assert stage("register", registry_project, check=False).returncode == 1
    assert sorted(aliases()) == [1, 2, 3, 4]
    assert len(runs()) == 4, "the same run, not another"
    with Store.of_project().connected() as client:
        fourth = versions.by_number(client, NAME, 4)
        assert versions.fetch_training_images(fourth, registry_project / "fetched") is not None
        assert len(client.get_run(fourth.run_id).outputs.model_outputs) == 2, "what was whole is not sent again"


def test_a_registration_killed_after_the_version_is_completed(
    registry_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    gate = {"max_loss": 1.0, "max_calibration_loss": 1.0, "max_class_loss": 1.0}
    change_params(registry_project, {"register": {"gate": gate}})
    change_contract(registry_project, code_commit="killed")
    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "update_model_version", killed)
        with pytest.raises(Killed):
            stage("register", registry_project)
    assert aliases() == {4: (), **START}
    stage("register", registry_project)
    assert aliases() == {4: ("challenger",), 3: (), 2: (), 1: ("champion",)}
    with Store.of_project().connected() as client:
        assert "**The gate: passed.**" in versions.by_number(client, NAME, 4).description


def test_a_model_of_other_classes_is_never_promoted_by_itself(registry_project: Path) -> None:
    change_params(registry_project, {"register": {"promote": "auto"}})
    with Store.of_project().connected() as client:
        fetched = versions.fetch_model(versions.by_number(client, NAME, 3), registry_project / "fetched")
        client.delete_model_version(NAME, "2")
    contract = fetched / "contract.json"
    contract.write_text(contract.read_text().replace("circle", "triangle"))
    source = fetched.parent.parent
    with Store.of_project().connected() as client:
        made = client.create_model_version(NAME, str(source), tags={"nightshift.contract": "by hand"})
        client.set_registered_model_alias(NAME, "champion", made.version)
    change_contract(registry_project, code_commit="of two other classes")
    done = stage("register", registry_project)
    assert "cannot be compared: its classes differ; added: circle, removed: triangle" in done.stderr
    assert aliases() == {5: ("challenger",), 4: ("champion",), 3: (), 1: ("previous",)}
    with Store.of_project().connected() as client:
        tags = versions.by_number(client, NAME, 5).tags
    decision = from_tags(tags)
    assert decision is not None
    assert decision.needs_a_person.startswith("it could not be compared with the champion")


def test_a_better_model_is_promoted_by_itself_where_that_is_asked_for(registry_project: Path) -> None:
    champions.promote(NAME, 3, force=True)
    change_params(registry_project, {"register": {"promote": "auto"}})
    change_contract(registry_project, code_commit="as good as version 3")
    stage("register", registry_project)
    assert aliases() == {4: ("challenger", "champion"), 3: ("previous",), 2: (), 1: ()}


def test_a_store_that_dies_in_the_middle_is_an_error_and_leaves_nothing_half_done(
    registry_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_contract(registry_project, code_commit="a store that dies")
    whole, fetch = Path("mlflow.db").read_bytes(), versions.fetch_model

    def dies(*given: Any) -> Path:
        found = fetch(*given)
        with Path("mlflow.db").open("r+b") as store:
            store.write(b"dead" * 1000)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(versions, "fetch_model", dies)
        done = stage("register", registry_project, check=False)
    assert done.returncode == 1
    assert "The MLflow store sqlite:///" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(Path("reports/registration.json").read_text())["version"] == 3, "nothing new is claimed"
    Path("mlflow.db").write_bytes(whole)
    assert aliases() == START
    Path("mlflow.db").write_bytes(b"dead" * 1000)
    with pytest.raises(TrackingError, match="failed: "):
        champions.promote(NAME, 2)


def test_a_version_whose_files_are_gone_says_so_and_gets_them_back(registry_project: Path, tmp_path: Path) -> None:
    from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

    model = current.version_of(champions.known_versions(NAME))
    assert model
    shutil.rmtree("mlartifacts")
    with pytest.raises(
        TrackingError, match=rf"The files of nightshift version {model.version} are gone .* puts them back"
    ):
        versions.fetch_model(model, tmp_path / "gone")
    _artifact_repos_cache.clear()  # in this process MLflow knows this model's files at another project's place
    said = stage("register", registry_project, check=False).stderr
    assert f"The files of version {model.version} were gone from the MLflow store: they are put back." in said
    assert (versions.fetch_model(model, tmp_path / "back") / "contract.json").is_file()
    assert list(aliases()) == [3, 2, 1], "no further version"


def test_status_is_a_table_of_versions_with_the_gates_word(registry_project: Path) -> None:
    said = nightshift("status", cwd=registry_project).stdout
    rows = [line.split() for line in said.splitlines() if line.startswith(("  1 ", "  2 ", "  3 "))]
    assert [row[:3] for row in rows] == [
        ["3", "refused", "0.500"],
        ["2", "@challenger", "passed"],
        ["1", "@champion", "passed"],
    ]
    assert "version 3 was refused:\n    max_loss: balanced accuracy is 0.500" in said
    assert "version 1 is champion since 20" in said
    assert "Last training (models/current):\n  version 3, which the gate refused: no night uses it\n" in said
    assert "then open http://127.0.0.1:5000/#/models/nightshift\n" in said
