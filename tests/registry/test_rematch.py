"""The champion asked about today's test images, through its own contract, whatever that is."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.core.errors import NightshiftError
from pipeline.data.prepared import Split
from pipeline.images.decode import decode
from pipeline.model.contract import CONTRACT
from pipeline.model.engine import Engine, load_engine
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.registry.comparison import Changed
from pipeline.registry.gate import Contest, Incomparable
from pipeline.registry.rematch import HeldOut, contest
from pipeline.storage.files import sha256_of_file
from tests.fixtures.models import write_colour_model

RULES = Images(width=32, height=24, fit="stretch", max_megapixels=1)
NAMES = ("blue", "red")
BY_COLOUR = [[-20.0, 20.0], [0, 0], [20, -20]]  # red rows speak for red, blue ones for blue


@pytest.fixture
def params(defaults: Params) -> Params:
    register = defaults.register_.model_copy(
        update={"gate": defaults.register_.gate.model_copy(update={"min_compared_images": 10})}
    )
    return defaults.model_copy(
        update={"register_": register, "evaluate": defaults.evaluate.model_copy(update={"resamples": 100})}
    )


@pytest.fixture
def images(tmp_path: Path) -> HeldOut:
    """40 files, blue and red by turns: the middle half in the class's colour, black at the sides."""
    rows = []
    for number in range(40):
        label = NAMES[number % 2]
        file = tmp_path / "raw" / label / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.new("RGB", (64, 48))
        colour = (255, 0, number) if label == "red" else (0, number, 255)
        picture.paste(colour, (16, 0, 48, 48))
        picture.save(file)
        rows.append((f"{label}/{file.name}", label, sha256_of_file(file)))
    table = pd.DataFrame(rows, columns=["path", "label", "sha256"])
    table["cluster"] = table["sha256"]
    pixels = np.stack([decode((tmp_path / "raw" / path).read_bytes(), RULES).pixels for path in table["path"]])
    return HeldOut(Split(table, pixels, np.arange(40) % 2), RULES, tmp_path / "raw")


@pytest.fixture
def new(tmp_path: Path, params: Params) -> Engine:
    """A model that is always right."""
    return load_engine(write_colour_model(tmp_path / "new", RULES, NAMES, BY_COLOUR, [0, 0]), params.compute)


def test_the_same_model_under_another_name_is_no_better_and_no_worse(
    tmp_path: Path, new: Engine, images: HeldOut, params: Params
) -> None:
    champion = write_colour_model(tmp_path / "champion", RULES, NAMES, BY_COLOUR, [0, 0])
    found = contest(new, 3, champion, None, images, params)
    assert isinstance(found, Contest)
    assert (found.version, found.comparison.images, found.seen, found.unreadable) == (3, 40, 0, 0)
    assert found.comparison.accuracy.new == found.comparison.accuracy.champion == 1
    assert found.comparison.changed == Changed(0, 0)
    assert found.unknown_training
    assert found.new_speed > 0 < found.champion_speed


def test_a_champion_of_another_size_and_fit_sees_the_files_by_its_own_rules(
    tmp_path: Path, new: Engine, images: HeldOut, params: Params
) -> None:
    # Of the cropped middle nothing is black. Only there does the mean pass the bar that this model sets for red.
    rules = Images(width=10, height=20, fit="crop", max_megapixels=1)
    bar = [[0, 40.0], [0, 0], [0, 0]], [0, -30.0]  # red where the mean red is above three quarters
    champion = write_colour_model(tmp_path / "champion", rules, NAMES, *bar)
    found = contest(new, 3, champion, None, images, params)
    assert isinstance(found, Contest)
    assert found.comparison.accuracy.champion == 1
    squeezed = write_colour_model(tmp_path / "squeezed", RULES, NAMES, *bar)
    found = contest(new, 3, squeezed, None, images, params)
    assert isinstance(found, Contest)
    assert found.comparison.accuracy.champion == 0.5, "under the new model's rules it would see black sides"


def test_classes_in_another_order_are_the_same_classes(
    tmp_path: Path, new: Engine, images: HeldOut, params: Params
) -> None:
    champion = write_colour_model(tmp_path / "champion", RULES, NAMES[::-1], [row[::-1] for row in BY_COLOUR], [0, 0])
    found = contest(new, 3, champion, None, images, params)
    assert isinstance(found, Contest)
    assert found.comparison.accuracy.champion == 1


