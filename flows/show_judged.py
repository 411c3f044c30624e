"""Shows on a terminal what an import of the judged images will do, and what it did."""

import sys
from collections import Counter
from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.show_import import WIDTH
from pipeline.core.text import shown
from pipeline.sources.judged import BroughtIn, JudgedPlan
from pipeline.sources.judged_words import plan_lines

NEW, MOVED, REJECTS = "new", "other label", "rejected"


def table_of(columns: Mapping[str, Counter[str]]) -> Table:
    """One row per class, and the totals; without empty columns."""
    filled = {heading: counts for heading, counts in columns.items() if counts}
    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    table.add_column("label", "all", overflow="fold")
    for heading, counts in filled.items():
        table.add_column(heading, f"{counts.total():,}", justify="right")
    for label in sorted({label for counts in filled.values() for label in counts}):
        table.add_row(Text(shown(label)), *(f"{counts[label]:,}" for counts in filled.values()))
    return table


def print_plan(plan: JudgedPlan) -> None:
    """Print what will happen, and what stays as it is."""
    if not plan.is_empty:
        _print_table(
            {
                NEW: Counter(item.label for item in plan.new),
                MOVED: Counter(item.label for item in plan.moved),
                REJECTS: Counter(taken.label for taken in plan.rejected),
            }
        )
    for line in plan_lines(plan):
        print(line)  # noqa: T201
    if not plan.judged:
        print("`nightshift review` shows images to judge.")  # noqa: T201


def print_brought_in(done: BroughtIn) -> None:
    """Print what was done, and the next command."""
    _print_table({NEW: done.new, MOVED: done.moved, REJECTS: done.rejected})
    for line in done.notes:
        print(line)  # noqa: T201
    print("Next: nightshift train")  # noqa: T201


def _print_table(columns: Mapping[str, Counter[str]]) -> None:
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table_of(columns))
