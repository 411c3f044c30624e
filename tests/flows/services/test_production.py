"""Servers for several machines, as docs/production.md has them: PostgreSQL, S3, passwords; the same night by them."""

import re
from pathlib import Path
from urllib.parse import quote

import fsspec
import httpx
import pytest

from tests.fixtures.forked import nightshift
from tests.fixtures.postgres import PASSWORD
from tests.fixtures.project import draw_shape, rows_of
from tests.fixtures.site import SECRET, Shipped, Site
from tests.fixtures.stores import upload
from tests.fixtures.up import services

pytestmark = pytest.mark.slow  # all of the file, so that they stay together and share their servers


def nights_of(site: Site) -> list[str]:
    """How the runs of nights in MLflow's database have ended."""
    nights = "SELECT status FROM runs JOIN experiments USING (experiment_id) WHERE experiments.name LIKE '%nights'"
    return site.database.ask("mlflow", nights).split()


def test_a_project_trains_and_has_its_night_by_servers_on_postgresql_and_s3(
    site: Site, shipped: Shipped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in site.worker.items():
        monkeypatch.setenv(name, value)
    project, photos, output = shipped.project, tmp_path / "photos", tmp_path / "out"
    for number in range(12):
        draw_shape(photos / f"{number:02d}.png", ("circle", "square")[number % 2], seed=number)
    (photos / "12.png").write_bytes(b"no picture")
    upload(photos, "s3://photos/tonight")
    before = nights_of(site)
    with services(project, **site.worker) as up:
        assert re.search(r"mlflow +http://127\S+  \(not started here\)\nprefect +http://127\S+  \(not started", up.said)
        run_id = up.begin("nightly", source="s3://photos/tonight", output=str(output))
        assert up.end_of(run_id) == "Completed"
        keys = {found["key"] for found in up.api("artifacts/filter")}
    rows = rows_of(output)
    assert [row["status"] for row in rows] == ["ok"] * 12 + ["unreadable"]
    assert [row["label"] for row in rows] == ["circle", "square"] * 6 + [""]
    plain = tmp_path / "plain"
    nightshift("classify", "s3://photos/tonight", str(plain), "--no-prefect", cwd=project, **site.worker)
    assert rows_of(plain) == rows
    assert {"summary", "data"} <= keys
    versions = site.database.ask("mlflow", "SELECT name, version, status FROM model_versions")
    assert versions == "nightshift|1|READY"
    assert nights_of(site) == [*before, "FINISHED", "FINISHED"]
    states = site.database.ask("prefect", "SELECT state_type FROM flow_run WHERE name LIKE 'nightly%'")
    assert states.splitlines() == ["COMPLETED"]
    stored = fsspec.filesystem("s3").find("models")
    assert any(name.endswith("model.keras") for name in stored)
    assert not (project / "mlflow.db").exists()
    assert not (project / "mlartifacts").exists()
    logs = "".join(file.read_text() for file in site.folder.glob("*.log"))
    everything = shipped.said + shipped.log + up.said + logs
    everything += "".join(file.read_text() for file in (project / ".nightshift/logs").iterdir())
    assert SECRET not in everything
    assert PASSWORD not in everything
    assert quote(PASSWORD) not in everything


def test_without_the_password_nobody_gets_in_and_is_told_so(site: Site, shipped: Shipped, tmp_path: Path) -> None:
    assert httpx.get(f"{site.worker['MLFLOW_TRACKING_URI']}/", timeout=30).status_code == 401
    assert httpx.post(f"{site.worker['PREFECT_API_URL']}/flow_runs/filter", json={}, timeout=30).status_code == 401
    wrong = {**site.worker, "MLFLOW_TRACKING_PASSWORD": "wrong password"}
    done = nightshift("status", cwd=shipped.project, check=False, **wrong)
    assert done.returncode == 1
    assert "MLFLOW_TRACKING_USERNAME" in done.stderr
    assert "wrong password" not in done.stderr + done.stdout
    (tmp_path / "photos").mkdir()
    draw_shape(tmp_path / "photos/1.png", "circle", seed=1)
    wrong = {**site.worker, "PREFECT_API_AUTH_STRING": "admin:wrong password"}
    done = nightshift(
        "classify", str(tmp_path / "photos"), str(tmp_path / "out"), cwd=shipped.project, check=False, **wrong
    )
    assert done.returncode == 1
    assert "PREFECT_API_AUTH_STRING" in done.stderr
    assert "Traceback" not in done.stderr
    assert "wrong password" not in done.stderr + done.stdout
