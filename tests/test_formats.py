"""docs/formats.md says what the code writes: every field of every format, in its order."""

import json
import re

import pandas as pd
import pytest

from pipeline.checks.expectation_results import Judgement
from pipeline.checks.label_issues import ISSUE_COLUMNS
from pipeline.collect.clip_folder import CLIPS_COLUMNS
from pipeline.collect.gaps import GAP_COLUMNS
from pipeline.collect.state import COLLECTED_COLUMNS
from pipeline.data import judgements, side_table
from pipeline.data.manifest import MEASURED
from pipeline.data.partners import Joined
from pipeline.data.splits import FrozenSplits
from pipeline.evaluation import robustness, slices
from pipeline.evaluation.headlines import METRICS
from pipeline.evaluation.results import Evaluation, TrainingResult, few_numbers
from pipeline.exports import geojson
from pipeline.exports.xmp import ADDED, Answer
from pipeline.model.contract import Contract
from pipeline.night.accuracy import Estimate
from pipeline.night.events import EVENT_COLUMNS
from pipeline.night.ledger import RunPlan
from pipeline.night.rows import COLUMNS, CORRECTION, JUDGED, WHY
from pipeline.night.summary import NightSummary
from pipeline.night.tiled_scenes import SCENE_COLUMNS, TILE_COLUMNS
from pipeline.notices import by_label
from pipeline.validate import numbers
from tests.fixtures.project import REPOSITORY

PAGE = (REPOSITORY / "docs" / "formats.md").read_text(encoding="utf-8")
MANIFEST = ("path", "label", "bytes", *MEASURED, "cluster", "burst", "subject", "quarantined")


def documented(name: str) -> list[str]:
    """The fields of a section of the page; its heading has the format's version."""
    (section,) = re.findall(rf"^## {re.escape(name)} \(version \d+\)$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def tracked(name: str) -> list[str]:
    """The fields of a report of the demo that git keeps."""
    return list(json.loads((REPOSITORY / "reports" / name).read_text()))


def of_numbers() -> list[str]:
    files = pd.DataFrame({"path": ["a"], "label": ["b"], "readable": [True], "quarantined": [""], "cluster": ["c"]})
    return list(numbers(files, [], Joined(0, 0, 0.0)))


def of_evaluation() -> list[str]:
    """In the file each metric is a key of its own."""
    return [
        key
        for name in Evaluation.model_fields
        for key in ([one.name for one in METRICS] if name == "metrics" else [name])
    ]


def of_headlines() -> list[str]:
    return list(few_numbers(Evaluation.model_validate_json((REPOSITORY / "reports/evaluation.json").read_bytes())))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("predictions.csv", COLUMNS),
        ("review.csv", (WHY, CORRECTION, JUDGED)),
        ("data/labels.jsonl", judgements.Judgement.model_fields),
        ("data/raw/metadata.csv", side_table.KNOWN),
        ("answers.geojson", ("path", "confidence", *geojson.TEXTS)),
        ("XMP sidecars", (*Answer("cat", "ok", "1", "m", "1").properties, ADDED.name)),
        (".nightshift/notify_when.json", by_label.State.model_fields),
        ("summary.json", NightSummary.model_fields),
        ("events.csv", EVENT_COLUMNS),
        ("tiles.parquet", TILE_COLUMNS),
        ("scenes.csv", SCENE_COLUMNS),
        ("collected.csv", COLLECTED_COLUMNS),
        ("gaps.csv", GAP_COLUMNS),
        ("clips.csv", CLIPS_COLUMNS),
        ("accuracy.json", Estimate.model_fields),
        (".nightshift/plan.json", RunPlan.model_fields),
        ("contract.json", Contract.model_fields),
        ("data/manifest.parquet", MANIFEST),
        ("data/splits.json", FrozenSplits.model_fields),
        ("reports/expectations.json", Judgement.model_fields),
        ("reports/label_issues.csv", ISSUE_COLUMNS),
        ("reports/validation.json", of_numbers()),
        ("reports/validation.json", tracked("validation.json")),
        ("reports/training.json", TrainingResult.model_fields),
        ("reports/evaluation.json", of_evaluation()),
        ("reports/metrics.json", of_headlines()),
        ("reports/slices.csv", slices.SLICE_COLUMNS),
        ("reports/robustness.csv", robustness.ROBUSTNESS_COLUMNS),
    ],
)
def test_the_page_has_every_field_of_a_format_in_its_order(name: str, fields: object) -> None:
    assert documented(name) == list(fields)  # type: ignore[call-overload]


def test_the_demos_training_has_every_field_but_those_that_may_be_missing_in_their_order() -> None:
    found, optional = tracked("training.json"), {"certificate"}
    assert found == [name for name in documented("reports/training.json") if name in found or name not in optional]


def test_the_demos_evaluation_has_the_fields_of_two_classes_in_their_order() -> None:
    of_more = {one.name for one in METRICS if one.more_classes_than > 1}
    found = tracked("evaluation.json")
    # A model of an earlier version gives no candidates, and the demo's images do not say when they were taken.
    missing = of_more | ({"candidates", "events", "frames"} - {*found})
    assert found == [name for name in documented("reports/evaluation.json") if name not in missing]


def test_the_page_has_every_tag_in_mlflow() -> None:
    code = "".join(file.read_text() for file in (REPOSITORY / "pipeline" / "registry").glob("*.py"))
    of_mlflow = r"mlflow\.(?:source\.git\.commit|note\.content)"
    tags = set(re.findall(rf"\"((?:nightshift|prefect)\.[a-z_0-9]+|{of_mlflow})\"", code))
    assert set(documented("MLflow")) == tags


def test_every_format_has_its_version() -> None:
    assert all(re.search(r" \(version \d+\)$", line) for line in PAGE.splitlines() if line.startswith("## "))
