"""Convert a label to the name of its folder and back. Knows names only; touches no file.

A label may be any text: `n/a`, `.5 mm`, `100 %`. Characters that a folder name cannot contain, or that would hide the
folder from the listing, are percent-encoded as in web addresses: `n%2Fa`, `%2E5 mm`, `100 %25`. All others stay.
"""

import re
import unicodedata

from pipeline.core.errors import NightshiftError
from pipeline.core.hidden import is_hidden

LONGEST_NAME = 255  # bytes of one folder's or file's name, on all usual file systems
SIDE_TABLE = "metadata.csv"  # stands beside the folders
_ESCAPE = re.compile(r"(?:%[0-9A-F]{2})+")


class LabelError(NightshiftError):
    """A label that cannot name a folder; the message says why."""


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
            or (place == 0 and (is_hidden(label) or label == SIDE_TABLE))
            or (place == last and char in " .")
            else char
            for place, char in enumerate(label)
        )
        length = len(folder.encode())
    except UnicodeEncodeError:
        raise LabelError(f"The label {label!r} is not valid UTF-8. Rename it.") from None
    if length > LONGEST_NAME:
        raise LabelError(
            f"The label {label[:40]!r}… needs a folder name of {length} bytes; the limit is {LONGEST_NAME}. Shorten it."
        )
    return folder


def label_of(folder: str) -> str:
    """The label of `folder`: the inverse of `folder_of`, or the name itself if a person chose it."""
    try:
        label = _ESCAPE.sub(lambda found: bytes.fromhex(found[0].replace("%", "")).decode(), folder)
        return label if folder_of(label) == folder else folder
    except (UnicodeDecodeError, LabelError):  # `folder_of` never returns such a name
        return folder


def _escaped(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode())
