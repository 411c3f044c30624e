"""A label <-> the folder that holds its images. Knows names only; touches no file.

A label may be any text: `n/a`, `.5 mm`, `100 %`. What a folder's name cannot hold, or what the listing would hide,
is written as its UTF-8 bytes in the way of web addresses: `n%2Fa`, `%2E5 mm`, `100 %25`. All else stays as it is.
"""

import re
import unicodedata

from pipeline.core.errors import NightshiftError

LONGEST_NAME = 255  # bytes of one folder's or file's name, on all usual file systems
TAKEN = frozenset({"__MACOSX", "Thumbs.db", "metadata.csv"})  # never listed, or the side table's own name
_ESCAPE = re.compile(r"(?:%[0-9A-F]{2})+")


class LabelError(NightshiftError):
    """A label that cannot name a folder; says why."""


def folder_of(label: str) -> str:
    """The name of the folder for images of `label`; `label_of` gives the label back.

    Raises LabelError when the label is empty, is not UTF-8, or its folder's name would be too long.
    """
    if not label:
        raise LabelError("A label is empty. Give every image a label of at least one character.")
    last = len(label) - 1
    try:
        folder = "".join(
            _escaped(char)
            if char in "/\\%"
            or unicodedata.category(char) == "Cc"
            or (place == 0 and (char == "." or label in TAKEN))
            or (place == last and char in " .")
            else char
            for place, char in enumerate(label)
        )
        length = len(folder.encode())
    except UnicodeEncodeError:
        raise LabelError(f"The label {label!r} is not UTF-8, and tables hold only UTF-8. Rename it.") from None
    if length > LONGEST_NAME:
        raise LabelError(
            f"The label {label[:40]!r}… needs a folder name of {length} bytes; {LONGEST_NAME} are possible. Shorten it."
        )
    return folder


def label_of(folder: str) -> str:
    """The label whose images are in `folder`: what `folder_of` was given, or the name as it is if a person chose it."""
    try:
        label = _ESCAPE.sub(lambda found: bytes.fromhex(found[0].replace("%", "")).decode(), folder)
        return label if folder_of(label) == folder else folder
    except (UnicodeDecodeError, LabelError):  # `folder_of` gives no such name
        return folder


def _escaped(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode())
