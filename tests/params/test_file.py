"""params.yaml: loads as shipped; a wrong edit is answered in one line that says what to do."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from pipeline.model.contract import Contract
from pipeline.params.data import Images, Tiles
from pipeline.params.file import Params, ParamsError, load_params
from tests.fixtures.project import REPOSITORY

GONE = object()


def edited(folder: Path, key: str, value: object) -> Path:
    """The shipped file with one key set to `value`, or taken away."""
    values: Any = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    *sections, last = key.split(".")
    place = values
    for section in sections:
        place = place[section]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def test_the_shipped_file_loads_with_its_values(defaults: Params) -> None:
    assert (defaults.seed, defaults.images.width, defaults.images.fit) == (7, 224, "stretch")
    assert defaults.validate_.class_names is None
    assert defaults.train.head.learning_rate == 0.001
    assert defaults.register_.gate.min_accuracy == 0.7


def test_a_file_from_before_averages_trains_one_network_without_flips(tmp_path: Path) -> None:
    values = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    del values["train"]["ensemble"], values["train"]["test_time_flips"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    train = load_params(tmp_path / "params.yaml").train
    assert (train.ensemble, train.test_time_flips) == (1, False)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        pytest.param("images.width", "224", ["'224'", "valid integer"], id="text for a number"),
        pytest.param("images.width", 224.5, ["224.5", "integer"], id="fraction for a whole number"),
        pytest.param("seed", True, ["True", "integer"], id="true is no number"),
        pytest.param("train.head.learning_rate", "1e-5", ["'1e-5'", "number (in YAML: 1.0e-05)"], id="1e-5 is text"),
        pytest.param("images.height", 4, ["is 4", "greater than or equal to 8"], id="too small"),
        pytest.param("train.head.epochs", 0, ["is 0", "greater than or equal to 1"], id="no epochs"),
        pytest.param("train.fine_tune.steps", "many", ["'many' is not a valid number", "auto"], id="steps by a word"),
        pytest.param("train.fine_tune.steps", 1.5, ["1.5 is not a valid number of steps"], id="half a step"),
        pytest.param("train.fine_tune.steps", -1, ["-1 is not", "from 0 (off)"], id="negative steps"),
        pytest.param("train.budget_minutes", 0, ["is 0", "greater than 0"], id="no time"),
        pytest.param("train.ensemble", 0, ["is 0", "greater than or equal to 1"], id="no network"),
        pytest.param("train.head.method", "lda", ["'lda'", "'auto'", "'nearest_mean'"], id="unknown head"),
        pytest.param("evaluate.interval_level", 1, ["is 1", "less than 1"], id="too large"),
        pytest.param("evaluate.slices", "site", ["'site'", "list"], id="one column that is no list"),
        pytest.param("evaluate.smallest_slice", 1, ["is 1", "greater than or equal to 2"], id="slice of one image"),
        pytest.param("images.max_megapixels", float("nan"), ["nan", "greater than 0"], id="not a number"),
        pytest.param("model.backbone", "resnet", ["'resnet'", "'efficientnet_lite0'", "'cnn'"], id="unknown backbone"),
        pytest.param("images.fit", "zoom", ["'zoom'", "'stretch'", "'pad'", "'crop'"], id="unknown choice"),
        pytest.param("validate.class_names", ["yes", False], [".2 is False", "valid string", "quotes"], id="bare no"),
        pytest.param("validate.class_names", "cat", ["'cat'", "list"], id="one name for a list"),
        pytest.param("register.model_name", "a/b", ["'a/b'", "contains one of"], id="slash in the model's name"),
        pytest.param("register.model_name", "Anna's", ["Anna's", "contains one of"], id="apostrophe in it"),
        pytest.param("register.model_name", 'the "best"', ["best", "contains one of"], id="quotes in it"),
        pytest.param("register.model_name", "cells ", ["'cells '", "with a blank"], id="blank at its end"),
        pytest.param("register.model_name", "a\nb", ["not a valid name"], id="line break in it"),
        pytest.param("images.window", [40, 0], ["[40, 0] is not a valid window", "width above 0"], id="zero width"),
        pytest.param("images.window", [40], ["[40] is not a valid window", "[centre, width]"], id="window of one"),
        pytest.param("images.window", "lung", ["'lung' is not a valid window", "file"], id="window by a name"),
        pytest.param("images.window", [True, 5], ["is not a valid window"], id="window of true"),
        pytest.param("images.window", [float("nan"), 5], ["is not a valid window"], id="window at no number"),
        pytest.param("images.tiles", {"size": 8}, ["images.tiles.size is 8", "greater than or equal to 32"], id="8 px"),
        pytest.param("images.tiles", {"sise": 512}, ["images.tiles.sise", "did you mean size?"], id="a tile's word"),
        pytest.param("images.tiles", {"ignore": "dark"}, ["images.tiles.ignore is 'dark'", "'blank'"], id="dark tiles"),
        pytest.param("images.bands", [1, 2], ["[1, 2] is not a valid choice of bands", "three numbers"], id="2 bands"),
        pytest.param("images.bands", [0, 1, 2], ["[0, 1, 2] is not a valid choice of bands", "from 1 on"], id="band 0"),
        pytest.param("images.bands", [1.5, 1, 2], ["is not a valid choice of bands"], id="half a band"),
        pytest.param("images.bands", "rgb", ["'rgb' is not a valid choice of bands"], id="bands by a name"),
        pytest.param(
            "images.stretch", [98, 2], ["[98, 2] is not a valid stretch", "0 <= low < high <= 100"], id="upside down"
        ),
        pytest.param("images.stretch", [2, 101], ["[2, 101] is not a valid stretch"], id="stretch above 100"),
        pytest.param("images.stretch", None, ["None is not a valid stretch"], id="no stretch"),
        pytest.param("images.denoise", "gauss", ["'gauss'", "'median'", "'non_local_means'"], id="unknown denoising"),
        pytest.param("images.clahe", -1, ["is -1", "greater than or equal to 0"], id="negative clip limit"),
        pytest.param("images.widht", 9, ["known key", "did you mean width?", "max_megapixels"], id="misspelt key"),
        pytest.param("train.head.zzz", 9, ["known key", "Allowed here", "dropout"], id="unknown key"),
        pytest.param("validat", 9, ["known key", "did you mean validate?", "batch"], id="misspelt section"),
        pytest.param("batch.shard_size", GONE, ["missing", "`nightshift upgrade --write` adds it"], id="missing key"),
        pytest.param("register.gate", GONE, ["missing", "`nightshift upgrade --write` adds it"], id="missing section"),
        pytest.param("batch", None, ["None", "dictionary"], id="empty section"),
        pytest.param(
            "preprocess.fractions", {"train": 0.8, "val": 0.2, "test": 0.1},
            ["train 0.8", "val 0.2", "test 0.1", "1.1", "must add up to 1"], id="fractions above 1",
        ),
        pytest.param(
            "preprocess.fractions", {"train": 0.6, "val": 0.2, "test": 0.1}, ["0.9", "must add up to 1"],
            id="fractions below 1",
        ),
    ],
)  # fmt: skip
def test_a_wrong_edit_is_one_line_with_key_value_and_what_is_allowed(
    tmp_path: Path, key: str, value: object, said: list[str]
) -> None:
    file = edited(tmp_path, key, value)
    with pytest.raises(ParamsError) as caught:
        load_params(file)
    text = str(caught.value)
    assert text.startswith(f"{file}: {key}")
    assert "\n" not in text
    assert not [part for part in said if part not in text], text


def test_two_wrong_edits_are_two_lines(tmp_path: Path) -> None:
    file = edited(tmp_path, "seed", -1)
    file.write_text(file.read_text().replace("fit: stretch", "fit: squash"))
    with pytest.raises(ParamsError) as caught:
        load_params(file)
    first, second = str(caught.value).splitlines()
    assert "seed is -1" in first
    assert "images.fit is 'squash'" in second


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(b"seed: [7", "is not valid YAML", id="not YAML"),
        pytest.param(b"seed: '\xff'", "cannot be read", id="not UTF-8"),
        pytest.param(
            b"seed: 7\nseed: 8", "second time: keep one of the two, line 2, column 1: seed: 8", id="key twice"
        ),
        pytest.param(b"train: {steps: 1}\ntrain: {}", "the key train is here for the second time", id="section twice"),
        pytest.param(b"just words", "'just words'", id="no mapping"),
        pytest.param(b"", "is empty", id="empty"),
    ],
)
def test_a_file_that_is_no_parameters_at_all_is_one_line_too(tmp_path: Path, text: bytes, said: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(text)
    with pytest.raises(ParamsError) as caught:
        load_params(file)
    assert str(file) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_with_another_name_by_now_is_one_line_with_the_new_name(tmp_path: Path) -> None:
    file = edited(tmp_path, "train.outlier_percentile", 99)
    file.write_text(re.sub("outlier_alarms: .*", "", file.read_text()))
    with pytest.raises(ParamsError) as caught:
        load_params(file)
    assert str(caught.value) == (
        f"{file}: train.outlier_percentile is now train.outlier_alarms, the share of false alarms: 0.05 where the "
        "percentile was 95."
    )


def test_epochs_of_fine_tuning_are_steps_by_now(tmp_path: Path) -> None:
    file = edited(tmp_path, "train.fine_tune.epochs", 4)
    file.write_text(re.sub("(?<= )steps: .*", "", file.read_text()))
    with pytest.raises(ParamsError) as caught:
        load_params(file)
    assert str(caught.value) == (
        f"{file}: train.fine_tune.epochs is now train.fine_tune.steps, steps of gradient descent: auto, or 0 for no "
        "fine-tuning."
    )


def test_a_missing_file_says_where_to_go(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"none\.yaml is not in .* Change to the folder of your Nightshift project"):
        load_params(tmp_path / "none.yaml")


def test_rules_from_yaml_are_those_from_json_and_have_a_hash(tmp_path: Path) -> None:
    file = edited(tmp_path, "images.window", [40, 400])
    file = edited_again(file, bands=[4, 3, 2], stretch=[1, 99.5], denoise="median", clahe=2)
    rules = load_params(file).images
    assert (rules.window, rules.bands, rules.stretch) == ((40.0, 400.0), (4, 3, 2), (1.0, 99.5))
    assert Images.model_validate_json(rules.model_dump_json()) == rules
    assert Images.model_validate(json.loads(json.dumps(rules.model_dump()))) == rules
    assert hash(rules) == hash(Images.model_validate(rules.model_dump()))


def edited_again(file: Path, **changes: object) -> Path:
    values = yaml.safe_load(file.read_text())
    values["images"].update(changes)
    file.write_text(yaml.safe_dump(values))
    return file


OLD_CONTRACT = """{"version": 1, "class_names": ["a", "b"], "images": {"width": 224, "height": 224, "fit": "stretch",
"max_megapixels": 100.0}, "backbone": "cnn", "temperature": 1.5, "unsure_below": 0.25, "dataset_sha256": "d",
"weights_sha256": "w", "code_commit": "c"}"""


def test_a_contract_from_before_the_later_keys_reads_means_the_same_and_keeps_its_name() -> None:
    """Registered models are found by this hash: were it another, each would be registered once more."""
    contract = Contract.model_validate_json(OLD_CONTRACT)
    assert contract.images == Images(width=224, height=224, fit="stretch", max_megapixels=100)
    assert contract.hash == "dc5821085290f7bff6e5ccfca6ab4c12d97c2c2d6dcde4a866a4438619d54a0e"
    with_clahe = contract.model_copy(update={"images": contract.images.model_copy(update={"clahe": 2.0})})
    assert with_clahe.hash != contract.hash
    with_tiles = contract.model_copy(update={"images": contract.images.model_copy(update={"tiles": Tiles()})})
    assert with_tiles.hash != contract.hash


@pytest.mark.parametrize("section", ["images", "compute", "model", "preprocess", "train", "batch"])
def test_parameters_cannot_be_changed(defaults: Params, section: str) -> None:
    inner = getattr(defaults, section)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(defaults, section, inner)
    name = next(iter(type(inner).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(inner, name, getattr(inner, name))
