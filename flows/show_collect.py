"""How the cameras are, on a terminal: a line each while they are collected, and in `nightshift status`."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pipeline.core import terminal
from pipeline.core.text import counted, shown

if TYPE_CHECKING:
    from pipeline.collect.state import State
    from pipeline.params.collect import Collect

DETAILS = re.compile(r" \(.*\)")
AGAIN = 0.5  # seconds between two drawings of a line


class Display:
    """A line for each source, where somebody sees it change."""

    def __init__(self, names: list[str]) -> None:
        """All of them wait for their first picture."""
        self._names, self._bars, self._drawn = names, dict[str, Any](), dict[str, float]()

    def __enter__(self) -> Self:
        """Show the lines."""
        for place, name in enumerate(self._names):
            self._bars[name] = terminal.progress_bar(desc=f"{name}: starting", bar_format="{desc}", position=place)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Take them away."""
        for bar in self._bars.values():
            bar.close()

    def show(self, name: str, state: "State") -> None:
        """Show how a source is now."""
        if time.monotonic() - self._drawn.get(name, 0.0) >= AGAIN:
            self._drawn[name] = time.monotonic()
            self._bars[name].set_description_str(f"{name}: {words_of(state, datetime.now(UTC), short=True)}")


def words_of(state: "State", now: datetime, *, short: bool = False) -> str:
    """A source in a few words: `1,204 pictures kept; last seen 3 s ago`, or why there is none.

    short: for a line of a terminal, which cuts off its end; the log has the rest.
    """
    parts = [f"{counted(state.kept, 'picture')} kept"] if state.kept else []
    parts.append(f"last seen {_ago(now, state.picture)}" if state.picture else "no picture yet")
    if state.trouble:
        again = f", asked again in {max(0, round((state.again - now).total_seconds()))} s" if state.again else ""
        trouble = DETAILS.sub("", state.trouble.partition(". ")[0]) if short else state.trouble
        parts.append(f"{shown(trouble)}{again}")
    return "; ".join(parts)


def _ago(now: datetime, then: datetime) -> str:
    seconds = max(0.0, (now - then).total_seconds())
    if seconds < 100:
        return f"{seconds:.0f} s ago"
    return f"{then.astimezone():%H:%M}" if seconds < 86_400 else f"{then.astimezone():%Y-%m-%d %H:%M}"


def camera_lines(collect: "Collect") -> list[str]:
    """Each source of params.yaml for `nightshift status`: its last picture, its gap now."""
    from pipeline.collect.gaps import in_words, rules_of
    from pipeline.collect.state import gaps_between, is_collected, read_state

    lines, now = [], datetime.now(UTC)
    for source in collect.sources:
        folder = Path(collect.photos) / source.name
        if not (state := read_state(folder)):
            lines.append(f"  {source.name}: never collected; `nightshift collect` or `nightshift up` begins")
            continue
        words = words_of(state, now)
        if not is_collected(folder):
            seen = f"last seen {_ago(now, state.picture)}" if state.picture else "no picture yet"
            words = f"{seen}; not running since {_ago(now, state.alive)}"
        lines.append(f"  {source.name}: {words}")
        gaps = gaps_between(folder, rules_of(collect, source), now.replace(hour=0), now, now)
        if gaps and gaps[-1].end is None:
            lines.append(f"    {in_words(source.name, gaps[-1:])}")
    return ["Cameras:", *lines] if lines else []
