"""Every figure of an evaluation, by file name: diagrams and contact sheets. Measures nothing."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.core.figures import Words
from pipeline.core.pages import as_png
from pipeline.data.prepared import Split
from pipeline.evaluation import contact_sheets
from pipeline.evaluation.diagrams import draw_diagrams
from pipeline.evaluation.findings import Findings
from pipeline.model.answers import Judged
from pipeline.storage.files import replacing


def draw_all(findings: Findings, judged: Judged, test: Split, seed: int) -> dict[str, Figure]:
    """Every figure that has data, by file name."""
    names, slices = judged.class_names, findings.slices
    texts = [*names, *test.table["path"], *slices["column"].astype(str), *slices["value"].astype(str)]
    words = Words.of(texts)
    paths = [words.plain(path) for path in test.table["path"]]
    shown = dataclasses.replace(judged, class_names=tuple(words.labels(names)))
    of_labels = dict(zip(names, shown.class_names, strict=True))
    slices = slices.assign(value=[of_labels.get(str(value), words.plain(str(value))) for value in slices["value"]])
    with words.drawing():
        return draw_diagrams(shown, slices, findings.robustness) | _sheets(findings, shown, test, paths, seed)


def _sheets(findings: Findings, judged: Judged, test: Split, paths: list[str], seed: int) -> dict[str, Figure]:
    found = {}
    for name, rows in (
        ("mistakes", contact_sheets.mistakes(judged)),
        ("doubtful_hits", contact_sheets.doubtful_hits(judged)),
    ):
        if len(rows):
            found[name] = contact_sheets.draw_sheet(contact_sheets.cells(judged, test.images, paths, rows))
    if findings.robustness is not None:
        by_brightness = test.table["brightness"].to_numpy(dtype="float64").argsort(kind="stable")
        found["corruptions"] = contact_sheets.draw_corruptions(
            test.images[by_brightness[len(by_brightness) // 2]], seed
        )
    if (evidence := findings.evidence) is not None and len(evidence.rows):
        found["evidence"] = contact_sheets.draw_evidence(
            contact_sheets.cells(judged, test.images, paths, evidence.rows), evidence.heat
        )
    return found


def write_figures(folder: Path, figures: Mapping[str, Figure]) -> dict[str, bytes]:
    """Write each figure as a PNG into `folder`, in place of the old figures; the files' contents by name.

    To lay a figure out and to draw it takes longer than to measure most of what it shows: it is done once.
    """
    pictures = {name: as_png(figure) for name, figure in figures.items()}
    with replacing(folder) as beside:
        beside.mkdir()
        for name, picture in pictures.items():
            (beside / f"{name}.png").write_bytes(picture)
    return pictures
