"""The report on the data shows every finding, and no name can break it."""

import re
from html import escape
from pathlib import Path

import pandas as pd
import pytest

from pipeline.checks.expectation_results import read_judgements
from pipeline.checks.label_issues import Audited
from pipeline.checks.report import Findings, write_report
from pipeline.core.paths import DATA_REPORT, EXPECTATIONS, MANIFEST
from pipeline.params.file import load_params


def manifest_of(trained: Path) -> pd.DataFrame:
    return pd.read_parquet(trained / MANIFEST)


def findings(manifest: pd.DataFrame, audited: Audited | None = None) -> Findings:
    return Findings(manifest, [], audited or Audited(), seed=7)


def test_contradictions_stand_before_mere_repetitions(trained: Path) -> None:
    manifest = manifest_of(trained).assign(split=None)
    circles, squares = (list(manifest.index[manifest["label"] == label]) for label in ("circle", "square"))
    manifest.loc[circles[:5], "cluster"] = "many of one class"
    manifest.loc[[circles[6], circles[7]], "cluster"] = "two splits"
    manifest.loc[circles[6], "split"], manifest.loc[circles[7], "split"] = "train", "test"
    manifest.loc[[circles[9], squares[9]], "cluster"] = "two labels"
    rows = findings(manifest).clusters
    assert [row.title for row in rows[:3]] == ["2 images, two labels", "2 images, two splits", "5 images"]
    assert [image.alarm for image in rows[0].images] == [True, True]
    assert [image.alarm for image in rows[2].images] == [False] * 5


def test_the_extremes_are_the_extremes(trained: Path) -> None:
    manifest = manifest_of(trained)
    darkest, brightest = (row.images[0].path for row in findings(manifest).worst[:2])
    assert darkest == manifest.loc[manifest["brightness"].idxmin(), "path"]
    assert brightest == manifest.loc[manifest["brightness"].idxmax(), "path"]


def test_odd_labels_and_lost_files_do_not_break_the_page(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    manifest = manifest_of(project)
    manifest["label"] = manifest["label"].replace("circle", "<script>alert(1)</script> & 'round'")
    for path in manifest["path"].head(30):
        (project / "data/raw" / path).unlink()
    write_report(manifest, read_judgements(EXPECTATIONS), Audited(), load_params())
    page = DATA_REPORT.read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "no longer readable" in page


def test_the_page_has_an_index_of_the_tables_and_every_figure_of_the_results(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    judged = read_judgements(EXPECTATIONS)
    missed = judged[0].model_copy(
        update={"status": "warning", "missed": 9, "examples": ("a.png", "b.png"), "values": (0.25, 3.0), "unknown": 4}
    )
    write_report(manifest_of(project), [missed, *judged[1:]], Audited(), load_params())
    page = DATA_REPORT.read_text(encoding="utf-8")
    for table in {one.table for one in judged}:
        assert page.count(f'href="#table-{table}"') == page.count(f'id="table-{table}"') == 1
    assert "a.png (0.25), b.png (3)" in page
    assert "4 rows have no value" in page
    assert all(escape(one.expected) in page for one in judged)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert "fetch styles and scripts from other servers" in page
