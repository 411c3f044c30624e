"""A label stands in a figure as it is written, or as a number where no font of this machine has its letters."""

import io
import warnings

import pytest
from matplotlib.figure import Figure

from pipeline.core.figures import Words, numbered

NAMES = [
    "cat", "$x$", "a $ b $", "$\\frac{1}", "Käfer", "Ж", "猫", "熊 bear", "🐈", "مرحبا", "\ud7ff", "a\nb", "\x07",
    "_hidden", "",
]  # fmt: skip


def test_any_label_is_drawn_without_a_warning_or_an_error() -> None:
    words = Words.of(NAMES)
    with warnings.catch_warnings(), words.drawing():
        warnings.simplefilter("error")
        figure = Figure(layout="constrained")
        axes = figure.subplots()
        axes.set_xticks(range(len(NAMES)), words.labels(NAMES))
        for name, shown in zip(NAMES, words.labels(NAMES), strict=True):
            axes.plot([0, 1], label=shown)
            axes.set_title(words.plain(name))
        axes.legend()
        figure.savefig(io.BytesIO())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO())  # outside the block too


@pytest.mark.parametrize("name", ["cat", "Käfer", "Ж", "$x$", "a $ b $", "_hidden", "100 %"])
def test_what_a_font_has_stays(name: str) -> None:
    assert Words.of([name]).labels([name]) == [name]
    assert numbered([name]) == []


def test_what_no_font_has_becomes_its_number() -> None:
    words = Words(missing=frozenset("猫"))
    assert words.labels(["cat", "猫", "dog 猫"]) == ["cat", "#2", "#3"]
    assert words.plain("photo 猫.png") == "photo ?.png"


def test_a_legend_names_what_became_a_number() -> None:
    names = ["cat", *(chr(letter) for letter in range(0x13000, 0x13003))]  # hieroglyphs
    shown = Words.of(names).labels(names)
    assert numbered(names) == [pair for pair in zip(shown, names, strict=True) if pair[0] != pair[1]]
