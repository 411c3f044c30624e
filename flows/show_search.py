"""Shows the result of a search on a terminal: the best trials, the changes in params.yaml, and the next command."""

import sys
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.search.log import optimism
from pipeline.search.run import Attempt, Found
from pipeline.search.space import without_part

WIDTH = 120  # characters, when the output is not a terminal
ROWS = 10


def table_of(found: Found) -> Table:
    """The best trials, and the one with the present parameters; one column per parameter."""
    shown = found.ranked[:ROWS]
    if found.present not in shown:
        shown.append(found.present)
    table = Table(box=box.SIMPLE_HEAD)
    names = ["\n".join(name.removeprefix("train.").split(".")) for name in found.present.values]
    for heading in ("trial", found.search.params.tune.metric, "epochs", *names):
        table.add_column(heading, justify="right", min_width=max(map(len, heading.split("\n"))))
    for attempt in shown:
        table.add_row(*map(Text, _cells(attempt, attempt == found.present)))
    return table


def _cells(attempt: Attempt, is_present: bool) -> list[str]:
    score = "NaN" if attempt.score is None else f"{attempt.score:.4g}"
    values = [f"{value:g}" if isinstance(value, float) else str(value) for value in attempt.values.values()]
    return [f"{attempt.number}{' (now)' if is_present else ''}", score, str(attempt.epochs), *values]


def lines_of(found: Found, changed: dict[str, tuple[Any, Any]] | None) -> list[str]:
    """The result in words; `changed`: what was changed in params.yaml; None with --no-write."""
    metric, stopped = found.search.params.tune.metric, len(found.attempts) - len(found.ranked)
    lines = [f"{len(found.attempts)} trials, {stopped} of them stopped early."]
    if left_out := without_part(found.search.params, found.search.mode):
        lines.append(f"Not searched, as these trials do not depend on it: {', '.join(left_out)}.")
    best = found.winner
    if best is None:
        return [*lines, "No trial is better than the present parameters; params.yaml stays as it is."]
    now = "NaN" if found.present.score is None else f"{found.present.score:.4g}"
    lines += [
        f"Trial {best.number} is the best: {metric} {best.score:.4g}, against {now} with the present parameters.",
        optimism(len(found.attempts), found.search.images),
    ]
    if changed is None:
        return [*lines, "params.yaml stays as it is (--no-write). The same command without it writes the best values."]
    lines += [f"params.yaml: {name}: {before} -> {after}" for name, (before, after) in changed.items()]
    return [*lines, "Next: nightshift train"]


def print_found(found: Found, changed: dict[str, tuple[Any, Any]] | None) -> None:
    """Print the table, and the result in words."""
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table_of(found))
    for line in lines_of(found, changed):
        print(line)  # noqa: T201
