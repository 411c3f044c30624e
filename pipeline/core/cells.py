"""Cells of a CSV that no spreadsheet takes for a formula, and what they were before. Opens no file.

A spreadsheet computes a cell that starts with `=`, `+`, `-`, `@`, a tab or a line break (OWASP, "CSV Injection"). A
path gets a leading `./`, which is the same file; any other text a leading `'`. Both are undone when a file is read.
"""

import re

_START = r"[=+\-@\t\r\n＝＋－＠]"  # noqa: RUF001 - spreadsheets take the wide ones for the same signs
_FORMULA = re.compile(rf"'*{_START}")
GUARDED = rf"^'('*{_START})"  # what `guarded` wrote; the group is what it was. For libraries that match themselves
_GUARDED = re.compile(GUARDED)
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_PATH_FORMULA = re.compile(r"[=+\-@\t\r]|\./")
_FRAME = re.compile(r"#frame=([1-9]\d*)\Z")  # behind the path of a file with several frames
_LIKE_A_FRAME = re.compile(r"#(?=frame=\d+\Z)")


def guarded(text: str) -> str:
    """A text as it stands in a CSV; `unguarded` turns it back."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """The text that `guarded` wrote as `cell`."""
    return cell[1:] if cell.startswith("'") and _GUARDED.match(cell) else cell


def guarded_value(text: str) -> str:
    """`guarded`, for a column that may hold numbers: `-1.5` is not a formula, and stays a number."""
    return text if _NUMBER.fullmatch(text) else guarded(text)


def guarded_path(path: str) -> str:
    """A path that begins no formula, and leads to the same file; `unguarded_path` turns it back."""
    return f"./{path}" if _PATH_FORMULA.match(path) else path


def unguarded_path(cell: str) -> str:
    """The path that `guarded_path` wrote as `cell`."""
    return cell.removeprefix("./")


def csv_path(path: str) -> str:
    """A listed path as it stands in a CSV: UTF-8, no spreadsheet formula, and `listed_path` turns it back.

    Bytes that are not UTF-8 are written \\xNN; a backslash is doubled. So is the `#` of a file whose name ends as that
    of a frame does: \\x23.
    """
    safe = _LIKE_A_FRAME.sub(r"\\x23", path.replace("\\", "\\\\"))
    return guarded_path(re.sub("[\udc80-\udcff]", lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", safe))


def listed_path(text: str) -> str:
    """The listed path that `csv_path` wrote as `text`."""
    text = unguarded_path(text)
    return re.sub(r"\\(\\|x([0-9a-f]{2}))", lambda found: "\\" if found[1] == "\\" else _byte(int(found[2], 16)), text)


def _byte(number: int) -> str:
    return chr(number) if number < 0x80 else chr(0xDC00 + number)


def frame_path(cell: str, frame: int) -> str:
    """The path of a file's frame, from 1 on, in a CSV. cell: the file's, as `csv_path` wrote it; 0: the file itself."""
    return f"{cell}#frame={frame}" if frame else cell


def frame_in(cell: str) -> tuple[str, int]:
    """The file's path and the frame's number that `frame_path` wrote as `cell`; 0: of the file itself."""
    found = _FRAME.search(cell)
    return (cell[: found.start()], int(found[1])) if found else (cell, 0)
