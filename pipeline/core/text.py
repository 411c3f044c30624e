"""How names of files and labels, and values beside their limits, are written in a message. Opens no file."""

import re
from collections.abc import Iterable

PASSWORD = re.compile(r"(?<=://)[^\s/@]+@")  # user and password in an address
EXAMPLES = 5  # names shown in a message; reports and tables list all
MOST_DIGITS = 9  # of a value beside its limit


def named(names: Iterable[str], count: int | None = None) -> str:
    """The first few of `names`, and how many more there are; `count`: of how many, where `names` are not all."""
    every = list(names)
    count = len(every) if count is None else count
    more = f" and {count - EXAMPLES:,} more" if count > EXAMPLES else ""
    return ", ".join(map(shown, every[:EXAMPLES])) + more


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 image`, `2,624 images`; plural: where it is more than an `s` at the end."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def about(seconds: float) -> str:
    """How long something will take, as nobody knows it better: `under a minute`, `about 4 min`, `about 2 h 5 min`."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "under a minute"
    return f"about {minutes} min" if minutes < 120 else f"about {minutes // 60} h {minutes % 60} min"


def beside(value: float, limit: float, form: str = ".3f") -> str:
    """`value` with as many digits as show on which side of `limit` it is: 0.1503 beside 0.15, and 0.151.

    form: sign, fewest digits and kind, as in a format specification, such as `+.3f`. What differs from the limit only
    beyond MOST_DIGITS is written like the limit itself.
    """
    sign, fewest, kind = form.partition(".")[0], int(form[-2]), form[-1]
    for digits in range(fewest, MOST_DIGITS + 1):
        text = f"{value:{sign}z.{digits}{kind}}"
        written = float(text)
        if (written > limit, written < limit) == (value > limit, value < limit):
            return text
    return f"{value:{sign}z.{fewest}{kind}}"


def shown(name: str) -> str:
    """`name` for a terminal: characters that cannot be printed, or could move the cursor, become escapes."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in name)


def without_password(text: str) -> str:
    """`text` without the users and passwords in its addresses."""
    return PASSWORD.sub("…@", text)


# Characters at the ends of a word that nobody sees and that `str.strip` keeps: zero-width ones, marks of direction, the
# byte order mark, the soft hyphen, letters of other scripts that are drawn as nothing.
INVISIBLE = "\u00ad\u115f\u1160\u180e\u2060\u2061\u2062\u2063\u2064\u2800\u3164\ufeff" + "".join(
    map(chr, (*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
)
_ENDS = re.compile(rf"^[\s\0{INVISIBLE}]+|[\s\0{INVISIBLE}]+\Z")


def stripped(text: str) -> str:
    """`text` without blanks at its ends, also those of Unicode that `str.strip` does not know."""
    return _ENDS.sub("", text)
