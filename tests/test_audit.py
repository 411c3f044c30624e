"""Labels that were swapped are found, and the data report shows them."""

import re
from pathlib import Path
from urllib.parse import unquote

import pandas as pd

from pipeline.checks.label_issues import ISSUE_COLUMNS
from pipeline.core.paths import DATA_REPORT, LABEL_ISSUES
from tests.fixtures.project import change_params, run_stage


def test_the_report_shows_everything_and_needs_no_other_file(trained: Path) -> None:
    page = (trained / DATA_REPORT).read_text(encoding="utf-8")
    for words in (
        "unreadable",
        "circle (30)",
        "square (30)",
        "Near-duplicates",
        "Darkest",
        "Labels that are prob",
    ):
        assert words in page, words
    assert page.count("data:image/webp;base64,") >= 24
    links = set(re.findall(r"(?:src|href)=\"((?!data:|#)[^\"]*)", page))
    photographs = {link for link in links if link.startswith("../data/raw/")}
    assert len(photographs) >= 24
    assert links - photographs <= {"index.html", "data_docs/index.html", "label_issues.csv"}, "what is there by then"
    assert all((trained / DATA_REPORT.parent / unquote(link)).is_file() for link in links), (
        "links, which lead somewhere"
    )
    assert (trained / DATA_REPORT.parent / "data_docs/index.html").is_file()
    assert list(pd.read_csv(trained / LABEL_ISSUES).columns) == list(ISSUE_COLUMNS)


def test_a_network_from_scratch_leaves_the_labels_unaudited_and_says_so(project: Path) -> None:
    change_params(project, {"model": {"backbone": "cnn", "weights": "none"}})
    run_stage("embed", project)
    said = run_stage("audit", project)
    assert "Labels are not audited: cnn has no pretrained features" in said
    assert "Labels are not audited: cnn has no" in (project / DATA_REPORT).read_text(encoding="utf-8")
    assert pd.read_csv(project / LABEL_ISSUES).empty


def test_each_file_that_a_person_spoilt_is_kept_and_none_replaces_another(project: Path) -> None:
    change_params(project, {"audit": {"folds": 0}})
    mine, others = 'path,label\na,"cat\n', 'path,label\nb,"dog\n'  # a quotation mark is missing
    for text in (mine, others, others):
        (project / LABEL_ISSUES).write_text(text)
        assert "It is kept as" in run_stage("audit", project)
    kept = sorted((project / LABEL_ISSUES.parent).glob("label_issues-*.csv"))
    assert [file.read_text() for file in kept] == [mine, others]
