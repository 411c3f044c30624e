"""The nightly flow as Prefect runs it, and the deployments that Prefect is told of."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.project import draw_shape, nightshift, run


def test_the_nightly_flow_gives_the_same_rows_as_the_plain_command(trained: Path, tmp_path: Path) -> None:
    for number in range(5):
        draw_shape(tmp_path / "night" / f"{number}.png", "circle", seed=number)
    source = str(tmp_path / "night")
    flow = nightshift("classify", source, str(tmp_path / "flow"), cwd=trained)
    nightshift("classify", source, str(tmp_path / "plain"), "--no-prefect", cwd=trained)
    with_prefect, plain = (
        [line.rsplit(",", 1)[0] for line in (tmp_path / name / "predictions.csv").read_text().splitlines()]
        for name in ("flow", "plain")
    )
    assert with_prefect == plain
    assert "shard 2 of 2: 2 images" in flow.stdout + flow.stderr


def test_the_nightly_flow_leaves_artifacts_and_a_run_for_each_shard(trained: Path, tmp_path: Path) -> None:
    for number in range(4):
        draw_shape(tmp_path / "night" / f"{number}.png", "square", seed=number)
    code = """
import flows  # its switches come before Prefect
import asyncio, json, sys
from pathlib import Path
from prefect.client.orchestration import get_client
from prefect.testing.utilities import prefect_test_harness

async def left():
    async with get_client() as client:
        artifacts = (await client.request("POST", "/artifacts/filter", json={})).json()
        runs = (await client.request("POST", "/task_runs/filter", json={})).json()
    names = [sorted(artifact["key"] for artifact in artifacts), sorted(run["name"] for run in runs)]
    return [*names, sorted({run["state_name"] for run in runs})]

with prefect_test_harness(server_startup_timeout=120):
    from flows.nightly import nightly
    nightly(Path(sys.argv[1]), Path(sys.argv[2]))
    print("LEFT", json.dumps(asyncio.run(left())))
"""
    said = run(sys.executable, "-c", code, str(tmp_path / "night"), str(tmp_path / "out"), cwd=trained).stdout
    artifacts, runs, states = json.loads(said.split("LEFT", 1)[1])
    assert artifacts == ["predictions", "summary"]
    assert runs == ["finish", "plan", "shard 0", "shard 1"]
    assert states == ["Completed"]


def test_both_flows_are_deployments_and_the_night_has_its_hour() -> None:
    from prefect.utilities.importtools import import_object

    config = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())
    deployments = {deployment["name"]: deployment for deployment in config["deployments"]}
    assert set(deployments) == {"training", "nightly"}
    assert deployments["nightly"]["schedules"][0]["cron"]
    for deployment in deployments.values():
        file, name = deployment["entrypoint"].split(":")
        assert import_object(f"{REPOSITORY / file}:{name}").name == name
        assert deployment["work_pool"]["name"] == "nightshift"


@pytest.mark.parametrize("words", [["train"], ["classify", "data/raw/circle", "out"]], ids=["train", "classify"])
def test_a_prefect_server_that_is_down_is_named_with_the_ways_on(trained: Path, words: list[str]) -> None:
    done = nightshift(*words, cwd=trained, check=False, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 1
    assert "The Prefect server http://127.0.0.1:9/api does not answer" in done.stderr
    assert "--no-prefect" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (trained / "out").exists()
