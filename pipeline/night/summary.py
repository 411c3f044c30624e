"""What a training and a night's run came to, in words, tables and pictures for people. Measures nothing itself."""

import itertools
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core.pages import data_uri
from pipeline.core.paths import (
    CURVES_FIGURE,
    DATA_DOCS,
    DATA_REPORT,
    EVALUATION,
    EVALUATION_REPORT,
    EXPECTATIONS,
    FIGURES,
    LABEL_ISSUES,
    MODEL_CARD,
    PREDICTIONS,
)
from pipeline.evaluation.metrics import as_text
from pipeline.night.review import KINDS, PAGE, REVIEW
from pipeline.night.rows import CORRECTION, STATUSES, read_rows
from pipeline.registry import champions
from pipeline.registry.gate import GATE_TAG, REFUSED
from pipeline.registry.store import Store
from pipeline.storage.files import read_json

FIRST_FIGURES = ("confusion_matrix", "reliability", "coverage", "slices", "robustness", "mistakes")
SUSPECTS = 20  # label errors on a page that is not the report


def metrics_table() -> list[dict[str, str]]:
    """The headline metrics with their intervals, then each class, one row each."""
    evaluation = read_json(EVALUATION)
    rows = [
        {"metric": name.replace("_", " "), "value": as_text(metric)}
        for name, metric in evaluation.items()
        if isinstance(metric, dict) and "low" in metric
    ]
    for label, of_class in evaluation["classes"].items():
        value = ", ".join(f"{name} {of_class[name]:.3f}" for name in ("precision", "recall", "f1"))
        rows.append({"metric": label, "value": f"{value} ({of_class['images']} images)"})
    return rows


def figures_markdown() -> str:
    """The figures that tell most in one page that needs no other file; the evaluation report has all."""
    figures = [file for file in (CURVES_FIGURE, *(FIGURES / f"{name}.png" for name in FIRST_FIGURES)) if file.is_file()]
    return "\n\n".join(f"### {file.stem.replace('_', ' ')}\n![{file.stem}]({_inline(file)})" for file in figures)


def _inline(file: Path) -> str:
    return data_uri(file.read_bytes(), "png")


def data_pages() -> list[tuple[Path, str, str]]:
    """The pages on the images that are there: file, key, words."""
    pages = [(DATA_REPORT, "data-report", "Data report"), (DATA_DOCS / "index.html", "data-docs", "Data Docs")]
    return [page for page in pages if page[0].is_file()]


def model_pages() -> list[tuple[Path, str, str]]:
    """The pages on the current model that are there: file, key, words."""
    pages = [(EVALUATION_REPORT, "evaluation", "Evaluation report"), (MODEL_CARD, "model-card", "Model card")]
    return [page for page in pages if page[0].is_file()]


def data_markdown() -> str:
    """What was expected of the images and what was found, and the likeliest label errors, on one page."""
    judged = read_json(EXPECTATIONS) if EXPECTATIONS.is_file() else []
    lines = ["| expectation | | found |", "|---|---|---|"]
    lines += [f"| {one['fault']}: {one['words']} | {one['status']} | {one['found']} |" for one in judged]
    if LABEL_ISSUES.is_file():
        suspects = pd.read_csv(LABEL_ISSUES)
        lines += [
            "",
            f"**{len(suspects)} labels are probably wrong**",
            "",
            "| image | label | looks like |",
            "|---|---|---|",
        ]
        lines += [f"| {row.path} | {row.label} | {row.suggested} |" for row in suspects.head(SUSPECTS).itertuples()]
    return "\n".join(lines)


def summary_markdown(summary: dict[str, Any]) -> str:
    """A night's run on one page."""
    lines = [
        f"**{summary['listed']} images** by {summary['model_name']} version {summary['model_version']} "
        f"in {summary['seconds']:.0f} s",
        "",
        "| status | images |",
        "|---|---:|",
        *(f"| {status} | {summary[status]} |" for status in STATUSES),
        "",
        *_review_lines(summary),
        "",
        "| label | images |",
        "|---|---:|",
        *(f"| {label} | {count} |" for label, count in summary["labels"].items()),
        *_drift_markdown(summary),
        *_shadow_markdown(summary),
    ]
    return "\n".join(lines)


def _drift_markdown(summary: dict[str, Any]) -> list[str]:
    """Tonight against training, a row each measure."""
    if not (measures := summary.get("drift", {}).get("measures")):
        return []
    lines = [
        "",
        "Tonight against training, 0 (the same) to 1 (disjoint):",
        "",
        "| measure | difference | p | tonight | usual |",
        "|---|---:|---:|---:|---:|",
    ]
    for one in measures:
        name = f"**{one['measure']}**" if one["measure"] in summary["drift"]["drifted"] else one["measure"]
        means = [f"{one[side]:.4g}" if side in one else "" for side in ("tonight", "usual")]
        lines.append(f"| {name} | {one['statistic']:.3f} | {one['p_value']:.2g} | {' | '.join(means)} |")
    return lines


