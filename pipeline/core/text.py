"""How names of files and labels stand in a message. Knows no file."""

import re
from collections.abc import Iterable

PASSWORD = re.compile(r"(?<=://)[^\s/@]+@")  # in an address: who logs in, and with what
EXAMPLES = 5  # names in a message; reports and tables have them all


def named(names: Iterable[str]) -> str:
    """The first few of `names`, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - EXAMPLES:,} more" if len(every) > EXAMPLES else ""
    return ", ".join(map(shown, every[:EXAMPLES])) + more


def shown(name: str) -> str:
    """`name` for a screen: what could move the cursor, or is no character, is written as an escape."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in name)


def without_password(text: str) -> str:
    """`text` whose addresses name nobody who logs in."""
    return PASSWORD.sub("…@", text)
