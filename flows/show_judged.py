"""Shows on a terminal what an import of the judged images will do, and what it did."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.show_import import WIDTH
from pipeline.core.paths import JUDGEMENTS, RAW, REJECTED
from pipeline.core.text import named, shown
from pipeline.sources.judged import BroughtIn, JudgedPlan
from pipeline.sources.judged_bytes import Lost

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
    for line in lines_of(plan):
        print(line)  # noqa: T201


def lines_of(plan: JudgedPlan) -> list[str]:
    """A line for each kind of image, for a person who decides."""
    lines = []
    if plan.new_labels:
        counts = Counter(item.label for item in (*plan.new, *plan.moved))
        classes = named(f"{label} ({_images(counts[label])})" for label in plan.new_labels)
        lines.append(
            f"New classes, which {RAW} does not have yet: {classes}. If one is a slip, judge its images again."
        )
    if plan.new:
        lines.append(f"{_images(len(plan.new))} will be copied into {RAW}.")
    if plan.moved:
        lines.append(f"{_images(len(plan.moved))} of {RAW} will move to another label: {_moves(plan)}")
    if plan.rejected:
        names = named(taken.path for taken in plan.rejected)
        lines.append(
            f"{_images(len(plan.rejected))} will be taken out of {RAW} to {REJECTED}, where nothing deletes them and "
            f"no training sees them: {names}"
        )
    lines += taken_back_lines(plan)
    if plan.differing:
        lines.append(
            f"The readers of {_images(len(plan.differing))} differ, so these stay as they are: "
            f"{named(map(str, plan.differing))}"
        )
    lines += _lost_lines(plan.lost)
    if plan.impossible:
        lines.append(
            f"Left out, as their label cannot name a folder: {_images(len(plan.impossible))}: "
            f"{named(map(str, plan.impossible))} Judge them again."
        )
    if not plan.is_empty:
        return lines
    if not plan.judged:
        lines.append("Nothing is judged yet: `nightshift review` shows images to judge.")
    elif not plan.there:
        lines.append("Nothing to bring in.")
    else:
        lines.append(
            f"Nothing to bring in: {_images(plan.there)} with a judgement in {JUDGEMENTS} "
            f"{'has its label' if plan.there == 1 else 'have their labels'} in {RAW}."
        )
    return lines


def taken_back_lines(plan: JudgedPlan) -> list[str]:
    """What happens to images whose judgement was taken back."""
    lines = []
    if plan.put_back:
        lines.append(
            f"Of these, {_images(len(plan.put_back))} will have the label from before the judgement, which was taken "
            f"back: {named(plan.put_back)}"
        )
    if plan.unknown:
        have = "has" if len(plan.unknown) == 1 else "have"
        lines.append(
            f"{_images(len(plan.unknown))} in {RAW} {have} a label whose judgement was taken back: "
            f"{named(plan.unknown)}. Move them by hand or judge them again."
        )
    return lines


def print_brought_in(done: BroughtIn) -> None:
    """Print what was done, and the next command."""
    _print_table({NEW: done.new, MOVED: done.moved, REJECTS: done.rejected})
    for line in done.notes:
        print(line)  # noqa: T201
    print("Next: nightshift train")  # noqa: T201


def _moves(plan: JudgedPlan) -> str:
    return named(f"{item.file.path} -> {item.label}" for item in plan.moved)


def _lost_lines(lost: Sequence[Lost]) -> list[str]:
    lines = []
    for why, words in (
        ("gone", "are not where they were judged, nor in any night's folder"),
        ("changed", "have changed since they were judged"),
    ):
        if places := [one.place for one in lost if one.why == why]:
            lines.append(
                f"Not brought in, as they {words}: {_images(len(places))}: {named(places)}. Put the files back, then "
                "run the same command again; their judgements are kept."
            )
    return lines


def _images(count: int) -> str:
    return f"{count:,} image{'s' * (count != 1)}"


def _print_table(columns: Mapping[str, Counter[str]]) -> None:
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table_of(columns))
