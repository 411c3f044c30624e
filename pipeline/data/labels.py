"""What a label is, and when two are the same. Knows texts only; `label_folders` names their folders.

A label is a text in Unicode's composed form (NFC) without blanks at its ends. Two labels are the same class when they
are equal after NFC, casefold and with any run of blanks as one: `Cat` and `cat` are one animal, never two classes.
"""

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.core.text import INVISIBLE, shown, stripped
from pipeline.data.label_folders import LabelError, label_of

_JOINERS = "\u200c\u200d"  # they change what is drawn: an emoji of a family, a Persian word
_UNSEEN = re.compile(f"[{''.join(char for char in INVISIBLE if char not in _JOINERS)}]")
_CLOSE = 0.6  # similarity above which a name may be a slip of the pen; difflib's own default
_MOST_POINTS = 24  # characters of a label whose code points a message shows


def clean(text: str) -> str:
    """The label that a person meant by `text`; empty when there is nothing but blanks."""
    return unicodedata.normalize("NFC", stripped(text))


def of_folder(folder: str) -> str:
    """The label of the images in a folder of `data/raw`, or of a source."""
    return clean(label_of(folder)) or label_of(folder)


def sameness(label: str) -> str:
    """Equal for two labels that are the same class."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", stripped(label)).casefold())
    return " ".join(_UNSEEN.sub("", folded).split()) or folded


def lookalikes(spellings: Iterable[str]) -> list[list[str]]:
    """The spellings, blanks at their ends aside, that mean one class in more than one way; sorted."""
    ways: defaultdict[str, set[str]] = defaultdict(set)
    for spelling in spellings:
        ways[sameness(spelling)].add(stripped(spelling) or spelling)
    return [sorted(same) for same in ways.values() if len(same) > 1]


def refuse_lookalikes(spellings: Iterable[str], place: str) -> None:
    """Raises LabelError when labels of `place` are the same class in different spellings."""
    if found := lookalikes(spellings):
        raise LabelError(
            f"{place} spells the same label differently: {different(found)}. Write it in one way (rename the folders, "
            "or correct the column label), and run the same command again; nothing was copied."
        )


def refuse_same_folders(folders: Iterable[str], raw: Path) -> None:
    """Raises LabelError when folders of `raw`, the project's images, are the same class."""
    of_class: defaultdict[str, list[str]] = defaultdict(list)
    for folder in sorted(folders):
        of_class[sameness(of_folder(folder))].append(folder)
    if same := [several for several in of_class.values() if len(several) > 1]:
        raise LabelError(
            f"Folders of {raw} are the same class in different spellings: {different(same)}. Move the images of each "
            "into one folder (`mv`), and correct their paths in metadata.csv."
        )


def different(found: Iterable[Iterable[str]]) -> str:
    """Spellings that differ, in words: with their code points, since they may look the same."""
    return "; ".join(" and ".join(map(with_code_points, same)) for same in found)


def with_code_points(label: str) -> str:
    """`'é' (U+0065 U+0301)`."""
    points = " ".join(f"U+{ord(char):04X}" for char in label[:_MOST_POINTS])
    return f"'{shown(label)}' ({points}{' …' if len(label) > _MOST_POINTS else ''})"


def meant(label: str, known: Iterable[str]) -> str:
    """Of the labels `known` the one that a person may have meant by `label`; empty when none is near."""
    by_key: Mapping[str, str] = {sameness(one): one for one in known}
    near = difflib.get_close_matches(sameness(label), by_key, n=1, cutoff=_CLOSE)
    return by_key[near[0]] if near else ""
