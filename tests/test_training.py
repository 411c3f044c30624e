"""The training graph through DVC, MLflow and Prefect, on a small real project."""

import io
import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import keras
import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from PIL import Image

from pipeline.data.prepared import read_split
from pipeline.data.split_units import unit_numbers
from pipeline.model.contract import Contract, read_contract
from pipeline.model.engine import load_engine
from pipeline.model.export import largest_difference
from pipeline.model.precision import has_int8
from pipeline.params.model import Compute
from pipeline.registry import champions, versions
from pipeline.registry.decision import from_tags
from pipeline.registry.store import Store
from pipeline.training.conformal import candidates_above
from pipeline.versions import remote
from tests.fixtures import forked
from tests.fixtures.forked import fork
from tests.fixtures.in_process import QUICK
from tests.fixtures.project import (
    REPOSITORY,
    change_contract,
    change_params,
    draw_shape,
    dvc,
    environment,
    nightshift,
    rows_of,
    run,
    stage,
)
from tests.fixtures.references import assert_reference_is_the_networks

STAGES = ["validate", "preprocess", "embed", "audit", "train", "evaluate"]


def ran(said: str) -> list[str]:
    """The stages that a `dvc repro` ran."""
    return [stage for stage in STAGES if f"Running stage '{stage}'" in said]


def test_training_ends_with_a_champion_and_everything_that_the_design_names(trained: Path) -> None:
    status = nightshift("status", cwd=trained).stdout
    assert re.search(r"^  1 +@challenger @champion +passed +\d", status, re.MULTILINE)
    assert f"mlflow ui --backend-store-uri sqlite:///{trained}/mlflow.db" in status
    for page in ("registration.html", "evaluation.html", "model_card.html", "data.html"):
        assert (trained / "reports" / page).as_uri() in status
    for page in (trained / "reports").glob("*.html"):
        links = re.findall(r'href="([^#"][^#"]*)', page.read_text())
        assert [link for link in links if not (page.parent / unquote(link)).is_file()] == [], page
        assert "index.html" in links or page.name == "index.html"
    assert "Not made yet" not in (trained / "reports/index.html").read_text()
    for file in (
        "data/manifest.parquet", "data/raw.dvc", "dvc.lock", "models/current/contract.json",
        "models/current/model.keras", "models/current/openvino/model.xml", "reports/data_docs/index.html",
        "reports/curves.png", "reports/figures/confusion_matrix.png",
        "reports/evaluation.html", "reports/model_card.md", "reports/slices.csv", "reports/robustness.csv",
    ):  # fmt: skip
        assert (trained / file).is_file(), file
    shown = dvc("metrics", "show", cwd=trained).stdout.splitlines()
    assert shown[0].split() == ["Path", "accuracy", "balanced_accuracy", "images", "unsure_share"]
    assert max(map(len, shown)) <= 80, "a terminal's width"
    evaluation = json.loads((trained / "reports/evaluation.json").read_text())
    for name in ("accuracy", "balanced_accuracy", "log_loss"):
        assert evaluation[name]["low"] <= evaluation[name]["value"] <= evaluation[name]["high"]
    assert evaluation["accuracy"]["value"] >= 0.7  # circles and squares