def test_other_classes_are_named_and_not_compared(tmp_path: Path, new: Engine, images: HeldOut, params: Params) -> None:
    three = [[*row, 0.0] for row in BY_COLOUR]
    champion = write_colour_model(tmp_path / "champion", RULES, ("blue", "green", "teal"), three, [0, 0, 0])
    found = contest(new, 3, champion, None, images, params)
    assert found == Incomparable(3, "its classes differ; added: red, removed: green, teal")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / CONTRACT).write_text('{"version": 2}'), "the model's contract file"),
        (lambda folder: (folder / CONTRACT).unlink(), "contract.json is missing"),
        (lambda folder: (folder / "openvino/model.bin").write_bytes(b"x"), "are not the ones"),
    ],
    ids=["a later contract", "no contract", "other weights"],
)
def test_a_champion_that_cannot_be_asked_is_said_to_be_so(
    damage: object, words: str, tmp_path: Path, new: Engine, images: HeldOut, params: Params
) -> None:
    champion = write_colour_model(tmp_path / "champion", RULES, NAMES, BY_COLOUR, [0, 0])
    damage(champion)  # type: ignore[operator]
    found = contest(new, 3, champion, None, images, params)
    assert isinstance(found, Incomparable)
    assert words in found.reason
    assert str(tmp_path) not in found.reason
    assert len(found.reason) < 400


def test_images_that_the_champion_was_taught_with_are_left_out(
    tmp_path: Path, new: Engine, images: HeldOut, params: Params
) -> None:
    contents = images.split.table["sha256"]
    taught = pd.DataFrame({"sha256": contents, "split": ["train"] * 20 + ["val"] * 5 + ["test"] * 15})
    champion = write_colour_model(tmp_path / "champion", RULES, NAMES, BY_COLOUR, [0, 0])
    found = contest(new, 3, champion, taught, images, params)
    assert isinstance(found, Contest)
    assert (found.comparison.images, found.seen, found.unknown_training) == (15, 25, False)


def test_of_too_few_images_nothing_is_concluded(tmp_path: Path, new: Engine, images: HeldOut, params: Params) -> None:
    taught = pd.DataFrame({"sha256": images.split.table["sha256"], "split": ["train"] * 31 + ["test"] * 9})
    champion = write_colour_model(tmp_path / "champion", RULES, NAMES, BY_COLOUR, [0, 0])
    found = contest(new, 3, champion, taught, images, params)
    assert isinstance(found, Incomparable)
    assert "of 40 test images it was trained on 31 and cannot read 0; 9 are left" in found.reason


def test_images_that_the_champions_rules_cannot_read_are_left_out(
    tmp_path: Path, new: Engine, images: HeldOut, params: Params
) -> None:
    rules = RULES.model_copy(update={"max_megapixels": 64 * 48 / 1e6})
    large = images.raw / images.split.table["path"][4]
    with Image.open(large) as picture:
        picture.resize((128, 96)).save(large)
    images.split.table.loc[4, "sha256"] = sha256_of_file(large)
    champion = write_colour_model(tmp_path / "champion", rules, NAMES, BY_COLOUR, [0, 0])
    found = contest(new, 3, champion, None, images, params)
    assert isinstance(found, Contest)
    assert (found.comparison.images, found.unreadable) == (39, 1)
    assert found.comparison.accuracy.champion == 1, "each answer stays with its image"


def test_a_file_that_is_another_one_by_now_is_named(
    tmp_path: Path, new: Engine, images: HeldOut, params: Params
) -> None:
    file = images.raw / images.split.table["path"][7]
    file.write_bytes(b"another")
    rules = RULES.model_copy(update={"width": 16})
    champion = write_colour_model(tmp_path / "champion", rules, NAMES, BY_COLOUR, [0, 0])
    with pytest.raises(NightshiftError, match="red/07.png has changed since it was validated"):
        contest(new, 3, champion, None, images, params)


def test_near_copies_are_one_piece_of_evidence(tmp_path: Path, new: Engine, images: HeldOut, params: Params) -> None:
    images.split.table["cluster"] = ["one scene"] * 10 + [*images.split.table["sha256"][10:]]
    champion = write_colour_model(tmp_path / "champion", RULES, NAMES, BY_COLOUR, [0, 0])
    found = contest(new, 3, champion, None, images, params)
    assert isinstance(found, Contest)
    assert (found.comparison.images, found.comparison.units) == (40, 31)
