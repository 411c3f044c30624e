"""The page on the evaluation: complete, self-contained, and no name of a class or file can break it."""

import base64
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pipeline.core.paths import EVALUATION_REPORT
from pipeline.evaluation.contact_sheets import cells, draw_corruptions, draw_sheet, mistakes
from pipeline.evaluation.diagrams import draw_diagrams
from pipeline.evaluation.figures import write_figures
from pipeline.evaluation.findings import Findings
from pipeline.evaluation.measure import evaluate
from pipeline.evaluation.report import write_report
from pipeline.evaluation.robustness import ROBUSTNESS_COLUMNS
from pipeline.evaluation.slices import measure_slices
from pipeline.model.answers import Answers, Judged
from pipeline.model.contract import Contract
from pipeline.params.file import Params
from tests.fixtures.certificates import UNCERTAIN
from tests.fixtures.images import noise

NASTY = ("<script>alert(1)</script>", "a & b | $x$ {{ 7*7 }}")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, defaults: Params) -> str:
    """With a bad slice, corruptions, mistakes, and names that are no friends of HTML."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    bad = np.arange(120) >= 80
    right = rng.random(120) < np.where(bad, 0.4, 0.97)
    said = np.where(right, labels, 1 - labels)
    answers = Answers(labels, np.where(said[:, None] == [0, 1], 0.9, 0.1).astype(np.float32))
    judged = Judged(answers, answers, NASTY, 0.5, np.arange(120) // 2, candidates_above=(0.05, 0.9))
    table = pd.DataFrame({"site": np.where(bad, "<b>far</b>", "near")})
    slices = measure_slices(table, judged, defaults.evaluate)
    rows = [("none", 0, 120, 0.9, 0.8, 0.1), *(("blur", s, 120, 0.5, 0.7 - s / 10, 0.2) for s in (1, 2, 3))]
    robustness = pd.DataFrame(rows, columns=list(ROBUSTNESS_COLUMNS))
    numbers = evaluate(judged, slices, robustness, defaults.evaluate.model_copy(update={"resamples": 100}), seed=1)
    findings = Findings(numbers, slices, robustness, None)
    figures: dict[str, Figure] = draw_diagrams(judged, slices, robustness)
    images = np.stack([noise(8, 8, seed) for seed in range(120)])
    figures["mistakes"] = draw_sheet(cells(judged, images, ["<i>.png"] * 120, mistakes(judged)))
    figures["corruptions"] = draw_corruptions(images[0], seed=1)
    contract = Contract(
        class_names=NASTY, images=defaults.images, backbone="cnn", temperature=1.0, unsure_below=0.5,
        dataset_sha256="d" * 64, weights_sha256="w" * 64, code_commit="c" * 40 + "-dirty",
        certificate=UNCERTAIN,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_report(findings, judged, write_figures(Path("figures"), figures), contract, defaults)
        return Path(EVALUATION_REPORT).read_text()


def test_the_page_needs_no_other_file(page: str) -> None:
    sources = re.findall(r"(?:src|href)=\"([^\"]*)\"", page)
    assert len(sources) > 8
    others = {source for source in sources if not source.startswith(("data:image/", "#"))}
    assert others == {"index.html", "model_card.html", "data.html"}, "but for links to pages that are there by then"
    assert not re.search(r"https?:|//cdn|<script|<link|@import|url\(", page)


def test_every_picture_is_one(page: str) -> None:
    pictures = re.findall(r"src=\"data:image/(png|webp);base64,([^\"]*)\"", page)
    starts = {"png": b"\x89PNG", "webp": b"RIFF"}
    assert len(pictures) == 8  # six diagrams, the mistakes and the corruptions
    assert all(base64.b64decode(data).startswith(starts[form]) for form, data in pictures)


def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"href=\"#([^\"]*)\"", page):
        assert f'id="{target}"' in page


def test_names_are_shown_as_they_are(page: str) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "a &amp; b | $x$ {{ 7*7 }}" in page
    assert "site: &lt;b&gt;far&lt;/b&gt;" in page


def test_the_bad_slice_is_spoken_of_and_how_it_was_found(page: str) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", re.sub(r"base64,[^\"]*", "", page)))
    assert "1 of 2 slices are worse than chance explains" in text
    assert "Holm" in text
    assert "60 scenes" in text, "images that belong together are resampled together, and that is said"
    assert "code cccccccccccc with changes" in text
    assert UNCERTAIN.words in text


def test_a_class_whose_label_is_missing_too_often_stands_out_among_the_candidates(page: str) -> None:
    section = page[page.index('id="candidates"') : page.index('id="numbers"')]
    first, second = re.findall(r"<tr.*?</tr>", section)[1:]
    assert "alert(1)" in first
    assert "100.0" in first
    assert 'class="bad"' not in first
    assert 'class="bad"' in second, "of the second class a fifth is wrong, and excluded"


def test_it_reads_on_a_phone(page: str) -> None:
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert len(re.findall(r"<table", page)) == len(
        re.findall(r"<div class=\"scroll\"><table|<table class=\"full stacked\"", page)
    )
