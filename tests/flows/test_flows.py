"""The nightly flow as Prefect runs it, and the deployments that Prefect is told of."""

from pathlib import Path

import pytest
import yaml

from pipeline.data.judgements import Judgement, keep
from pipeline.registry.learnt import LEARNT
from pipeline.storage.files import sha256_of_file
from tests.fixtures import project as projects
from tests.fixtures.flow_runs import left_by
from tests.fixtures.forked import nightshift
from tests.fixtures.project import REPOSITORY, draw_shape, dvc, rows_of
from tests.fixtures.web import Web

TRAINING = "from flows.training import training; training()"


@pytest.mark.slow
def test_the_nightly_flow_gives_the_same_rows_as_the_plain_command(trained: Path, tmp_path: Path) -> None:
    """Without a server: Prefect starts one for the time of the run."""
    for number in range(5):
        draw_shape(tmp_path / "night" / f"{number}.png", "circle", seed=number)
    source = str(tmp_path / "night")
    flow = projects.nightshift("classify", source, str(tmp_path / "flow"), "--prefect", cwd=trained)
    nightshift("classify", source, str(tmp_path / "plain"), "--no-prefect", cwd=trained)
    with_prefect, plain = rows_of(tmp_path / "flow"), rows_of(tmp_path / "plain")
    assert len(plain) == 5
    assert with_prefect == plain
    assert flow.stderr.splitlines()[-1].startswith("5 images in ")
    assert len(flow.stderr.splitlines()) == 1, "what Prefect says is in the log file"
    logs = (trained / ".nightshift/logs").glob("command-*-classify-*.log")
    assert any("shard 2 of 2: 2 images" in log.read_text() for log in logs)


def test_the_nightly_flow_leaves_artifacts_and_a_run_for_each_shard(
    trained: Path, tmp_path: Path, prefect_api: str
) -> None:
    for number in range(4):
        draw_shape(tmp_path / "night" / f"{number}.png", "square", seed=number)
    call = f"nightly(Path({str(tmp_path / 'night')!r}), Path({str(tmp_path / 'out')!r}))"
    left = left_by(f"from pathlib import Path; from flows.nightly import nightly; {call}", trained, prefect_api)
    assert left.artifacts == ["end", "summary"]
    assert f"| all rows | `{tmp_path}/out/predictions.csv` |" in left.texts
    assert "file://" not in left.texts, "no browser opens it from a page"
    names = ("plan", "shard 0", "shard 1", "finish", "record")
    assert left.runs == dict.fromkeys(names, "Completed")


def test_a_training_leaves_its_numbers_figures_and_where_its_pages_are_and_tells_what_the_gate_said(
    project: Path, prefect_api: str, web: Web
) -> None:
    left = left_by(TRAINING, project, prefect_api, NIGHTSHIFT_NOTIFY=web.json)
    assert left.error == ""
    assert left.artifacts == ["data", "end", "figures", "gate", "metrics", "model"]
    for page in ("data.html", "data_docs/index.html", "evaluation.html", "registration.html", "model_card.html"):
        assert f"`{project}/reports/{page}`" in left.texts
    assert "file://" not in left.texts, "no browser opens it from a page"
    (message,) = web.messages
    assert message["title"].startswith("nightshift version 1 is the champion [")


def test_a_training_that_bad_images_stop_leaves_their_report_on_the_page(project: Path, prefect_api: str) -> None:
    (project / "data/raw/square/broken.png").write_bytes(b"this is no picture")
    left = left_by(TRAINING, project, prefect_api)
    assert left.artifacts == ["data", "end"]
    assert left.runs == {"version data": "Completed", "validate": "Failed", "publish data": "Completed"}
    assert "unreadable" in left.error


def test_enough_judgements_start_a_training_which_tells_people_and_fewer_start_nothing(
    project: Path, prefect_api: str, web: Web
) -> None:
    """The images have these labels already, but no note says that they were learnt: no stage has anything to do."""
    (project / LEARNT).unlink()
    for number in (3, 4):
        file = project / f"data/raw/circle/{number:03d}.png"
        about = {"sha256": sha256_of_file(file), "path": f"circle/{file.name}", "folder": "data/raw"}
        said = {"label": "circle", "reader": "ada", "source": "night"}
        keep([Judgement.model_validate(about | said)], project / "data/labels.jsonl")
    learn = "from flows.learn import learn; print(learn(new=3), learn(new=2), learn(new=1))"
    left = left_by(learn, project, prefect_api, NIGHTSHIFT_NOTIFY=web.json)
    assert left.error == ""
    assert left.flows == ["Completed"] * 4, "one that counts only, one that trains, and one that counts again"
    assert left.runs["import labels"] == left.runs["evaluate"] == left.runs["register"] == "Completed"
    assert [message["title"].partition(" [")[0] for message in web.messages] == ["nightshift version 1 is the champion"]
    assert (project / LEARNT).is_file()


def test_a_training_whose_model_is_refused_fails_and_leaves_the_reasons_on_the_page(
    registry_project: Path, prefect_api: str
) -> None:
    dvc("commit", "--force", cwd=registry_project)  # what lies there is what training made: nothing is to be done again
    left = left_by(TRAINING, registry_project, prefect_api)
    assert {"gate", "metrics", "model"} <= set(left.artifacts)
    assert left.runs["register"] == left.runs["publish"] == "Completed"
    assert left.error.startswith("The gate refused nightshift version 3:\n  max_loss: balanced accuracy is 0.500")


def test_all_flows_are_deployments_and_the_night_has_its_hour() -> None:
    from prefect.utilities.importtools import import_object

    config = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())
    deployments = {deployment["name"]: deployment for deployment in config["deployments"]}
    active = {name: one["schedules"][0].get("active", True) for name, one in deployments.items()}
    assert active == {
        "training": False, "learn": False, "nightly": True, "nights": False, "data-watch": True, "collect": False,
        "tidy": False,
    }  # fmt: skip
    for deployment in deployments.values():
        flow = import_object(deployment["entrypoint"])
        assert flow.name == deployment["name"]
        form = flow.parameters.model_dump_for_openapi()
        assert "required" not in form, "a run with one click"
        undescribed = [key for key, one in form["properties"].items() if not one.get("description")]
        assert undescribed == [], "of the form on Prefect's page"
        assert deployment["work_pool"]["name"] == "nightshift"


@pytest.mark.parametrize("words", [["train"], ["classify", "data/raw/circle", "out"]], ids=["train", "classify"])
def test_a_prefect_server_that_is_down_is_named_with_the_ways_on(trained: Path, words: list[str]) -> None:
    done = nightshift(*words, cwd=trained, check=False, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 1
    assert "The Prefect server http://127.0.0.1:9/api does not answer" in done.stderr
    assert "--no-prefect" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (trained / "out").exists()
