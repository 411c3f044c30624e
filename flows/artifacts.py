"""What Prefect shows of a training and of a night: tables, Markdown, links. Computes nothing."""

import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from flows.mlflow_pages import model_page
from pipeline.core.pages import data_uri
from pipeline.core.paths import (
    CURVES_FIGURE,
    DATA_DOCS,
    DATA_REPORT,
    EVALUATION_REPORT,
    EXPECTATIONS,
    FIGURES,
    LABEL_ISSUES,
    MODEL_CARD_PAGE,
    REGISTRATION_PAGE,
)
from pipeline.core.people_tables import TableError
from pipeline.core.text import counted
from pipeline.data.suspects import read_suspects
from pipeline.evaluation.results import read_evaluation
from pipeline.night.summary import Drift, NightSummary, first_lines, review_lines, shadow_lines
from pipeline.registry.store import Store
from pipeline.registry.versions import Registered
from pipeline.storage.files import read_json
from pipeline.storage.stores import Place

FIRST_FIGURES = ("confusion_matrix", "reliability", "coverage", "slices", "robustness", "mistakes")
SUSPECTS = 20  # label errors in the Markdown; the report has all


def metrics_table() -> list[dict[str, str]]:
    """The headline metrics with their intervals, then each class, one row each."""
    evaluation = read_evaluation()
    rows = [
        {"metric": name.replace("_", " "), "value": str(metric)}
        for name, metric in evaluation.metrics.items()
        if metric
    ]
    for label, one in evaluation.classes.items():
        value = f"precision {one.precision:.3f}, recall {one.recall:.3f}, f1 {one.f1:.3f} ({one.images} images)"
        rows.append({"metric": label, "value": value})
    return rows


def figures_markdown() -> str:
    """The most important figures, on one page that needs no other file; the evaluation report has all."""
    figures = [file for file in (CURVES_FIGURE, *(FIGURES / f"{name}.png" for name in FIRST_FIGURES)) if file.is_file()]
    return "\n\n".join(
        f"### {file.stem.replace('_', ' ')}\n![{file.stem}]({data_uri(file.read_bytes(), 'png')})" for file in figures
    )


def data_pages() -> list[tuple[Path, str]]:
    """The existing pages about the images: file, link text."""
    pages = [(DATA_REPORT, "Data report"), (DATA_DOCS / "index.html", "Data Docs")]
    return [page for page in pages if page[0].is_file()]


def model_pages() -> list[tuple[Path, str]]:
    """The existing pages about the current model: file, link text."""
    pages = [
        (REGISTRATION_PAGE, "Decision"),
        (EVALUATION_REPORT, "Evaluation report"),
        (MODEL_CARD_PAGE, "Model card"),
    ]
    return [page for page in pages if page[0].is_file()]


def model_markdown(model: Registered) -> str:
    """A registered version, with where it and its reports are."""
    page = model_page(model.name, model.version)
    lines = [
        f"**{model.name} version {model.version}** ({', '.join(model.aliases) or 'no alias'})",
        "",
        f"[Its page in MLflow]({page})" if page else f"MLflow store `{Store.of_project().shown}`, run `{model.run_id}`",
        *files_markdown((file.absolute(), words) for file, words in model_pages()),
    ]
    return "\n".join(lines)


def files_markdown(files: Iterable[tuple[Place, str]]) -> list[str]:
    """Where files are: as text, since a browser opens no file of its machine, let alone of another, from a page."""
    rows = [f"| {words} | `{place}` |" for place, words in files]
    return ["", f"| on {socket.gethostname()} | |", "|---|---|", *rows] if rows else []


def data_markdown() -> str:
    """The expectations on the images with what was found, and the likeliest label errors, on one page."""
    judged = read_json(EXPECTATIONS) if EXPECTATIONS.is_file() else []
    lines = ["| expectation | | found |", "|---|---|---|"]
    lines += [f"| {one['fault']}: {_said_of(one)} | {one['status']} | {one['found']} |" for one in judged]
    if LABEL_ISSUES.is_file():
        with suppress(TableError):  # the next audit says what is wrong with it
            lines += _suspects_markdown(read_suspects(LABEL_ISSUES))
    lines += files_markdown((page.absolute(), words) for page, words in data_pages())
    return "\n".join(lines)


def _suspects_markdown(suspects: list[dict[str, str]]) -> list[str]:
    """How many labels are probably wrong, and the likeliest."""
    count = counted(len(suspects), "label is", "labels are") if suspects else "No label is"
    lines = ["", f"**{count} probably wrong**", "", "| image | label | looks like |", "|---|---|---|"]
    return lines + [f"| {row['path']} | {row['label']} | {row['suggested']} |" for row in suspects[:SUSPECTS]]


def _said_of(judged: dict[str, str]) -> str:
    """What is wrong and what to do where an expectation is missed, else what is expected."""
    if judged["status"] == "met" or not judged.get("wrong"):
        return judged["words"]
    return f"{judged['found']} {judged['wrong']}. {judged['remedy']}".replace("|", "\\|")


def summary_markdown(summary: NightSummary) -> str:
    """A night's run on one page."""
    lines = [
        *(f"**{line}**\n" for line in first_lines(summary)),
        f"**{summary.listed} images** by {summary.model_name} version {summary.model_version} "
        f"in {summary.seconds:.0f} s",
        "",
        "| status | images |",
        "|---|---:|",
        *(f"| {status} | {count} |" for status, count in summary.counts.items()),
        "",
        *review_lines(summary),
        "",
        "| label | images |",
        "|---|---:|",
        *(f"| {label} | {count} |" for label, count in summary.labels.items()),
        *(_drift_markdown(summary.drift) if summary.drift else ()),
        *_shadow_markdown(summary),
    ]
    return "\n".join(lines)


def _drift_markdown(drift: Drift) -> list[str]:
    """Tonight against training, one row per measure."""
    if not drift.measures:
        return []
    lines = [
        "",
        "Tonight against training, 0 (the same) to 1 (disjoint):",
        "",
        "| measure | difference | p | tonight | usual |",
        "|---|---:|---:|---:|---:|",
    ]
    for one in drift.measures:
        name = f"**{one.measure}**" if one.measure in drift.drifted else one.measure
        means = ["" if mean is None else f"{mean:.4g}" for mean in (one.tonight, one.usual)]
        lines.append(f"| {name} | {one.statistic:.3f} | {one.p_value:.2g} | {' | '.join(means)} |")
    return lines


def _shadow_markdown(summary: NightSummary) -> list[str]:
    if not summary.shadow:
        return ["", *shadow_lines(summary)]
    lines = ["", *shadow_lines(summary), "", "| champion | challenger | images |", "|---|---|---:|"]
    return lines + [f"| {ours} | {theirs} | {count} |" for ours, theirs, count in summary.shadow.pairs]
