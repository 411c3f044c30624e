"""Shows the gate's decision and the versions of a model on a terminal."""

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.mlflow_pages import model_page
from pipeline.core.pages import REPORTS
from pipeline.core.text import shown
from pipeline.registry.decision import Decision
from pipeline.registry.registration_result import Registration
from pipeline.registry.versions import Registered

WIDTH = 120  # characters, when the output is not a terminal


def decision_table(decision: Decision) -> Table:
    """One row per check that failed, with its numbers and its limit; reports/registration.html has all."""
    table = Table(box=box.SIMPLE_HEAD, title=f"The gate: {decision.verdict}", title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("found", overflow="fold")
    table.add_column("asked for", overflow="fold")
    for check in decision.checks:
        if not check.passed:
            table.add_row(Text(check.name), Text("refused", "bold red"), Text(check.found), Text(check.asked))
    return table


def versions_table(rows: list[dict[str, str]]) -> Table:
    """One row per version, the newest first."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in rows[0]:
        table.add_column(heading, no_wrap=heading != "what", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row.values()))
    return table


def print_registration(registration: Registration) -> None:
    """Print whether the new version is better, the pages about it, and the next command; then what the gate refused."""
    model, decision = registration.model, registration.decision
    _print([registration.sentence, f"{model.name}: {registration.state}"])
    if decision.needs_a_person:
        _print([f"A person has to promote it: {decision.needs_a_person}."])
    _print(decision.notes)
    _print([decision.certificate] if decision.certificate else [])
    pages = [one.file for one in REPORTS if one.file.is_file()]
    _print([f"Pages: {', '.join(map(str, pages))}"] if pages else [])
    if page := model_page(model.name, model.version):
        _print([f"In MLflow: {page}"])
    _print([f"Next: {step}" for step in registration.next_steps])
    if not decision.passed:
        _console().print(decision_table(decision))


def print_versions(name: str, rows: list[dict[str, str]], notes: Iterable[str]) -> None:
    """Print the versions of the model `name`, and notes on them."""
    _print([f"Models ({name}):"])
    if rows:
        _console().print(versions_table(rows))
    else:
        _print(["  none yet: `nightshift train` makes the first"])
    _print(f"  {note}" for note in notes)


def print_seen(model: Registered, answers: list[tuple[Path, str]]) -> None:
    """Print one line per image, its split first; then the model, and the number of images per split."""
    _print(f"{answer:5}  {shown(str(path))}" for path, answer in answers)
    counts = Counter(answer for _, answer in answers)
    _print([f"{model.name} version {model.version}: " + ", ".join(f"{counts[one]} {one}" for one in sorted(counts))])


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)  # noqa: T201 - the command's answer
