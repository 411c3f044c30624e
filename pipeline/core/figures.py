"""How words stand in figures: as they are written, in a font that has their letters, or as a number. Draws nothing.

Matplotlib takes what stands between two dollar signs for a formula, and draws a box, with a warning, for each letter
that its fonts lack.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

FONT = "DejaVu Sans"  # comes with Matplotlib
UNKNOWN = "?"


@dataclass(frozen=True, slots=True)
class Words:
    """What the fonts of this machine can show of some texts."""

    families: tuple[str, ...] = (FONT,)  # each letter comes from the first that has it
    missing: frozenset[str] = frozenset()  # letters that no font has

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Words":
        """The fonts for these texts."""
        letters = {letter for text in texts for letter in text if letter.isprintable() and not letter.isspace()}
        families, missing = [FONT], letters - _letters_of_default()
        for family, file in _other_fonts() if missing else []:
            if found := missing & _letters_in(file):
                families.append(family)
                missing -= found
            if not missing:
                break
        return cls(tuple(families), frozenset(missing))

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Draw in this block: no formulas, these fonts."""
        import matplotlib as mpl

        with mpl.rc_context({"text.parse_math": False, "font.family": list(self.families)}):
            yield

    def labels(self, names: Sequence[str]) -> list[str]:
        """Each of `names` as figures show it: itself, or `#3` for the third where a letter of it has no font."""
        return [self._label(name, number) for number, name in enumerate(names, start=1)]

    def _label(self, name: str, number: int) -> str:
        text = "".join(letter if letter.isprintable() else UNKNOWN for letter in name)
        return f"#{number}" if self.missing & set(text) else text

    def plain(self, text: str) -> str:
        """`text` without the letters that no font has."""
        return "".join(
            UNKNOWN if letter in self.missing or not (letter.isprintable() or letter == "\n") else letter
            for letter in text
        )


def numbered(names: Sequence[str]) -> list[tuple[str, str]]:
    """(`#3`, name) for each of `names` that figures show as a number: the legend beside them."""
    return [
        (label, name)
        for label, name in zip(Words.of(names).labels(names), names, strict=True)
        if label[1:].isdigit() and label != name
    ]


@cache
def _letters_of_default() -> frozenset[str]:
    from matplotlib import font_manager

    return _letters_in(font_manager.findfont(FONT))


@cache
def _other_fonts() -> tuple[tuple[str, str], ...]:
    """(family, file) of the other upright fonts of this machine, in a fixed order."""
    from matplotlib import font_manager

    found = {
        entry.name: entry.fname
        for entry in sorted(font_manager.fontManager.ttflist, key=lambda entry: entry.fname, reverse=True)
        if entry.style == "normal" and entry.name != FONT
    }
    return tuple(sorted(found.items()))


@cache
def _letters_in(file: str) -> frozenset[str]:
    from matplotlib import font_manager

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    try:
        font = font_manager.get_font(file)
    except (OSError, RuntimeError):  # damaged, or a font of coloured pictures, which Matplotlib cannot draw
        return frozenset()
    return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()
