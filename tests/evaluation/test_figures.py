"""Every figure of an evaluation is drawn whatever its labels, files and slices are called, without a warning."""

import io
import warnings

import numpy as np
import pandas as pd

from pipeline.core.figures import Words
from pipeline.data.prepared import Split
from pipeline.evaluation.figures import draw_all
from pipeline.evaluation.findings import Findings
from pipeline.evaluation.measure import evaluate
from pipeline.evaluation.slices import measure_slices
from pipeline.model.answers import Answers, Judged
from pipeline.params.file import Params
from tests.fixtures.images import noise

NAMES = ("$a$", "$\\frac{", "猫 \U00013000", "🐈")


def test_labels_of_any_alphabet_and_dollar_signs_are_drawn_and_named(defaults: Params) -> None:
    labels = np.arange(120) % 4
    said = np.where(np.arange(120) % 7 == 0, (labels + 1) % 4, labels)
    answers = Answers(labels, (np.eye(4, dtype=np.float32)[said] * 0.8 + 0.05).astype(np.float32))
    judged = Judged(answers, answers, NAMES, 0.5, np.arange(120))
    paths = [f"{NAMES[label]}/{number} $x$ 猫.png" for number, label in enumerate(labels)]
    sites = np.where(labels == 2, NAMES[2], "$near$")
    table = pd.DataFrame({"path": paths, "site": sites, "brightness": np.arange(120.0)})
    slices = measure_slices(table.drop(columns=["path", "brightness"]), judged, defaults.evaluate)
    numbers = evaluate(judged, slices, None, defaults.evaluate.model_copy(update={"resamples": 100}), seed=1)
    test = Split(images=np.stack([noise(8, 8, seed) for seed in range(120)]), labels=labels, table=table)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # a glyph that no font has
        figures = draw_all(Findings(numbers, slices, None, None), judged, test, seed=1)
        for figure in figures.values():
            figure.savefig(io.BytesIO())
    ticks = [text.get_text() for text in figures["confusion_matrix"].axes[0].get_yticklabels()]
    assert ticks == Words.of([*NAMES, *paths]).labels(NAMES)
    assert ticks[:2] == list(NAMES[:2])
    assert "mistakes" in figures
