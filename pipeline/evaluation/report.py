"""The evaluation report: one HTML page that needs no other file. Measures nothing."""

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image

from pipeline.core.figures import numbered
from pipeline.core.pages import data_uri, render
from pipeline.core.paths import DATA_REPORT, EVALUATION_REPORT, MODEL_CARD_PAGE
from pipeline.evaluation.advice import todo, wrong_words
from pipeline.evaluation.findings import Findings, certificate_words, headline_rows, identity, in_words, when_sure
from pipeline.evaluation.headlines import in_percent
from pipeline.evaluation.robustness import CLEAN, CORRUPTIONS, MOST_IMAGES
from pipeline.evaluation.saliency import MOST_IMAGES as MOST_EXPLAINED
from pipeline.evaluation.slices import FALSE_ALARM
from pipeline.model.answers import Judged
from pipeline.model.contract import Contract
from pipeline.params.file import Params
from pipeline.storage.report_pages import links_to, write_page

TEMPLATE = "evaluation/report.html"
SHEETS = frozenset(("mistakes", "doubtful_hits", "corruptions", "evidence"))  # photographs: smaller as WebP
SLICES_LISTED = 60  # rows; all are in the CSV


def write_report(
    findings: Findings, judged: Judged, pictures: Mapping[str, bytes], contract: Contract, params: Params
) -> None:
    """Write the page to EVALUATION_REPORT. pictures: the PNG of each figure by its name."""
    metrics = findings.evaluation
    page = render(
        TEMPLATE,
        metrics=metrics,
        words=in_words(metrics, params.evaluate.interval_level),
        certified=certificate_words(contract) if contract.certificate and contract.certificate.certified else [],
        wrong=wrong_words(findings, contract),
        todo=todo(findings, contract),
        suspects=findings.suspects,
        mislabelled=findings.mislabelled,
        identity=identity(contract),
        links=links_to(MODEL_CARD_PAGE, DATA_REPORT),
        right=in_percent(metrics.of("accuracy").value),
        headlines=headline_rows(metrics),
        when_sure=when_sure(metrics),
        level=f"{params.evaluate.interval_level:.0%}",
        of_100=f"{100 * params.evaluate.interval_level:.3g}",
        resamples=params.evaluate.resamples,
        scenes=len(set(judged.groups.tolist())),
        contract=contract,
        numbered=numbered(contract.class_names),
        figures={name: _address(name, picture) for name, picture in pictures.items()},
        slices=findings.slices.head(SLICES_LISTED).to_dict("records"),
        slice_count=len(findings.slices),
        smallest_slice=params.evaluate.smallest_slice,
        false_alarm=f"{FALSE_ALARM:.0%}",
        set_error=params.train.set_error,
        worse=findings.worse_slices,
        robustness=robustness_rows(findings),
        robustness_images=None if findings.robustness is None else int(findings.robustness["images"].iloc[0]),
        most_images=MOST_IMAGES,
        most_explained=MOST_EXPLAINED,
        evidence=findings.evidence.method if findings.evidence else "",
    )
    write_page(EVALUATION_REPORT, page)


def _address(name: str, picture: bytes) -> str:
    if name not in SHEETS:
        return data_uri(picture, "png")
    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture)).save(buffer, "webp")
    return data_uri(buffer.getvalue(), "webp")


def robustness_rows(findings: Findings) -> list[dict[str, Any]]:
    """One row per corruption: its name, and accuracy, balanced accuracy and unsure share at each strength."""
    if (table := findings.robustness) is None:
        return []
    rows = []
    for name in (CLEAN, *CORRUPTIONS):
        of_this = table[table["corruption"] == name]
        rows.append({"name": name, "strengths": of_this.to_dict("records")})
    return rows
