"""How names of files and labels are written in a message. Opens no file."""

import re
from collections.abc import Iterable

PASSWORD = re.compile(r"(?<=://)[^\s/@]+@")  # user and password in an address
EXAMPLES = 5  # names shown in a message; reports and tables list all


def named(names: Iterable[str], count: int | None = None) -> str:
    """The first few of `names`, and how many more there are; `count`: of how many, where `names` are not all."""
    every = list(names)
    count = len(every) if count is None else count
    more = f" and {count - EXAMPLES:,} more" if count > EXAMPLES else ""
    return ", ".join(map(shown, every[:EXAMPLES])) + more


def shown(name: str) -> str:
    """`name` for a terminal: characters that cannot be printed, or could move the cursor, become escapes."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in name)


def without_password(text: str) -> str:
    """`text` without the users and passwords in its addresses."""
    return PASSWORD.sub("…@", text)
