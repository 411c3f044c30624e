"""The nightly flow as Prefect runs it, and the deployments that Prefect is told of."""

import json
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.fixtures.project import REPOSITORY, draw_shape, dvc, nightshift, rows_of, run


def test_the_nightly_flow_gives_the_same_rows_as_the_plain_command(trained: Path, tmp_path: Path) -> None:
    for number in range(5):
        draw_shape(tmp_path / "night" / f"{number}.png", "circle", seed=number)
    source = str(tmp_path / "night")
    flow = nightshift("classify", source, str(tmp_path / "flow"), cwd=trained)
    nightshift("classify", source, str(tmp_path / "plain"), "--no-prefect", cwd=trained)
    with_prefect, plain = rows_of(tmp_path / "flow"), rows_of(tmp_path / "plain")
    assert len(plain) == 5
    assert with_prefect == plain
    assert "shard 2 of 2: 2 images" in flow.stdout + flow.stderr


class Left(NamedTuple):
    """What a flow run left on the Prefect server."""

    artifacts: list[str]  # keys
    runs: dict[str, str]  # task run -> its last state
    error: str  # what the flow raised


def left_by(code: str, project: Path) -> Left:
    """Run `code` with a Prefect server of its own, in `project`."""
    harness = f"""
import flows  # its switches come before Prefect
import asyncio, json
from prefect.client.orchestration import get_client
from prefect.testing.utilities import prefect_test_harness

async def left():
    async with get_client() as client:
        artifacts = (await client.request("POST", "/artifacts/filter", json={{}})).json()
        runs = (await client.request("POST", "/task_runs/filter", json={{}})).json()
    # Prefect keeps results of tasks as artifacts too, without a key.
    keys = sorted(artifact["key"] for artifact in artifacts if artifact["key"])
    return keys, {{run["name"]: run["state_name"] for run in runs}}

error = ""
with prefect_test_harness(server_startup_timeout=120):
    try:
        {code}
    except Exception as raised:
        error = str(raised)
    print("LEFT", json.dumps([*asyncio.run(left()), error]))
"""
    said = run(sys.executable, "-c", harness, cwd=project).stdout
    return Left(*json.loads(said.split("LEFT", 1)[1]))


def test_the_nightly_flow_leaves_artifacts_and_a_run_for_each_shard(trained: Path, tmp_path: Path) -> None:
    for number in range(4):
        draw_shape(tmp_path / "night" / f"{number}.png", "square", seed=number)
    call = f"nightly(Path({str(tmp_path / 'night')!r}), Path({str(tmp_path / 'out')!r}))"
    left = left_by(f"from pathlib import Path; from flows.nightly import nightly; {call}", trained)
    assert left.artifacts == ["morning", "predictions", "review", "summary"]
    names = ("plan", "shard 0", "shard 1", "finish", "record")
    assert left.runs == dict.fromkeys(names, "Completed")


def test_a_training_leaves_its_numbers_figures_and_links_to_its_pages(project: Path) -> None:
    left = left_by("from flows.training import training; training()", project)
    assert left.error == ""
    assert left.artifacts == [
        "data", "data-docs", "data-report", "evaluation", "figures", "gate", "metrics", "model", "model-card",
    ]  # fmt: skip


def test_a_training_that_bad_images_stop_leaves_their_report_on_the_page(project: Path) -> None:
    (project / "data/raw/square/broken.png").write_bytes(b"this is no picture")
    left = left_by("from flows.training import training; training()", project)
    assert left.artifacts == ["data", "data-docs", "data-report"]
    assert left.runs == {"version data": "Completed", "validate": "Failed", "publish data": "Completed"}
    assert "unreadable" in left.error


def test_a_training_whose_model_is_refused_fails_and_leaves_the_reasons_on_the_page(registry_project: Path) -> None:
    dvc("commit", "--force", cwd=registry_project)  # what lies there is what training made: nothing is to be done again
    left = left_by("from flows.training import training; training()", registry_project)
    assert {"gate", "metrics", "model"} <= set(left.artifacts)
    assert left.runs["register"] == left.runs["publish"] == "Completed"
    assert left.error.startswith("The gate refused nightshift version 3:\n  max_loss: balanced accuracy is 0.500")


def test_all_flows_are_deployments_and_the_night_has_its_hour() -> None:
    from prefect.utilities.importtools import import_object

    config = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())
    deployments = {deployment["name"]: deployment for deployment in config["deployments"]}
    active = {name: one["schedules"][0].get("active", True) for name, one in deployments.items()}
    assert active == {"training": False, "nightly": True, "nights": False, "data-watch": True, "tidy": False}
    for deployment in deployments.values():
        file, name = deployment["entrypoint"].split(":")
        assert import_object(f"{REPOSITORY / file}:{name}").name == deployment["name"]
        assert deployment["work_pool"]["name"] == "nightshift"


@pytest.mark.parametrize("words", [["train"], ["classify", "data/raw/circle", "out"]], ids=["train", "classify"])
def test_a_prefect_server_that_is_down_is_named_with_the_ways_on(trained: Path, words: list[str]) -> None:
    done = nightshift(*words, cwd=trained, check=False, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 1
    assert "The Prefect server http://127.0.0.1:9/api does not answer" in done.stderr
    assert "--no-prefect" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (trained / "out").exists()
