"""The model card has the headings of Mitchell et al., and what it says comes from the run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.core.paths import MODEL, MODEL_CARD
from pipeline.data.judgements import Judgement, keep
from pipeline.data.prepared import SplitName
from pipeline.evaluation import model_card
from pipeline.evaluation.findings import Findings
from pipeline.evaluation.measure import evaluate
from pipeline.evaluation.model_card import (
    fragile,
    image_kinds,
    image_sizes,
    judged_words,
    parameter_count,
    weights_licence,
)
from pipeline.evaluation.robustness import ROBUSTNESS_COLUMNS
from pipeline.evaluation.slices import measure_slices
from pipeline.model.contract import KERAS, Contract
from pipeline.params.file import Params
from pipeline.params.model import Model
from tests.fixtures.certificates import UNCERTAIN
from tests.fixtures.evaluations import SIDE, judge, write_colour_model, write_images

HEADINGS = (
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data", "Quantitative analyses",
    "Ethical considerations", "Caveats and recommendations",
)  # fmt: skip
ROBUSTNESS = [
    ("none", 0, 9, 0.9, 0.9, 0.1),
    ("blur", 1, 9, 0.9, 0.85, 0.1), ("blur", 2, 9, 0.8, 0.7, 0.2), ("blur", 3, 9, 0.5, 0.5, 0.3),
    ("noise", 1, 9, 0.9, 0.9, 0.1), ("noise", 2, 9, 0.9, 0.85, 0.1), ("noise", 3, 9, 0.9, 0.81, 0.1),
]  # fmt: skip


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defaults: Params) -> str:
    monkeypatch.chdir(tmp_path)
    write_colour_model(tmp_path / MODEL, unsure_below=0.4)
    write_images([0, 1, 2, 2], [0, 1, 2, 1])
    Path("dvc.lock").write_text(
        "stages:\n  validate:\n    deps:\n    - {path: data/raw, md5: 0123abc.dir}\n    outs: []\n", encoding="utf-8"
    )
    rng = np.random.default_rng(0)
    labels, bad = np.arange(120) % 3, np.arange(120) >= 80
    said = np.where(rng.random(120) < np.where(bad, 0.3, 0.97), labels, (labels + 1) % 3)
    judged = judge(labels, np.where(said[:, None] == np.arange(3), 0.9, 0.05))
    judged = replace(judged, candidates_above=(0.01, 0.01, 0.5))
    slices = measure_slices(pd.DataFrame({"si|te": np.where(bad, "*far*", "near")}), judged, defaults.evaluate)
    robustness = pd.DataFrame(ROBUSTNESS, columns=list(ROBUSTNESS_COLUMNS))
    numbers = evaluate(judged, slices, robustness, defaults.evaluate.model_copy(update={"resamples": 100}), seed=1)
    contract = Contract.model_validate_json((MODEL / "contract.json").read_bytes())
    contract = contract.model_copy(update={"certificate": UNCERTAIN})
    findings = Findings(numbers, slices, robustness, None)
    averaged = defaults.train.model_copy(update={"ensemble": 3, "test_time_flips": True})
    model_card.write_model_card(findings, contract, defaults.model_copy(update={"train": averaged}))
    return MODEL_CARD.read_text(encoding="utf-8")


def test_the_card_has_every_heading_and_what_the_run_gave(card: str, defaults: Params) -> None:
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == list(HEADINGS)
    for words in (
        "`cnn`", "18 parameters", "d" * 64, "`0123abc.dir`", "| red | 1 | 1 | 1 |", "| all | 3 | 3 | 4 |",
        "PNG RGB 8 bits a channel (100.0%)", "40 to 42 pixels wide and 30 high", "smaller than 30 pixels",
        "the mean of 3 networks, each trained from a seed of its own, over each image and its mirror image.",
        "24 of the 256 bits", "below 0.400 is marked `unsure`",
        "for each class 90% of its images have their label among them", "least often `c`, ",
        defaults.evaluate.intended_use.strip()[:60],
        UNCERTAIN.words,
    ):  # fmt: skip
        assert words in card, words


def test_the_card_names_what_the_model_is_worse_on(card: str) -> None:
    assert "| si\\|te: \\*far\\* | 40 |" in card
    assert "near" not in card
    assert "| blur | 2 | 70.0 % | 20 % |" in card
    assert "| noise |" not in card
    assert "Collect more training images" in card


def test_tables_have_equally_many_columns_in_each_row(card: str) -> None:
    rows: list[str] = []
    for line in [*card.replace("\\|", "").splitlines(), ""]:
        if line.startswith("|"):
            rows.append(line)
        elif rows:
            assert len({row.count("|") for row in rows}) == 1, rows
            assert set(rows[1]) <= set("|-:"), "the second row rules the columns"
            rows = []


def test_a_corruption_is_named_at_the_weakest_strength_that_costs_much() -> None:
    found = fragile(pd.DataFrame(ROBUSTNESS, columns=list(ROBUSTNESS_COLUMNS)))
    assert [(one["corruption"], one["strength"]) for one in found] == [("blur", 2)]
    assert fragile(None) == []


def test_parameters_are_counted_frozen_ones_too_and_dropouts_state_not(tmp_path: Path) -> None:
    import keras
    from keras import layers

    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Dropout(0.5, seed=1)(layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs)))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    model.layers[1].trainable = False
    model.save(tmp_path / KERAS)
    assert parameter_count(tmp_path / KERAS) == (27 * 4 + 4) + 4 * 4 + (4 * 2 + 2)  # convolution, normalisation, head


@pytest.mark.parametrize(
    ("model", "words"),
    [
        pytest.param({"backbone": "efficientnet_lite0", "weights": "package"}, "Apache-2.0", id="known"),
        pytest.param({"backbone": "efficientnet_lite0", "weights": "none"}, "random weights", id="none"),
        pytest.param({"backbone": "cnn", "weights": "none"}, "random weights", id="from scratch"),
        pytest.param(
            {"backbone": "vit", "weights": "mine.keras"}, "unknown: check the source of `mine.keras`", id="other"
        ),
    ],
)
def test_the_licence_is_said_or_said_to_be_unknown(defaults: Params, model: dict[str, Any], words: str) -> None:
    chosen = Model.model_construct(**model)
    assert words in weights_licence(defaults.model_copy(update={"model": chosen}))


def test_kinds_and_sizes_of_images() -> None:
    table = pd.DataFrame(
        {"format": ["JPEG", "JPEG", "PNG", None], "mode": ["RGB", "RGB", "L", "L"], "bits": [8, 8, 16, 8],
         "width": [30, 40, 50, 60], "height": [20, 20, 20, 20]}
    )  # fmt: skip
    assert image_kinds(table)[0] == "JPEG RGB 8 bits a channel (50.0%)"
    assert "? L 8 bits a channel (25.0%)" in image_kinds(table)
    assert image_sizes(table) == {"width": "30 to 60", "height": "20", "shortest": 20}


def test_the_card_counts_whose_judgements_the_model_learnt_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images = [f"{number:064x}" for number in range(5)]
    table = pd.DataFrame({"sha256": images, "label": ["ant", "ant", "bee", "bee", "bee"]})
    tables: dict[SplitName, pd.DataFrame] = {"train": table[:3], "val": table[3:4], "test": table[4:]}
    assert judged_words(tables) == ""
    said = [
        ("ada", 0, "Ant"),
        ("bob", 0, "ant"),
        ("ada", 2, "bee"),
        ("bob", 1, "bee"),
        ("bob", 3, ""),
        ("cy", 4, "bee"),
    ]
    keep(
        Judgement(sha256=images[number], path="x", reader=reader, source="night", label=label, reject=not label)
        for reader, number, label in said
    )
    assert judged_words(tables) == (
        "People have judged 2 of the 4 training and validation images as they are labelled here (labels.jsonl): ada 2, "
        "bob 1."
    )
    Path("data/labels.jsonl").write_text("{}\n")
    assert judged_words(tables) == "", "a damaged file costs no evaluation"
