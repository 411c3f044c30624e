"""The evaluation as one HTML page that needs no other file, for people. Measures nothing."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from pipeline.core.pages import figure_uri, render
from pipeline.core.paths import EVALUATION_REPORT
from pipeline.evaluation.corruptions import CORRUPTIONS
from pipeline.evaluation.findings import Results, headline_rows, in_words
from pipeline.evaluation.robustness import CLEAN, MOST_IMAGES
from pipeline.evaluation.saliency import MOST_IMAGES as MOST_EXPLAINED
from pipeline.evaluation.slices import FALSE_ALARM
from pipeline.model.answers import Judged
from pipeline.model.contract import Contract
from pipeline.params.file import Params
from pipeline.storage.files import replacing

TEMPLATE = "evaluation/report.html"
DIAGRAM, SHEET = ("png", 110), ("webp", 90)  # format, and dots per inch
SHEETS = frozenset(("mistakes", "doubtful_hits", "corruptions", "evidence"))  # photographs: smaller as WebP
SLICES_LISTED = 60  # rows; all are in the CSV


def write_report(
    results: Results, judged: Judged, figures: Mapping[str, Figure], contract: Contract, params: Params
) -> None:
    """Write the page to EVALUATION_REPORT."""
    metrics = results.metrics
    page = render(
        TEMPLATE,
        metrics=metrics,
        words=in_words(metrics, params.evaluate.interval_level),
        headlines=headline_rows(metrics),
        level=f"{params.evaluate.interval_level:.0%}",
        resamples=params.evaluate.resamples,
        scenes=len(set(judged.groups.tolist())),
        contract=contract,
        figures={name: figure_uri(figure, *(SHEET if name in SHEETS else DIAGRAM)) for name, figure in figures.items()},
        slices=results.slices.head(SLICES_LISTED).to_dict("records"),
        slice_count=len(results.slices),
        smallest_slice=params.evaluate.smallest_slice,
        false_alarm=f"{FALSE_ALARM:.0%}",
        worse=results.worse_slices,
        robustness=robustness_rows(results),
        robustness_images=None if results.robustness is None else int(results.robustness["images"].iloc[0]),
        most_images=MOST_IMAGES,
        most_explained=MOST_EXPLAINED,
        evidence=results.evidence.method if results.evidence else "",
    )
    with replacing(EVALUATION_REPORT) as beside:
        beside.write_text(page, encoding="utf-8")


def robustness_rows(results: Results) -> list[dict[str, Any]]:
    """One row a corruption: its name, and accuracy, balanced accuracy and share of unsure at each strength."""
    if (table := results.robustness) is None:
        return []
    rows = []
    for name in (CLEAN, *CORRUPTIONS):
        of_this = table[table["corruption"] == name]
        rows.append({"name": name, "strengths": of_this.to_dict("records")})
    return rows
