"""A night's Camtrap DP is valid by the standard's tables, its GeoJSON opens in GDAL; without consent it has neither."""

import csv
import json
import shutil
from pathlib import Path

import frictionless
import pyogrio
import pytest

from pipeline.night.events import EVENT_COLUMNS
from pipeline.sources.foreign.camtrap_tables import TABLES
from tests.fixtures.finished import WHERE, finished
from tests.fixtures.project import REPOSITORY, nightshift
from tests.fixtures.sources import take

AT = "2026-01-01T22:00:{:02d}+01:00"
ROWS = {
    "gate-2/2026-01-01/a.jpg": {"label": "Canis lupus", "taken_at": AT.format(1), "camera": "gate-2", **WHERE},
    "gate-2/2026-01-01/b, \u732b.jpg": {
        "label": "blank", "status": "unsure", "confidence": "0.400000", "taken_at": AT.format(3), "camera": "gate-2",
        "latitude": "51.496200", "longitude": "4.774400",
    },
    "yard/c.jpg": {"label": "=fox", "taken_at": "2026-01-01T23:10:00.250", **WHERE},
    "yard/d.jpg": {"label": "fox"},
    "yard/e..f.jpg": {"label": "fox", "taken_at": AT.format(9), **WHERE},
    "yard/g.jpg": {"error": "truncated"},
    "scan.dcm#frame=1": {"label": "fox", "taken_at": AT.format(9), **WHERE},
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    text = (REPOSITORY / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("location: drop", "location: keep"))
    return tmp_path


@pytest.fixture
def night(project: Path) -> Path:
    output = finished(project, ROWS, keep=True)
    cells = dict.fromkeys(EVENT_COLUMNS, "") | {"event": f"gate-2 {AT.format(1)}", "camera": "gate-2"}
    cells |= {"start": AT.format(1), "end": AT.format(3)}
    with (output / "events.csv").open("w", newline="") as file:
        out = csv.DictWriter(file, EVENT_COLUMNS)
        out.writeheader()
        out.writerow(cells)
    return output


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def faults(package: Path) -> list[list[object]]:
    """What frictionless finds, by the standard's table schemas: their addresses in datapackage.json need a network."""
    about = json.loads((package / "datapackage.json").read_text())
    schemas = {table.name: table.schema for table in TABLES}
    assert [one["schema"].rpartition("/")[2] for one in about["resources"]] == [
        f"{n}-table-schema.json" for n in schemas
    ]
    del about["profile"]
    for one in about["resources"]:
        one["schema"] = schemas[one["name"]]
    report = frictionless.Package.from_descriptor(about, basepath=str(package)).validate()
    return report.flatten(["type", "note"])


def tree(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_camtrap_dp_is_valid_and_says_what_it_left_out(project: Path, night: Path) -> None:
    said = nightshift("export", "camtrap-dp", cwd=project)
    package = project / "exports/monday/camtrap-dp"
    assert faults(package) == []
    assert "1 image with a time without its offset from UTC: say it with --utc-offset" in said.stdout
    assert "1 image without the time at which they were taken" in said.stdout
    assert "1 image with a name that Camtrap DP does not allow; 1 image that could not be read." in said.stdout
    (deployment,) = table(package, "deployments")
    assert {key: value for key, value in deployment.items() if value} == {
        "deploymentID": "gate-2", "latitude": "51.496100", "longitude": "4.774200", "cameraID": "gate-2",
        "deploymentStart": AT.format(1), "deploymentEnd": AT.format(3),
    }  # fmt: skip
    first, second = table(package, "observations")
    assert {key: value for key, value in first.items() if value and not key.endswith("ID")} == {
        "eventStart": AT.format(1), "eventEnd": AT.format(1), "observationLevel": "media", "observationType": "animal",
        "scientificName": "Canis lupus", "classificationMethod": "machine", "classifiedBy": "nightshift version 3",
        "classificationTimestamp": "2026-01-02T02:00:00+00:00", "classificationProbability": "0.900000",
        "observationTags": "status:ok",
    }  # fmt: skip
    assert first["eventID"] == second["eventID"] == f"gate-2 {AT.format(1)}"
    assert (second["observationType"], second["scientificName"], second["observationTags"]) == (
        "blank",
        "",
        "status:unsure",
    )
    assert [one["filePath"] for one in table(package, "media")] == [*ROWS][:2]
    taken = take(package, project / "other", images=str(project / "photos"))
    assert any("2 observations of" in note and "are by a machine, not by a person" in note for note in taken.notes)
    before = tree(package)
    nightshift("export", "camtrap-dp", "monday", cwd=project)
    assert tree(package) == before, "the same night gives the same bytes"


def test_a_person_says_what_photographs_do_not(project: Path, night: Path) -> None:
    finished(project, {path: {**cells, **dict.fromkeys(WHERE, "")} for path, cells in ROWS.items()}, keep=True)
    words = ("export", "camtrap-dp", "latest", "out", "--utc-offset", "-05:30", "--prefix", "https://example.org/p")
    lacking = nightshift(*words, cwd=project, check=False)
    assert "do not say where they were taken (no GPS in them). Or say where the cameras stood" in lacking.stderr
    finished(project, ROWS | {path: {**ROWS[path], **dict.fromkeys(WHERE, "")} for path in [*ROWS][:2]}, keep=True)
    without = nightshift("export", "camtrap-dp", cwd=project, check=False)
    assert "a time without its offset from UTC: say it with --utc-offset, such as +01:00" in without.stderr
    assert "of cameras of which nobody says where they stood (gate-2): say it with --deployments" in without.stderr
    assert "do not say where they were taken" not in without.stderr
    finished(project, {path: {**cells, **dict.fromkeys(WHERE, "")} for path, cells in ROWS.items()}, keep=True)
    places = project / "places.csv"
    places.write_text("deploymentID,latitude,longitude,habitat\nyard,-1.5,200,wood\n")
    wrong = nightshift(*words, "--deployments", "places.csv", cwd=project, check=False)
    assert "places.csv, line 2: -1.5, 200 is not a latitude and a longitude in degrees" in wrong.stderr
    assert not (project / "out").exists()
    places.write_text("deploymentID,latitude,longitude,habitat\nyard,-1.5,36.25,wood\n")
    said = nightshift(*words, "--deployments", "places.csv", cwd=project)
    assert "2 images of cameras of which nobody says where they stood (gate-2)" in said.stdout
    assert faults(project / "out") == []
    (medium,) = table(project / "out", "media")
    assert (medium["timestamp"], medium["filePath"]) == (
        "2026-01-01T23:10:00-05:30",
        "https://example.org/p/yard/c.jpg",
    )
    assert table(project / "out", "deployments")[0]["habitat"] == "wood"
    assert json.loads((project / "out/datapackage.json").read_text())["taxonomic"] == [{"scientificName": "=fox"}]


def test_a_table_that_breaks_the_standard_is_seen(project: Path, night: Path) -> None:
    nightshift("export", "camtrap-dp", "latest", "out", cwd=project)
    media = project / "out/media.csv"
    media.write_text(media.read_text().replace("image/jpeg", "", 1).replace("gate-2", "elsewhere", 1))
    assert {kind for kind, _ in faults(project / "out")} == {"constraint-error", "foreign-key"}


def test_gdal_opens_the_answers(project: Path, night: Path) -> None:
    said = nightshift("export", "geojson", str(night), cwd=project)
    file = project / "exports/monday/answers.geojson"
    assert "2 rows without a place left out." in said.stdout
    about, _, points, columns = pyogrio.raw.read(file)
    assert (about["crs"], about["geometry_type"], len(points)) == ("EPSG:4326", "Point", 4)
    found = dict(zip(about["fields"], columns, strict=True))
    assert list(found["path"][:3]) == [*ROWS][:3]
    assert list(found["label"][:3]) == ["Canis lupus", "blank", "=fox"], "texts are what they are"
    assert list(found["confidence"][:2]) == [0.9, 0.4]
    bounds = pyogrio.read_info(file)["total_bounds"]
    assert bounds == pytest.approx((4.774, 51.496, 4.7744, 51.4962))
    before = file.read_bytes()
    nightshift("export", "geojson", cwd=project)
    assert file.read_bytes() == before


@pytest.mark.parametrize("form", ["camtrap-dp", "geojson"])
def test_nobody_is_told_where_without_consent(project: Path, night: Path, form: str) -> None:
    shutil.copy(REPOSITORY / "params.yaml", project)
    said = nightshift("export", form, cwd=project, check=False)
    assert said.returncode == 1
    assert "privacy.location of params.yaml is `drop`: nothing was written. If those who get it" in said.stderr
    assert not (project / "exports").exists()
    nightshift("tag", "latest", "--into", "cards", cwd=project)
    nightshift("sort", "latest", "folders", cwd=project)
    written = tree(project / "cards") | dict.fromkeys(tree(project / "folders"), b"")
    assert len(written) > len(ROWS)
    assert not [name for name, data in written.items() if b"51.49" in data or b"4.77" in data]
    (project / "params.yaml").write_text(
        (project / "params.yaml").read_text().replace("location: drop", "location: keep")
    )
    finished(project, ROWS)
    said = nightshift("export", form, cwd=project, check=False)
    assert "it was classified without privacy.location: keep. Classify the folder again." in said.stderr


def test_what_is_not_a_finished_night_and_what_is_anothers_file(project: Path, night: Path) -> None:
    (project / "exports/monday").mkdir(parents=True)
    (project / "exports/monday/answers.geojson").write_text("mine")
    said = nightshift("export", "geojson", cwd=project, check=False)
    assert "answers.geojson is not as an export wrote it: it is another's file, or was changed" in said.stderr
    said = nightshift("export", "geojson", "--utc-offset", "1", cwd=project, check=False)
    assert "1 is not an offset from UTC. Write it as +01:00" in said.stderr
    said = nightshift("export", "geojson", "--utc-offset", "Z", cwd=project, check=False)
    assert "are for camtrap-dp. Omit them." in said.stderr
    plan = {
        "input": str(project / "photos"), "model_name": "m", "model_version": "1", "contract_hash": "c" * 64,
        "started_at": "2026-01-03T02:00:00+00:00", "files": 2, "shards": 1,
    }  # fmt: skip
    books = night / ".nightshift"
    (books / "shards").mkdir(parents=True)
    (books / "plan.json").write_text(json.dumps(plan))
    (books / "shards/00000.json").write_text('["a", "b"]')
    for words in (("export", "geojson", "monday"), ("tag", "latest"), ("sort", str(night), "folders")):
        said = nightshift(*words, cwd=project, check=False)
        assert said.returncode == 1
        assert "is not finished: 0 of 2 files have rows. `nightshift classify photos` goes on with it" in said.stderr
    said = nightshift("tag", "photos", cwd=project, check=False)
    assert "photos is not the folder of a finished night: it has no summary.json." in said.stderr
    finished(project, ROWS, name="collect-2026-01-03").joinpath("summary.json").unlink()
    said = nightshift("sort", "collect-2026-01-03", "folders", cwd=project, check=False)
    assert "which is not a night. Run `nightshift classify photos` first, and name its night." in said.stderr
    shutil.rmtree(project / "predictions")
    said = nightshift("tag", cwd=project, check=False)
    assert "predictions/ has no finished night." in said.stderr
