"""Each camera is compared with its own earlier nights: what changed is named, and ordinary nights hardly ever are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pipeline.images.measures import measure_light
from pipeline.night.camera_looks import (
    FALSE_ALARM,
    LEAST,
    USUAL,
    CameraLook,
    as_view,
    beside_training,
    compared,
    is_moved,
    log_measures,
    median_with_error,
)  # fmt: skip
from pipeline.night.camera_views import detail, view_of, views_of
from pipeline.night.cameras import Cameras, earlier_looks
from pipeline.night.counts import feed
from pipeline.night.verdict import raised
from pipeline.params.file import Params
from pipeline.storage.files import sha256_of_file
from pipeline.storage.folders import folder_at
from tests.fixtures.summaries import BATCH, DRIFT, summary_of


def look(light: np.ndarray, view: str = "") -> CameraLook:
    """Of brightness, contrast, sharpness (3, n)."""
    brightness, contrast, sharpness = np.median(light, axis=1).tolist()
    measures = {name: median_with_error(values) for name, values in log_measures(light).items()}
    return CameraLook(
        images=light.shape[1], until="", how="", brightness=brightness, contrast=contrast, sharpness=sharpness,
        measures=measures, view=view,
    )  # fmt: skip


@pytest.mark.parametrize("spread", [0.1, 0.3, 0.6], ids=["calm", "as we expect", "wild"])
def test_ordinary_nights_name_a_camera_at_most_as_often_as_promised(spread: float) -> None:
    draw, named, nights = np.random.default_rng(5), 0, 0
    for _ in range(25):
        past: dict[str, list[CameraLook]] = {"gate": [], "door": []}
        for night in range(16):
            changed = False
            for name, earlier in past.items():
                light, clarity = draw.normal(0, spread, (2, 1)) + draw.normal(0, 0.3, (2, 40))  # its own, noise
                seen = np.stack([light, light, clarity + 2 * light])
                tonight = look(np.array([[90.0], [40.0], [300.0]]) * np.exp(seen))
                if night > 1:
                    tonight = compared(name, tonight, earlier[::-1], len(past))
                    changed |= bool(tonight.changed)
                earlier.append(tonight)
            named, nights = named + changed, nights + (night > 1)
    assert named <= FALSE_ALARM * nights + 2 * np.sqrt(FALSE_ALARM * nights)


def scenery(seed: int, side: int = 64) -> Image.Image:
    """A place that a camera looks at: coarse and fine structure."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(40, 200, (12, 12, 3)).astype(np.uint8)).resize((side, side))
    return Image.blend(coarse, Image.fromarray(draw.integers(0, 255, (side, side, 3)).astype(np.uint8)), 0.3)


