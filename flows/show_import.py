"""Shows the result of an import on a terminal: a table with one row per class, and the next command."""

import sys
from collections import Counter

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.core.paths import RAW
from pipeline.core.text import shown
from pipeline.data.labels import of_folder
from pipeline.data.prepared import SPLITS
from pipeline.sources.copy import Imported
from pipeline.sources.relabelled import moved_lines

WIDTH = 120  # characters, when the output is not a terminal


def table_of(done: Imported) -> Table:
    """One row per class of the source, and the totals; without empty columns."""
    relabelled = Counter(of_folder(one.now.split("/", 1)[0]) for one in done.moved)
    columns = {
        "new": done.new,
        **({"relabelled": relabelled} if relabelled else {}),
        **({"replaced": done.replaced} if done.replaced else {}),
        "already there": done.there,
        f"total in {RAW}": done.total,
    }
    splits = [split for split in SPLITS if any(split == of for _, of in done.splits)]
    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    labels = sorted({*done.new, *relabelled, *done.replaced, *done.there})
    table.add_column("label", "all", overflow="fold")
    for heading, counts in columns.items():
        table.add_column(heading, f"{sum(counts[label] for label in labels):,}", justify="right")
    for split in splits:
        table.add_column(split, f"{sum(done.splits[label, split] for label in labels):,}", justify="right")
    for label in labels:
        table.add_row(
            Text(shown(label)),
            *(f"{counts[label]:,}" for counts in columns.values()),
            *(f"{done.splits[label, split]:,}" for split in splits),
        )
    return table


def print_imported(done: Imported) -> None:
    """Print the table, what was skipped, and the next command."""
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table_of(done))
    for line in (*moved_lines(done.moved), *done.notes):
        print(line)  # noqa: T201
    if done.there and not (done.new or done.replaced or done.moved):
        print("All images are there already; nothing was copied.")  # noqa: T201
    print("Next: nightshift train")  # noqa: T201
