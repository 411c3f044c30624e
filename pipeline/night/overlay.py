"""A scene's small picture with its tiles in the colours of their classes, and a legend. Judges nothing."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple

from PIL import Image, ImageColor, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from pipeline.images.windows import Window
from pipeline.night.scene_reading import in_small, small_scale

# Tol's bright and vibrant colours (Paul Tol, Colour Schemes, 2021), which the colour-blind tell apart; later classes
# have them again.
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee7733", "#009988", "#cc3311", "#bbbbbb")
STRONG, FAINT = 150, 70  # of 255, the opacity of an `ok` and of an unsure tile
LIGHTER = 0.4  # the picture itself is grey and lighter: what has a colour is a label
NAMED = 16  # classes in the legend
LINE, MARGIN, LETTERS = 26, 12, 17  # pixels
LEAST_WIDTH = 520  # pixels, so that the legend has room
DAMAGED, PAPER, INK = "#b3261e", "#ffffff", "#1d2630"
MISSING = "#9aa5b1"  # where a tile is damaged
BLANK = "#5b6773"  # the line through a tile that is not judged
KEY = "nightshift"  # of the PNG's text that says what a page needs: `Legend` as JSON


class Legend(NamedTuple):
    """What a page says itself of a scene's picture, whose own legend is too small there."""

    size: tuple[int, int]  # pixels, of the picture without its legend
    colours: dict[str, str]  # label -> #rrggbb


@dataclass(frozen=True, slots=True)
class Cell:
    """A tile in the picture."""

    window: Window
    label: str  # empty: not judged
    status: str


@dataclass(slots=True)
class Overlay:
    """Grows with a scene's tiles."""

    width: int  # pixels of the scene, as it is read
    height: int
    class_names: Sequence[str]
    scale: float = field(init=False)
    canvas: Image.Image = field(init=False)
    cells: list[Cell] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with an empty picture."""
        self.scale = small_scale(self.width, self.height)
        _, _, right, bottom = in_small(Window(0, 0, self.width, self.height), self.scale)
        self.canvas = Image.new("RGB", (right, bottom), MISSING)

    def add(self, cell: Cell, small: Image.Image | None) -> None:
        """Add a tile. small: as `scene_reading.reduced` gives it; None: damaged."""
        self.cells.append(cell)
        if small:
            self.canvas.paste(small, in_small(cell.window, self.scale)[:2])

    def png(self, shares: Mapping[str, tuple[int, int, float]], ignored: int, damaged: int) -> bytes:
        """The picture with its legend. shares: label -> its tiles, those that are `ok`, its share of the judged."""
        colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(self.class_names)}
        over = Image.new("RGBA", self.canvas.size, (0, 0, 0, 0))
        draw = ImageDraw.Draw(over)
        columns, rows = _edges({cell.window.x for cell in self.cells}, self), _edges(
            {cell.window.y for cell in self.cells}, self, rows=True
        )  # fmt: skip
        for cell in self.cells:
            (left, right), (top, bottom) = columns[cell.window.x], rows[cell.window.y]
            box = (left, top, max(left, right - 1), max(top, bottom - 1))
            if cell.label:
                colour = ImageColor.getrgb(colours[cell.label])
                draw.rectangle(box, fill=(*colour, STRONG if cell.status == "ok" else FAINT), outline=(*colour, 160))
            elif cell.status == "ignored":
                draw.line((box[0], box[3], box[2], box[1]), fill=BLANK)
            elif cell.status == "unreadable":
                draw.line(box, fill=DAMAGED, width=2)
                draw.line((box[0], box[3], box[2], box[1]), fill=DAMAGED, width=2)
        ground = Image.blend(
            self.canvas.convert("L").convert("RGB"), Image.new("RGB", self.canvas.size, PAPER), LIGHTER
        )
        picture = Image.alpha_composite(ground.convert("RGBA"), over).convert("RGB")
        about = PngInfo()
        about.add_text(KEY, json.dumps(Legend(picture.size, {name: colours[name] for name in shares})))
        buffer, whole = io.BytesIO(), _with_legend(picture, _lines(shares, colours, ignored, damaged))
        whole.save(buffer, "PNG", compress_level=6, pnginfo=about)
        return buffer.getvalue()


def legend_of(picture: Image.Image) -> Legend:
    """What `Overlay.png` wrote of a picture, opened as PNG; of one that somebody has saved again, nothing."""
    size, colours = json.loads(picture.info.get(KEY, "null")) or (picture.size, {})
    return Legend((size[0], size[1]), colours)


def _edges(begins: set[int], overlay: Overlay, *, rows: bool = False) -> dict[int, tuple[int, int]]:
    """Where each tile's own part begins and ends in the small picture: overlaps are shared in their middle."""
    ordered = sorted(begins)
    length = overlay.height if rows else overlay.width
    size = max(cell.window.height if rows else cell.window.width for cell in overlay.cells)
    cuts = [0.0, *((before + size + after) / 2 for before, after in pairwise(ordered)), float(length)]
    ends = [round(cut * overlay.scale) for cut in cuts]
    return dict(zip(ordered, pairwise(ends), strict=True))


def _lines(
    shares: Mapping[str, tuple[int, int, float]], colours: Mapping[str, str], ignored: int, damaged: int
) -> list[tuple[str, str]]:
    """The legend: a colour, or none, and words."""
    found = [
        (colours[label], f"{label}: {share:.1%} of the tiles ({tiles:,}, {ok:,} of them ok)")
        for label, (tiles, ok, share) in [*shares.items()][:NAMED]
    ]
    if len(shares) > NAMED:
        found.append(("", f"and {len(shares) - NAMED} more classes: scenes.csv has all"))
    last = f"faint: unsure; a line through: blank ({ignored:,})"
    found.append(("", last + f"; crossed: damaged ({damaged:,})" * (damaged > 0)))
    return found


def _with_legend(picture: Image.Image, lines: Sequence[tuple[str, str]]) -> Image.Image:
    font = ImageFont.truetype(str(files("matplotlib") / "mpl-data/fonts/ttf/DejaVuSans.ttf"), LETTERS)
    needed = max(math.ceil(font.getlength(words)) for _, words in lines) + LINE + 2 * MARGIN
    width = max(picture.width, min(needed, 2 * LEAST_WIDTH))
    page = Image.new("RGB", (width, picture.height + 2 * MARGIN + LINE * len(lines)), PAPER)
    page.paste(picture, (0, 0))
    draw = ImageDraw.Draw(page)
    for number, (colour, words) in enumerate(lines):
        top = picture.height + MARGIN + number * LINE
        if colour:
            draw.rectangle((MARGIN, top + 4, MARGIN + LETTERS, top + 4 + LETTERS), fill=colour)
        draw.text((MARGIN + LINE, top + 2), words, fill=INK, font=font)
    return page
