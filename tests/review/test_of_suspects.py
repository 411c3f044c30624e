"""Suspects: what the audit doubts, near-duplicates with two labels, confident mistakes of the test split."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from pipeline.core.paths import LABEL_ISSUES, MANIFEST, RAW, TEST_PREDICTIONS
from pipeline.review.of_night import ReviewError
from pipeline.review.of_suspects import open_suspects
from tests.fixtures.project import REPOSITORY
from tests.fixtures.waiting import draw


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_bytes((REPOSITORY / "params.yaml").read_bytes())
    rows = [
        {"path": f"{label}/{number}.png", "label": label, "cluster": cluster, "readable": True,
         "sha256": draw(RAW / label / f"{number}.png", seed=number + 10 * (label == "dog"))}
        for label, number, cluster in (("cat", 1, "x"), ("dog", 1, "x"), ("cat", 2, "y"), ("dog", 2, "z"))
    ]  # fmt: skip
    MANIFEST.parent.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_parquet(MANIFEST)
    LABEL_ISSUES.parent.mkdir()
    LABEL_ISSUES.write_text(
        "path,label,suggested,suggested_confidence,label_confidence,sha256,correct_label\n"
        f"cat/2.png,cat,dog,0.97,0.01,{rows[2]['sha256']},\n"
    )
    TEST_PREDICTIONS.write_text(
        "path,label,predicted,confidence\ncat/2.png,cat,dog,0.95\ndog/2.png,dog,cat,0.99\ncat/1.png,cat,dog,0.6\n"
        "dog/1.png,dog,dog,1\ngone.png,cat,dog,1\n"
    )
    return tmp_path


def test_each_look_names_its_suspects_once_and_test_images_are_marked(project: Path) -> None:
    found = open_suspects()
    assert [(one.path, one.source, one.label, one.proposed) for one in found.waiting] == [
        ("cat/2.png", "test", "cat", "dog"),  # the audit has it, too, and it comes once
        ("dog/1.png", "audit", "dog", "cat"),
        ("cat/1.png", "audit", "cat", "dog"),
        ("dog/2.png", "test", "dog", "cat"),
    ]
    assert "label issue" in found.waiting[0].why
    assert "the model is sure of another label" in found.waiting[0].why
    assert found.labels == ("cat", "dog")
    assert found.waiting[0].folder == "data/raw"


def test_a_near_duplicate_has_its_twin_beside_it(project: Path) -> None:
    found = open_suspects()
    by_path = {one.path: one for one in found.waiting}
    [twin] = found.beside[by_path["dog/1.png"].sha256]
    assert (twin.label, twin.sha256, Path(twin.place).is_file()) == ("cat", by_path["cat/1.png"].sha256, True)


def test_without_suspects_it_says_what_finds_some(project: Path) -> None:
    LABEL_ISSUES.unlink()
    TEST_PREDICTIONS.unlink()
    pd.read_parquet(MANIFEST).assign(cluster=["a", "b", "c", "d"]).to_parquet(MANIFEST)
    with pytest.raises(ReviewError, match="the last training found no labels that may be wrong"):
        open_suspects()
    MANIFEST.unlink()
    with pytest.raises(ReviewError, match="nightshift data check"):
        open_suspects()