def pictures_of(place: Image.Image, night: int, how: str = "") -> list[Image.Image]:
    """A night's pictures of a place, each with its own light and noise."""
    draw, found = np.random.default_rng(night), []
    for _ in range(LEAST):
        pixels = np.asarray(place, np.float64) * draw.uniform(0.8, 1.0) + draw.normal(0, 4, (*place.size, 3))
        picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        if how == "dirty":
            picture = picture.filter(ImageFilter.GaussianBlur(2))
        if how == "hazy":
            picture = Image.blend(picture, Image.new("RGB", place.size, (150, 150, 150)), 0.6)
        if how == "darker":
            picture = picture.point(lambda value: value // 4)
        found.append(picture)
    return found


def look_of(pictures: Sequence[Image.Image]) -> CameraLook:
    seen = [measure_light(np.asarray(one)) for one in pictures]
    light = np.array([[one.brightness, one.contrast, one.sharpness] for one in seen]).T
    return look(light, view_of([detail(np.asarray(one)) for one in pictures[:12]]))


@pytest.mark.parametrize(
    ("how", "place", "changed", "words"),
    [
        ("dirty", 1, ("dirty",), "gate-2 looks dirty or out of focus: sharpness "),
        ("hazy", 1, ("dirty",), "in brackets the median of its 4 earlier nights. Look after this camera"),
        ("darker", 1, ("darker",), "gate-2 is darker: brightness "),
        ("", 2, ("moved",), "gate-2 shows another view than on its earlier nights: was it moved? Look after"),
        ("", 1, (), ""),
    ],
)
def test_it_says_how_a_camera_changed(how: str, place: int, changed: tuple[str, ...], words: str) -> None:
    earlier = [look_of(pictures_of(scenery(1), night)) for night in range(4)]
    found = compared("gate-2", look_of(pictures_of(scenery(place), 9, how)), earlier, 2)
    assert found.changed == changed
    assert words in found.words
    assert bool(found.words) == bool(changed)
    assert found.nights == 4


def test_a_change_is_no_part_of_what_is_usual_until_it_has_stayed() -> None:
    usual = [look_of(pictures_of(scenery(1), night)) for night in range(4)]
    dirty = [look_of(pictures_of(scenery(1), night, "dirty")) for night in range(20, 35)]
    past = usual
    for tonight in dirty[:13]:
        past = [compared("gate", tonight, past, 1), *past]
    assert [one.changed for one in past] == [("dirty",)] * 13 + [()] * 4
    assert compared("gate", dirty[13], past, 1).changed == (), "so it looks now"
    assert compared("gate", usual[0], past[9:], 1).changed == (), "cleaned after four nights"


def test_a_camera_that_shows_many_views_is_not_said_to_be_moved() -> None:
    many = [detail(np.asarray(scenery(seed))) for seed in range(12)]
    assert view_of(many) == ""
    first, second = (as_view(detail(np.asarray(scenery(seed)))) for seed in (1, 2))
    assert is_moved(second, [first, first])
    assert not is_moved(second, [first, ""])
    assert not is_moved("", [first, first])
    assert not is_moved(second, [first, second])
    assert not is_moved(first, [])


def test_without_earlier_nights_a_camera_is_named_only_where_most_pictures_are_odd() -> None:
    tonight = look_of(pictures_of(scenery(1), 1))
    assert beside_training("gate", tonight, {"blurred": LEAST // 2, "small": LEAST}).changed == ()
    found = beside_training("gate", tonight, {"low_contrast": LEAST, "dark": LEAST // 2 + 1})
    assert found.changed == ("dirty", "darker")
    assert found.words.startswith("gate looks dirty or out of focus: 20 of 20 pictures are less sharp, or of less")


def test_an_alarm_names_the_camera_and_stands_for_the_whole_night_where_nothing_else_has_moved() -> None:
    camera = beside_training("gate-2", look_of(pictures_of(scenery(1), 1)), {"dark": LEAST})
    cameras = {"door": camera.model_copy(update={"words": ""}), "gate-2": camera}
    both = raised(summary_of(drift=DRIFT, cameras=cameras), BATCH)
    assert [alarm.about for alarm in both] == ["camera gate-2 changed", "not as in training"]
    [alone] = raised(summary_of(drift=DRIFT, cameras=cameras, only_cameras=True), BATCH)
    assert alone.words == camera.words


def rows_of(folder: Path, night: int, how: str = "") -> list[dict[str, str]]:
    """The rows of two cameras' pictures in `folder`, of which gate has changed."""
    rows = []
    for number, camera in enumerate(("door", "gate")):
        for n, picture in enumerate(pictures_of(scenery(number), 7 * night + number, how if camera == "gate" else "")):
            file = folder / camera / f"{night}-{n}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            picture.save(file)
            light = measure_light(np.asarray(picture))
            rows.append({
                "path": f"{camera}/{file.name}", "label": "cat", "flags": "", "camera": camera if number else "",
                "taken_at": f"2026-11-{night:02d}T02:00:{n:02d}", "sha256": sha256_of_file(file),
                "brightness": str(light.brightness), "contrast": str(light.contrast), "sharpness": str(light.sharpness),
            })  # fmt: skip
    return rows


def test_in_a_folder_that_grows_only_new_pictures_count_and_a_night_again_finds_the_same(
    tmp_path: Path, defaults: Params
) -> None:
    source, rules = folder_at(tmp_path / "photos"), defaults.images.model_copy(update={"width": 64, "height": 64})
    rows: list[dict[str, str]] = []
    named = {}
    for night in (1, 2, 3, 4, 5, 4):  # the fourth twice
        rows += rows_of(tmp_path / "photos", night, "dirty" if night == 4 else "")
        output, began = folder_at(tmp_path / "nights" / f"{night}"), f"2026-11-{night:02d}T06:00:00+00:00"
        output.path.mkdir(parents=True, exist_ok=True)
        cameras = Cameras(earlier_looks(output, began), rules)
        feed([row for row in rows if row["taken_at"] < began], [cameras])
        looks = cameras.found(source, rules, 1)
        assert [one.images for one in looks.values()] == [LEAST, LEAST] or night == 4
        assert all(one.view for one in looks.values())
        summary_of(started_at=began, cameras=looks).write(output)
        named[night] = {name: one.changed for name, one in looks.items() if one.changed}
        assert named[night] == ({"gate": ("dirty",)} if night == 4 else {})


def test_a_camera_with_too_few_pictures_says_nothing_and_neither_does_a_row_without_camera_and_time(
    tmp_path: Path, defaults: Params
) -> None:
    rows = rows_of(tmp_path, 1)
    cameras = Cameras({}, defaults.images)
    feed(rows[: LEAST - 1], [cameras])
    feed([{**row, "camera": "", "taken_at": ""} for row in rows], [cameras])
    feed([{**row, "label": "", "sharpness": ""} for row in rows], [cameras])
    assert cameras.found(folder_at(tmp_path), defaults.images, 1) == {}
    assert [*cameras.few().values()] == [LEAST - 1]
    assert views_of(folder_at(tmp_path), {}, defaults.images, 1) == {}
    assert set(USUAL) == set(look_of(pictures_of(scenery(1), 1)).measures)
