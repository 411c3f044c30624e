"""No file that we write says where a picture was taken; with `privacy.location: keep` only the rows do."""

import base64
import datetime
import re
import struct
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from pipeline.core.paths import RAW
from pipeline.exports.finished import finished_night
from pipeline.exports.night_export import Asked, export_night
from pipeline.exports.place import PlaceError
from pipeline.exports.sidecars import Wanted, tag
from pipeline.params.file import load_params
from pipeline.params.night import Privacy
from pipeline.preprocess import main as preprocess
from pipeline.validate import main as validate
from tests.fixtures.nights import classify, rows
from tests.fixtures.project import change_params
from tests.fixtures.taken import jpeg

NOON = datetime.datetime(2024, 5, 1, 12, 30, 15)
OXFORD = {"latitude": (51, 45, 7.2), "longitude": (1, 15, 28.8), "sides": "NW"}
SIGNS = (
    rb"51\.752", rb"-1\.258", rb"51[,\xc2\xb0 ]+45",
    *(re.escape(struct.pack(f"{order}4I", 51 * 100, 100, 45 * 100, 100)) for order in "<>"),  # EXIF's rationals
    *(re.escape(struct.pack(f"{order}4I", 51, 1, 45, 1)) for order in "<>"),
    *(re.escape(struct.pack(f"{order}d", value)) for order in "<>" for value in (51.752, -1.258)),
)  # fmt: skip
SIGN = re.compile(b"|".join(SIGNS))
INSIDE = re.compile(rb"base64,([A-Za-z0-9+/=]+)")  # a page's pictures


def located(folder: Path) -> list[Path]:
    """Pictures with the same content, which say where they were taken, in place of all those below `folder`."""
    pictures = sorted(folder.rglob("*.png"))
    for number, file in enumerate(pictures):
        with Image.open(file) as image:
            at = NOON + datetime.timedelta(minutes=number)
            file.with_suffix(".jpg").write_bytes(jpeg(at, "+02:00", image=image.convert("RGB"), **OXFORD))
        file.unlink()
    return pictures


def telling(folder: Path) -> Iterator[Path]:
    """The files below `folder` that say a place, also inside a picture of a page."""
    for file in folder.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            if SIGN.search(data) or any(SIGN.search(base64.b64decode(found)) for found in INSIDE.findall(data)):
                yield file


def taken_out(folder: Path, privacy: Privacy) -> Path:
    """A folder with all that a night in `folder`/out is taken out as."""
    night, taken = finished_night(str(folder / "out")), folder / "taken"
    wanted = Wanted(frozenset({"ok", "unsure"}), into=taken / "cards", keep_place=privacy.keeps_location)
    assert tag(night, wanted).done["written"] == night.summary.listed
    for form, name in (("geojson", "answers.geojson"), ("camtrap-dp", "camtrap-dp")):
        with nullcontext() if privacy.keeps_location else pytest.raises(PlaceError, match="nothing was written"):
            export_night(form, str(night.output), str(taken / name), privacy, Asked())
    return taken


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    picture = jpeg(NOON, "", **OXFORD)
    (tmp_path / "a.jpg").write_bytes(picture)
    (tmp_path / "b.html").write_bytes(b"<img src='data:image/jpeg;base64," + base64.b64encode(picture) + b"'>")
    (tmp_path / "c.csv").write_text("51.752000,-1.258000")
    pd.DataFrame({"latitude": [51.752]}).to_parquet(tmp_path / "d.parquet", compression=None)
    (tmp_path / "e.html").write_text("an hour and 51 minutes")

    assert sorted(file.name[0] for file in telling(tmp_path)) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(("location", "said"), [("drop", []), ("keep", ["predictions.csv", "predictions.parquet"])])
def test_a_night_says_no_place_unless_it_is_kept(
    project: Path, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str, said: list[str]
) -> None:
    """In a project of its own: other tests write into the one they share while this one reads all its files."""
    monkeypatch.chdir(project)
    params = load_params()
    batch = params.batch.model_copy(update={"parquet": True})
    params = params.model_copy(update={"privacy": Privacy(location=location), "batch": batch})  # type: ignore[arg-type]
    located(night)

    classify(night, tmp_path / "out", params)

    found = rows(tmp_path / "out")
    assert {row["taken_at"][:10] for row in found} == {"2024-05-01"}
    assert {row["camera"] for row in found} == {"X 1 77"}
    assert {row.get("latitude") for row in found} == ({"51.752000"} if location == "keep" else {None})
    assert sorted(file.name for file in telling(tmp_path / "out")) == said
    columns = pd.read_parquet(tmp_path / "out/predictions.parquet")
    assert ("latitude" in columns) == (location == "keep")
    assert not [file for file in telling(Path()) if RAW not in file.parents], "in logs, MLflow's store or its artifacts"
    assert sorted(file.name for file in telling(taken_out(tmp_path, params.privacy))) == (
        ["answers.geojson", "datapackage.json", "deployments.csv"] if location == "keep" else []
    )


def test_what_training_keeps_of_pictures_says_no_place(data: Path) -> None:
    pictures = located(data)
    change_params(Path(), {"privacy": {"location": "keep"}})

    validate()
    preprocess()

    assert len(pd.read_parquet("data/prepared/train.parquet")) < len(pictures)
    assert sorted(file.suffix for file in telling(data)) == [".jpg"] * len(pictures)
    assert not [file for file in telling(Path()) if RAW not in file.parents]
