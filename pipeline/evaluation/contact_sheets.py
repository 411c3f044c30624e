"""The evaluation's contact sheets: mistakes, doubtful hits, corruptions, evidence maps. Measures nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.evaluation.robustness import CORRUPTIONS, STRENGTHS, corrupted
from pipeline.model.answers import Judged

PER_LINE = 6  # pictures
PER_SHEET = 18  # images
NAME_LENGTH = 22  # characters of a file's name below its picture
CELL = 1.75  # inches, of a picture and the space around it
MARGIN = 0.62  # inches, of the words around a picture
RIGHT, WRONG = "#23803f", "#b3261e"


@dataclass(frozen=True, slots=True)
class Cell:
    """An image (height, width, 3), 0..255, the text above it, whether that is in red, and the text below."""

    pixels: NDArray[np.uint8]
    above: str
    alarm: bool
    below: str


def mistakes(judged: Judged) -> NDArray[np.int64]:
    """The numbers of the images answered wrongly with the most confidence, that first."""
    return _first(judged, ~judged.answers.correct, -judged.answers.confidence)


def doubtful_hits(judged: Judged) -> NDArray[np.int64]:
    """The numbers of the images answered rightly with the least confidence, that first."""
    return _first(judged, judged.answers.correct, judged.answers.confidence)


def _first(judged: Judged, among: NDArray[np.bool_], rank: NDArray[np.float32]) -> NDArray[np.int64]:
    order = np.argsort(rank, kind="stable")
    return np.asarray(order[among[order]][:PER_SHEET], np.int64)


def cells(judged: Judged, images: NDArray[np.uint8], paths: Sequence[str], rows: NDArray[np.int64]) -> list[Cell]:
    """The images with these numbers, each with answer, confidence, file name, and the label if it is another."""
    found = []
    for row in rows:
        said, truth = (judged.class_names[side[row]] for side in (judged.answers.predicted, judged.answers.labels))
        of = "" if said == truth else f"\nis {truth}"
        words = f"{said} {judged.answers.confidence[row]:.0%}{of}"
        found.append(Cell(images[row], words, said != truth, _short(paths[row])))
    return found


def _short(path: str) -> str:
    name = PurePosixPath(path).name
    return name if len(name) <= NAME_LENGTH else f"…{name[1 - NAME_LENGTH :]}"


def draw_sheet(shown: Sequence[Cell]) -> Figure:
    """Draw a contact sheet."""
    lines = max(1, -(-len(shown) // PER_LINE))
    figure = Figure(figsize=(CELL * PER_LINE, (CELL + MARGIN) * lines), layout="constrained")
    for axes in (grid := figure.subplots(lines, PER_LINE, squeeze=False)).flat:
        axes.set_axis_off()
    for axes, cell in zip(grid.flat, shown, strict=False):
        axes.imshow(cell.pixels)
        axes.set_title(cell.above, color=WRONG if cell.alarm else RIGHT, fontsize=8)
        axes.text(
            0.5, -0.03, cell.below, transform=axes.transAxes, ha="center", va="top", fontsize=6.5, color="#5b6773",
        )  # fmt: skip
    return figure


def draw_corruptions(pixels: NDArray[np.uint8], seed: int) -> Figure:
    """Draw one image (height, width, 3) under each corruption, one row per strength."""
    figure = Figure(figsize=(CELL * (len(CORRUPTIONS) + 1), CELL * len(STRENGTHS) * 1.08), layout="constrained")
    grid = figure.subplots(len(STRENGTHS), len(CORRUPTIONS) + 1, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, strength in enumerate(STRENGTHS):
        for column, name in enumerate(CORRUPTIONS, start=1):
            grid[line, column].imshow(corrupted(pixels, name, strength, (seed, column, strength)))
            if line == 0:
                grid[0, column].set_title(name, fontsize=9)
        grid[line, 1].text(-0.06, 0.5, str(strength), transform=grid[line, 1].transAxes, ha="right", va="center")
    grid[0, 0].imshow(pixels)
    grid[0, 0].set_title("as it is", fontsize=9)
    return figure


def draw_evidence(shown: Sequence[Cell], heat: NDArray[np.float32]) -> Figure:
    """Draw each image beside its evidence map; heat: (n, height, width), 0..1."""
    lines = max(1, -(-len(shown) // (PER_LINE // 2)))
    figure = Figure(figsize=(CELL * PER_LINE, (CELL + MARGIN) * lines), layout="constrained")
    grid = figure.subplots(lines, PER_LINE, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for place, (cell, warmth) in enumerate(zip(shown, heat, strict=True)):
        plain, warm = grid.flat[2 * place], grid.flat[2 * place + 1]
        plain.imshow(cell.pixels)
        plain.set_title(cell.above, color=WRONG if cell.alarm else RIGHT, fontsize=8)
        warm.imshow(cell.pixels.mean(axis=2), cmap="gray", vmin=0, vmax=255)
        warm.imshow(warmth, cmap="inferno", alpha=0.55, vmin=0, vmax=1)
        warm.set_title(cell.below, fontsize=6.5, color="#5b6773")
    return figure