def test_the_evaluation_lies_beside_the_run_in_mlflow(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    with Store.of_project().connected() as client:
        run_id = client.get_model_version("nightshift", "1").run_id
        assert run_id
        names = {Path(file.path).name for file in client.list_artifacts(run_id, "evaluation")}
        assert names == {
            "evaluation.html", "model_card.html", "model_card.md", "slices.csv", "robustness.csv",
            "test_predictions.csv",
        }  # fmt: skip
        metrics = client.get_run(run_id).data.metrics
    evaluation = json.loads((trained / "reports/evaluation.json").read_text())
    assert metrics["test_brier_score"] == evaluation["brier_score"]["value"]
    assert metrics["test_roc_auc_low"] == evaluation["roc_auc"]["low"]
    assert metrics["test_slices_worse"] == evaluation["slices"]["worse"]


def test_a_training_on_few_images_says_everywhere_that_its_threshold_is_not_certified(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = Contract.model_validate_json((trained / "models/current/contract.json").read_bytes()).certificate
    assert certificate is not None
    assert certificate.words.startswith("Not certified: with 90 % confidence")
    training = json.loads((trained / "reports/training.json").read_text())
    assert training["certificate"]["lower_bound"] == certificate.lower_bound
    for page in ("reports/model_card.md", "reports/evaluation.html"):
        assert certificate.words in (trained / page).read_text(), page
    assert "Not certified: with 90 % confidence" in (trained / "train.log").read_text()
    monkeypatch.chdir(trained)
    with Store.of_project().connected() as client:
        version = client.get_model_version("nightshift", "1")
        assert version.run_id
        decision = from_tags(version.tags)
        assert decision is not None
        assert decision.certificate == certificate.words
        assert certificate.words in version.description
        metrics = client.get_run(version.run_id).data.metrics
        assert metrics["final_certificate_lower_bound"] == certificate.lower_bound


def test_a_second_repro_does_nothing(project: Path) -> None:
    assert ran(dvc("repro", cwd=project).stdout) == []


def test_metrics_and_plots_are_declared(project: Path) -> None:
    metrics = json.loads(dvc("metrics", "show", "--json", cwd=project).stdout)[""]["data"]
    assert set(metrics) == {"reports/metrics.json"}
    dvc("plots", "show", "--out", "plots", cwd=project)
    page = (project / "plots" / "index.html").read_text()
    assert "val_loss" in page
    assert "confusion_matrix" in page


def test_a_change_to_the_head_reruns_from_train_only(project: Path) -> None:
    change_params(project, {"train": {"head": {"dropout": 0.1}, "fine_tune": {"steps": 0}, "max_int8_loss": 1.0}})
    assert ran(dvc("repro", "--dry", cwd=project).stdout) == ["train"]
    assert "models/current" in yaml.safe_load((project / "dvc.yaml").read_text())["stages"]["evaluate"]["deps"]
    stage("train", project)
    # With the backbone as it came, the features that the head was taught with are the embeddings to compare with, to
    # the digits of bfloat16 where that is used.
    features = np.load(project / "data/features/train.npy")
    kept = np.load(project / "models/current/reference.npy", allow_pickle=False)
    assert (kept * features / np.linalg.norm(features, axis=1, keepdims=True)).sum(axis=1).min() > 0.99
    assert (read_contract(project / "models/current").int8 is not None) == has_int8()
    assert_reference_is_the_networks(project, project / "models/current")


def test_the_candidates_thresholds_are_those_of_the_validation_images_and_a_warning_names_who_has_none(
    trained: Path,
) -> None:
    val = read_split(trained / "data/prepared", "val")
    engine = load_engine(trained / "models/current", Compute(device="cpu", precision="auto", workers=1))
    answers, units = engine.predict(np.asarray(val.images)), unit_numbers(val.table)
    found = engine.contract.candidates_above
    assert found == pytest.approx(candidates_above(answers, val.labels, units, 0.1), abs=1e-5)
    always = [name for name, above in zip(engine.contract.class_names, found or (), strict=True) if above == 0]
    words = f"Too few validation images to ever exclude {', '.join(always)}:"
    assert (words in " ".join((trained / "train.log").read_text().split())) == bool(always)


def test_what_images_were_like_travels_in_the_registered_model(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    folder = versions.fetch_model(champions.champion("nightshift"), tmp_path)
    for name in ("reference.json", "reference.npy"):
        assert (folder / name).read_bytes() == (trained / "models/current" / name).read_bytes()
    assert_reference_is_the_networks(trained, folder)


def test_one_changed_image_reruns_what_it_must(project: Path) -> None:
    draw_shape(project / "data/raw/circle/000.png", "circle", seed=424242)
    dvc("add", "data/raw", cwd=project)
    assert ran(dvc("repro", "--dry", cwd=project).stdout) == ["validate", "preprocess", "audit"]
    for name in ("validate", "preprocess"):
        stage(name, project)
    stale = dvc("status", cwd=project).stdout
    assert [name for name in STAGES if re.search(rf"^{name}:\n\tchanged deps:", stale, re.MULTILINE)] == [
        "validate", "preprocess", "embed", "audit", "train", "evaluate",
    ]  # fmt: skip


def test_a_dataset_that_grows_keeps_its_splits_and_is_compared_with_the_version_before(project: Path) -> None:
    run("git", "add", "--all", cwd=project)
    run("git", "commit", "--quiet", "--message", "first version", cwd=project)
    before = json.loads((project / "data/splits.json").read_text())["contents"]
    for number in range(100, 140):
        file = project / f"data/raw/circle/{number}.png"
        draw_shape(file, "circle", seed=number)
        with Image.open(file) as image:
            image.point(lambda value: value // 3).save(file)
    said = stage("validate", project).stderr
    stage("preprocess", project)
    after = json.loads((project / "data/splits.json").read_text())["contents"]
    assert all(set(before[name]) <= set(after[name]) for name in before)
    assert sum(map(len, after.values())) == 100
    drifted = re.search("drift: .* unlike those of HEAD.*", said)
    assert drifted
    assert "brightness" in drifted[0]


def test_data_and_outputs_go_to_a_configured_remote_and_come_back(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dvc("remote", "add", "--default", "backup", str(tmp_path / "remote"), cwd=project)
    monkeypatch.chdir(project)
    assert remote.push()
    shutil.rmtree(project / "data/raw")
    shutil.rmtree(project / ".dvc/cache")
    dvc("pull", cwd=project)
    assert len(list((project / "data/raw").rglob("*.png"))) == 60


def test_the_same_seed_gives_the_same_model(project: Path) -> None:
    """Names of operations count what the process built before, and are in the files: the weights are compared."""

    def made() -> tuple[list[bytes], dict[str, object]]:
        network = keras.saving.load_model(project / "models/current/model.keras", compile=False)
        contract = json.loads((project / "models/current/contract.json").read_text())
        fields = ("temperature", "unsure_below", "reference_sha256", "outlier_above")
        return [weight.tobytes() for weight in network.get_weights()], {name: contract[name] for name in fields}

    before = made()
    (project / "models/current/contract.json").unlink()
    stage("train", project)
    assert made() == before


def test_the_tutorials_network_trains_from_scratch(project: Path) -> None:
    change_params(project, {"model": {"backbone": "cnn", "weights": "none"}, "train": {"scratch": {"epochs": 2}}})
    assert ran(dvc("repro", "--dry", cwd=project).stdout) == ["embed", "audit", "train", "evaluate"]
    for name in ("embed", "train"):
        stage(name, project)
    assert list((project / "data/features").iterdir()) == []
    assert json.loads((project / "models/current/contract.json").read_text())["backbone"] == "cnn"
    assert_reference_is_the_networks(project, project / "models/current")


def test_bad_data_stop_the_flow_and_name_the_files(project: Path) -> None:
    (project / "data/raw/square/broken.png").write_bytes(b"this is no picture")
    done = nightshift("train", "--no-prefect", cwd=project, check=False)
    assert done.returncode == 1
    assert "square/broken.png" in done.stderr
    assert "Traceback" not in done.stderr
    assert "What was kept" not in done.stderr, "the first stage failed"
    assert (project / "reports/data_docs/index.html").is_file(), "the Data Docs stay to be looked at"


def test_weights_that_are_not_the_contracts_are_refused(project: Path) -> None:
    weights = project / "models/current/openvino/model.bin"
    weights.write_bytes(weights.read_bytes()[:-100])
    done = stage("evaluate", project, check=False)
    assert done.returncode == 1
    assert "are not the ones" in done.stderr


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "sqlite:////dev/null/mlflow.db"])
def test_an_mlflow_store_that_is_down_is_named(project: Path, address: str) -> None:
    done = nightshift("status", cwd=project, check=False, MLFLOW_TRACKING_URI=address)
    assert done.returncode == 1
    assert address in done.stderr
    assert "Traceback" not in done.stderr


def test_lineage_leads_from_the_version_to_run_data_and_code(trained: Path) -> None:
    client = MlflowClient(f"sqlite:///{trained}/mlflow.db")
    version = client.get_model_version_by_alias("nightshift", "champion")
    version_tags, mlflow_run = version.tags, client.get_run(version.run_id).to_dictionary()
    tags = mlflow_run["data"]["tags"]
    commit = run("git", "rev-parse", "HEAD", cwd=trained).stdout.strip()
    assert version_tags["nightshift.contract"] == tags["nightshift.contract"]
    assert tags["mlflow.source.git.commit"] == commit
    assert tags["dvc.data.raw"].endswith(".dir")
    assert mlflow_run["data"]["metrics"]["test_accuracy_low"] <= mlflow_run["data"]["metrics"]["test_accuracy"]
    assert mlflow_run["data"]["params"]["model.backbone"] == "keras_file"
    assert mlflow_run["inputs"]["dataset_inputs"], "the dataset is an input of the run"


def test_the_exported_network_answers_as_keras_does(trained: Path) -> None:
    images = read_split(trained / "data/prepared", "test").images
    model = trained / "models/current"
    contract = read_contract(model)
    assert largest_difference(model, images, contract.temperature) < 1e-4
    assert contract.export_difference is not None
    assert 0 < contract.export_difference < 1e-4


def test_evaluation_and_registration_need_no_tensorflow(project: Path) -> None:
    change_params(project, {"evaluate": {"explained": 1}})
    change_contract(project, code_commit="the next one")
    both = "from pipeline import evaluate, register; evaluate.main(); register.main()"
    said = forked.run("-c", f"import sys; {both}; print('tensorflow' in sys.modules)", cwd=project)
    assert said.stdout.splitlines()[-1] == "False"
    assert (project / "reports/figures/evidence.png").is_file()


@pytest.mark.services
def test_mlflow_serves_the_champion_whose_answers_are_those_of_a_night(trained: Path, tmp_path: Path) -> None:
    from tests.fixtures.serving import answer_of_server

    circle = (trained / "data/raw/circle/000.png").read_bytes()
    black = io.BytesIO()
    Image.new("RGB", (80, 70)).save(black, "PNG")
    images = {"0.png": circle, "1.png": b"no picture", "2.png": circle, "3.png": black.getvalue()}
    for name, data in images.items():
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    (line,) = re.findall(r"^\(printf .* \| curl .*$", (REPOSITORY / "docs/models.md").read_text(), re.MULTILINE)
    line = line.replace("http://127.0.0.1:5001", "ADDRESS").replace("photo.jpg", f"{tmp_path}/in/0.png")
    answers, by_curl = answer_of_server(trained, list(images.values()), line if shutil.which("curl") else "")
    assert not by_curl or json.loads(by_curl)["predictions"] == answers[:1]
    nightshift("classify", str(tmp_path / "in"), str(tmp_path / "out"), "--no-prefect", cwd=trained)
    for answer, row in zip(answers, rows_of(tmp_path / "out"), strict=True):
        assert (answer["label"], answer["flags"], answer["error"]) == (row["label"], row["flags"], row["error"])
        assert answer["candidates"] == json.loads(row["candidates"] or "[]")
        for name in ("confidence", "outlier_score"):
            assert (answer[name] is None) == (row[name] == "")
            assert answer[name] is None or np.isclose(answer[name], float(row[name]), atol=1e-4)
    assert [answer["error"] != "" for answer in answers] == [False, True, False, False]
    assert (answers[1]["unsure"], answers[1]["flags"]) == (True, "")
    assert answers[1]["outlier_score"] is answers[1]["confidence"] is None
    assert answers[3]["unsure"] is True
    assert {"outlier", "dark"} <= set(answers[3]["flags"].split())
    assert answers[0]["outlier_score"] < answers[3]["outlier_score"]
    assert answers[0] == answers[2]
    assert answers[0]["label"] in ("circle", "square")
    assert np.isclose(sum(answers[0]["probabilities"].values()), 1)
    assert answers[0]["confidence"] == max(answers[0]["probabilities"].values())
    assert answers[0]["candidates"][0] == answers[0]["label"]
    assert answers[1]["candidates"] == []


def test_two_trainings_at_once_do_not_mix(project: Path) -> None:
    """DVC's own lock: each works or names the other; what lies there after the next run is whole."""
    change_params(project, {"evaluate": {"resamples": 150}})
    path = os.pathsep.join([str(Path(QUICK).parent), environment()["PATH"]])
    both = [fork("-m", "dvc", "repro", "evaluate", cwd=project, work="dvc", PATH=path) for _ in range(2)]
    said = ["".join(one.communicate()) for one in both]
    assert all(one.returncode == 0 or "busy" in words for one, words in zip(both, said, strict=True)), said
    dvc("repro", cwd=project)
    assert "up to date" in dvc("status", cwd=project).stdout