def _shadow_markdown(summary: dict[str, Any]) -> list[str]:
    if "shadow" not in summary:
        return []
    lines = ["", *_shadow_lines(summary), "", "| champion | challenger | images |", "|---|---|---:|"]
    return lines + [f"| {ours} | {theirs} | {count} |" for ours, theirs, count in summary["shadow"]["pairs"]]


def _drift_lines(summary: dict[str, Any]) -> list[str]:
    """Which measures have moved away from training, if any."""
    drift = summary.get("drift", {})
    sizes = {one["measure"]: one["statistic"] for one in drift.get("measures", [])}
    moved = ", ".join(f"{name} {sizes[name]:.2f}" for name in drift.get("drifted", []))
    return [f"not as in training (0 the same, 1 disjoint): {moved}"] if moved else []


def _shadow_lines(summary: dict[str, Any]) -> list[str]:
    if not (found := summary.get("shadow")):
        return []
    return [
        f"version {found['model_version']} as a shadow agrees on {found['agreed']} of {found['compared']} files; the "
        "others are in shadow/disagreements.csv"
    ]


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """The same for a terminal."""
    counts = ", ".join(f"{summary[status]} {status}" for status in STATUSES)
    lines = [f"{summary['listed']} images: {counts}", *_review_lines(summary)]
    lines += [*_drift_lines(summary), *_shadow_lines(summary)]
    if compared := summary.get("compared"):
        lines.append(
            f"{compared['right']} of the {compared['known']} whose label is known are right; of the "
            f"{compared['known_and_ok']} that the model is sure of, {compared['right_and_ok']}"
        )
    return lines


def _review_lines(summary: dict[str, Any]) -> list[str]:
    """How many images a person should look at, and why; nothing of a night by an earlier version."""
    if "review" not in summary:
        return []
    kinds = ", ".join(f"{summary['review'][kind]} {kind}" for kind in KINDS if summary["review"][kind])
    return [f"{summary['review']['of']} to look at{f': {kinds}' if kinds else ''}"]


FIRST_ROWS = 5  # of the latest CSV, in the status


SHOWN_VERSIONS = 10  # newest first, and whatever has an alias


def versions_table(name: str) -> tuple[list[dict[str, str]], list[str]]:
    """The versions of the model `name`, one row each, and what a person should know of the one in production."""
    every = champions.known_versions(name)
    shown = [model for place, model in enumerate(every) if place < SHOWN_VERSIONS or model.aliases]
    rows = [
        {
            "version": str(model.version),
            "aliases": " ".join(f"@{alias}" for alias in model.aliases),
            "gate": model.tags.get(GATE_TAG, ""),
            "accuracy": model.tags.get("nightshift.accuracy", ""),
            "balanced accuracy": model.tags.get("nightshift.balanced_accuracy", ""),
            "what": model.description.partition(",")[0],
        }
        for model in shown
    ]
    notes = []
    for model in shown:
        if model.tags.get(GATE_TAG) == REFUSED:
            notes += [f"version {model.version} was refused:", *(f"  {line}" for line in champions.reasons(model))]
    for model in shown:
        if champions.CHAMPION in model.aliases:
            notes.append(f"version {model.version} is champion since {model.tags.get(champions.SINCE_TAG, 'long')}")
            notes += [f"WARNING: {words}" for words in [champions.warning(model)] if words]
    return rows, notes


def _open_review(review: Path) -> list[str]:
    """How many rows of the latest review nobody has labelled yet."""
    if not review.is_file():
        return []
    waiting = sum(not row[CORRECTION] for row in read_rows(review))
    return [f"  {waiting} rows of {review} have no {CORRECTION} yet"] if waiting else []


def latest_night() -> Path | None:
    """The folder below predictions/ whose night was finished last; None where there is none."""
    found = max(PREDICTIONS.glob("*/summary.json"), key=lambda file: file.stat().st_mtime, default=None)
    return found.parent if found else None


def status_lines() -> list[str]:
    """Where things are, for a terminal: the latest CSV with its first rows, reports, how to open MLflow."""
    lines = []
    if found := latest_night():
        summary, result = read_json(found / "summary.json"), found / "predictions.csv"
        lines += ["Latest predictions:", *(f"  {line}" for line in summary_lines(summary)), f"  {result}"]
        lines += [f"  {page}" for page in [found / PAGE] if page.is_file()]
        lines += _open_review(found / REVIEW)
        for row in itertools.islice(read_rows(result), FIRST_ROWS):
            lines.append(
                f"    {row['path']}  {row['status']}  {row['label']} {row['confidence']} {row['error']}".rstrip()
            )
    if EVALUATION.is_file():
        lines += ["Current model on the test images:", f"  accuracy {as_text(read_json(EVALUATION)['accuracy'])}"]
        lines.append(f"  figures in {FIGURES}")
    for page, _, words in (*model_pages(), *data_pages()):
        lines += [f"{words}:", f"  {page.absolute().as_uri()}"]
    # Outside an activated environment the bare name would not be found.
    mlflow = "mlflow" if shutil.which("mlflow") else os.path.relpath(Path(sys.executable).with_name("mlflow"))
    return [*lines, "MLflow:", f"  {mlflow} ui --backend-store-uri {Store.of_project().shown}"]
