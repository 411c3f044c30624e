"""A night in the trained project as a review: what it shows of an image, and that a run again keeps judgements."""

import io
import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from pipeline.data.judgements import Judgements
from pipeline.model.contract import read_contract
from pipeline.params.data import Images
from pipeline.params.file import load_params
from pipeline.review.app import make_app
from pipeline.review.clicks import Click
from pipeline.review.explain import Explainer
from pipeline.review.of_night import ReviewError, newest_night, open_night
from pipeline.review.pictures import PictureError, Pictures
from pipeline.review.session import Session
from pipeline.storage.folders import folder_at
from tests.fixtures.finished import finished
from tests.fixtures.models import write_colour_model
from tests.fixtures.nights import classify
from tests.fixtures.project import REPOSITORY, draw_shape


@pytest.fixture
def night(registry_project: Path) -> Path:
    """A night over four new photographs."""
    for number in range(4):
        draw_shape(registry_project / f"photos/{number}.png", ("circle", "square")[number % 2], seed=900 + number)
    classify(Path("photos"), Path("predictions/night"), load_params())
    return Path("predictions/night")


def test_a_night_that_runs_again_over_judged_images_keeps_their_judgements(night: Path) -> None:
    review = open_night(folder_at(night))
    session = Session(review)
    judged, *_ = session.images
    session.judge("Ann", [Click(click="1", sha256=judged, label="square")])
    (night / "review.csv").write_text(f"path,sha256,correct_label\n0.png,{judged},\n")
    assert review.accuracy
    review.accuracy(session.judgements)
    assert f'0.png,{judged},square,"{{""Ann"": ""square""}}"' in (night / "review.csv").read_text()
    classify(Path("photos"), night, load_params())
    classify(Path("photos"), Path("predictions/later"), load_params())
    for output in (night, Path("predictions/later")):
        again = Session(open_night(folder_at(output)))
        found = again.verdict(judged)
        assert found is not None
        assert (found.label, found.readers, again.progress.done, again.progress.total) == ("square", ("Ann",), 1, 4)
    [line] = Path("data/labels.jsonl").read_text().splitlines()
    assert '"folder":"photos"' in line
    assert newest_night(Path("predictions")) == Path("predictions/later")


def test_an_image_has_its_training_images_what_the_model_looked_at_and_its_place_in_the_draw(night: Path) -> None:
    review = open_night(folder_at(night))
    assert review.labels == ("circle", "square")
    assert review.model
    measuring = open_night(folder_at(night), drawn=1.0).waiting
    sure = sum(one.status == "ok" for one in measuring)
    assert [one.chosen for one in measuring] == ["random"] * sure + ["doubt"] * (len(measuring) - sure)
    explainer = Explainer(review.model, load_params().compute)
    # A square has corners, whose loss the model notices; of a circle it may be sure whatever is covered.
    one = next(one for one in review.waiting if one.proposed == "square")
    picture = Pictures(review.images, Path("cache")).as_model_sees(one.sha256, one.place)
    beside = explainer.nearest(picture)
    assert all(Path(alike.place).is_file() for alike in beside)
    assert {alike.label for alike in beside} <= {"circle", "square"}
    heats = []
    for label in review.labels:
        with suppress(PictureError):  # no place speaks for this label
            heats.append(Image.open(io.BytesIO(explainer.heat(picture, label))))
    assert {heat.size for heat in heats} == {(512, 448)}, "in the image's shape, 80 x 70"
    assert max(np.asarray(heat)[:, :, 3].max() for heat in heats) > 200, "what lowers one of two raises the other"


def test_scenes_are_left_out_and_the_page_says_how_many_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    rules = Images(width=8, height=8, fit="stretch", max_megapixels=1)
    write_colour_model(tmp_path / "models/current", rules, ("cat", "dog"), [[1.0, 0.0]] * 3, [0.0, 0.0])
    output = finished(tmp_path, {"a.jpg": {"label": "cat"}, "b/scene.tif": {"label": "cat"}, "c.jpg": {}})
    about = json.loads((output / "summary.json").read_text())
    about["contract_hash"] = read_contract(tmp_path / "models/current").hash
    (output / "summary.json").write_text(json.dumps(about))
    (output / "scenes.csv").write_text("path,label\nb/scene.tif,cat\nb/scene.tif,dog\n")
    review = open_night(folder_at(output))
    assert [one.path for one in review.waiting] == ["a.jpg"]
    assert len(review.drawn) == 1
    assert review.accuracy is not None
    assert "judge 1 more" in review.accuracy(Judgements())
    page = TestClient(make_app(Session(review), Pictures(review.images))).get("/").text
    assert "1 scene is left out: a scene shows several classes, and a model learns from its tiles." in page
    assert "nightshift data tiles photos FOLDER" in page
    (output / "scenes.csv").unlink()
    everything = open_night(folder_at(output))
    assert ([one.path for one in everything.waiting], everything.left_out) == (["a.jpg", "b/scene.tif"], "")


def test_what_is_no_night_says_what_to_do(registry_project: Path) -> None:
    with pytest.raises(ReviewError, match="holds no finished night"):
        open_night(folder_at(Path("data")))
    with pytest.raises(ReviewError, match="nightshift classify"):
        newest_night(Path("nowhere"))
