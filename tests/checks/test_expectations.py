"""Each expectation passes on good data and fails on its fault alone, which is named; drift is told from chance."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.checks.dataset_drift import MEASURES, compare
from pipeline.checks.expectation_results import Judgement, judge
from pipeline.checks.expectations import KEYS, checks, quarantine, tables
from pipeline.params.data import Checks, Validate
from pipeline.params.file import Params

Spoil = Callable[[pd.DataFrame], object]
NO_DRIFT = pd.DataFrame({"measure": ["brightness"], "statistic": [0.0], "p_value": [1.0]})


@pytest.fixture
def limits(defaults: Params) -> Validate:
    return defaults.validate_.model_copy(update={"class_names": ["cat", "dog"]})


def good(count: int = 30) -> pd.DataFrame:
    """A manifest of two classes that meets every expectation."""
    rows = 2 * count
    return pd.DataFrame(
        {
            "path": [f"{label}/{number:02d}.jpg" for label in ("cat", "dog") for number in range(count)],
            "label": ["cat"] * count + ["dog"] * count,
            "bytes": 1000, "readable": True, "error": "",
            "sha256": [f"{number:064x}" for number in range(rows)],
            "format": "JPEG", "extension_matches": pd.array([True] * rows, "boolean"),
            "width": pd.array([100] * rows, "Int64"), "height": pd.array([80] * rows, "Int64"),
            "aspect": pd.array([1.25] * rows, "Float64"), "brightness": pd.array([120.0] * rows, "Float64"),
            "contrast": pd.array([40.0] * rows, "Float64"), "sharpness": pd.array([300.0] * rows, "Float64"),
            "entropy": pd.array([7.0] * rows, "Float64"),
            "split": pd.array([None] * rows, "str"),
            "cluster": [f"{number:064x}" for number in range(rows)], "quarantined": "",
        }
    )  # fmt: skip


def judged(
    manifest: pd.DataFrame,
    limits: Validate,
    docs: Path | None = None,
    drift: pd.DataFrame = NO_DRIFT,
    orphans: int = 0,
) -> list[Judgement]:
    return judge(tables(manifest, drift, orphans, limits), checks(limits), docs)


def put(rows: slice | list[int], **values: Any) -> Spoil:
    """Set columns of some rows."""

    def spoil(manifest: pd.DataFrame) -> None:
        for column, value in values.items():
            manifest.loc[manifest.index[rows], column] = value

    return spoil


def test_good_data_meet_every_expectation(limits: Validate) -> None:
    outcomes = judged(good(), limits)
    assert [outcome.fault for outcome in outcomes if not outcome.met] == []
    always = {"few_classes", "too_many_quarantined"}
    assert {outcome.fault for outcome in outcomes} == set(Checks.model_fields) | always
    assert not any(outcome.error or outcome.examples for outcome in outcomes)


FAULTS: dict[str, tuple[Spoil, list[str]]] = {
    "unreadable": (
        put([3], readable=False, width=pd.NA, height=pd.NA, brightness=pd.NA, contrast=pd.NA, sharpness=pd.NA,
            extension_matches=pd.NA, error="cut off"),
        ["cat/03.jpg"],
    ),
    "small": (put([3, 40], width=90, height=31), ["cat/03.jpg", "dog/10.jpg"]),
    "odd_size": (put([3, 40], width=401), ["cat/03.jpg", "dog/10.jpg"]),
    "wrong_extension": (put([3], extension_matches=False), ["cat/03.jpg"]),
    "unknown_label": (put([3, 4], label="tiger"), ["cat/03.jpg", "cat/04.jpg"]),
    "blank": (put([3], contrast=1.9), ["cat/03.jpg"]),
    "dark": (put([3, 40], brightness=14.9), ["cat/03.jpg", "dog/10.jpg"]),
    "blurred": (put([3, 40], sharpness=4.9), ["cat/03.jpg", "dog/10.jpg"]),
    "duplicate": (
        put([3, 4, 5, 6, 7], sha256=f"{2:064x}", cluster=f"{2:064x}"), [f"cat/{row:02d}.jpg" for row in range(3, 8)],
    ),
    "conflicting_duplicate": (put([40], sha256=f"{2:064x}"), ["cat/02.jpg", "dog/10.jpg"]),
    "conflicting_near_duplicate": (put([40], cluster=f"{2:064x}"), ["cat/02.jpg", "dog/10.jpg"]),
    "few_images": (put(slice(49, 60), label="cat"), ["dog"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_by_its_own_expectation_which_names_the_files(limits: Validate, fault: str) -> None:
    spoil, names = FAULTS[fault]
    manifest = good()
    spoil(manifest)
    missed = {outcome.fault: outcome for outcome in judged(manifest, limits) if not outcome.met}
    assert set(missed) == {fault}
    assert list(missed[fault].examples) == names
    assert missed[fault].status == getattr(limits.checks, fault).severity


def test_an_imbalance_is_found(limits: Validate) -> None:
    manifest = good(420).drop(index=range(420 + 20, 840))
    (missed,) = [outcome for outcome in judged(manifest, limits) if not outcome.met]
    assert (missed.fault, missed.examples) == ("imbalance", ("dog",))


@pytest.mark.parametrize(
    ("splits", "faulty"),
    [
        pytest.param(["train", "train"], [], id="one split"),
        pytest.param(["train", None], [], id="one is not given"),
        pytest.param(["train", "test"], ["cat/00.jpg"], id="train and test"),
        pytest.param(["test", "val", "train"], ["cat/01.jpg", "cat/02.jpg"], id="all three"),
        pytest.param(["val", "test", "test"], ["cat/00.jpg"], id="validation and test"),
    ],
)
def test_a_repetition_across_given_splits_is_held_against_the_image_nearer_to_training(
    limits: Validate, splits: list[str | None], faulty: list[str]
) -> None:
    manifest = good()
    put(slice(0, len(splits)), cluster="one")(manifest)
    manifest["split"] = pd.array([*splits, *[None] * (60 - len(splits))], "str")
    outcomes = {outcome.fault: outcome for outcome in judged(manifest, limits)}
    assert list(outcomes["leaking_duplicate"].examples) == faulty
    assert outcomes["leaking_duplicate"].met == (not faulty)


@pytest.mark.parametrize(
    ("change", "fault", "found"),
    [
        pytest.param({"orphans": 3}, "orphaned_metadata", "3", id="rows without an image"),
        pytest.param({"drift": NO_DRIFT.assign(statistic=0.3)}, "drift", "1 of 1", id="drift"),
    ],
)
def test_faults_of_the_whole_are_found(limits: Validate, change: dict[str, Any], fault: str, found: str) -> None:
    (missed,) = [one for one in judged(good(), limits, **change) if not one.met]
    assert (missed.fault, missed.found, missed.status) == (fault, found, "warning")


def test_one_class_is_too_few(limits: Validate) -> None:
    one = limits.model_copy(update={"class_names": None})
    missed = [outcome for outcome in judged(good().iloc[:30], one) if not outcome.met]
    assert [(outcome.fault, outcome.found, outcome.status) for outcome in missed] == [("few_classes", "1", "error")]


def test_a_class_that_is_known_and_has_no_images_is_named(limits: Validate) -> None:
    more = limits.model_copy(update={"class_names": ["cat", "dog", "horse"]})
    missed = {one.fault: one.examples for one in judged(good(), more) if not one.met}
    assert missed == {"few_images": ("horse",), "imbalance": ("horse",)}


def with_check(limits: Validate, fault: str, **values: Any) -> Validate:
    section = getattr(limits.checks, fault).model_copy(update=values)
    return limits.model_copy(update={"checks": limits.checks.model_copy(update={fault: section})})


@pytest.mark.parametrize(("max_share", "met"), [(0.0, False), (0.05, True), (0.049, False)])
def test_a_share_of_faulty_files_may_be_allowed(limits: Validate, max_share: float, met: bool) -> None:
    manifest = good()
    put([1, 2, 3], contrast=0.5)(manifest)
    outcomes = judged(manifest, with_check(limits, "blank", max_share=max_share))
    (blank,) = [outcome for outcome in outcomes if outcome.fault == "blank"]
    assert (blank.met, blank.missed) == (met, 3)


@pytest.mark.parametrize(("severity", "status"), [("error", "error"), ("warning", "warning"), ("off", None)])
def test_severity_is_the_users(limits: Validate, severity: str, status: str | None) -> None:
    manifest = good()
    put([3], contrast=0.5)(manifest)
    outcomes = judged(manifest, with_check(limits, "blank", severity=severity))
    found = {outcome.fault: outcome.status for outcome in outcomes}
    assert found.get("blank") == status


def test_the_data_docs_have_an_index_the_words_and_the_files_that_miss(limits: Validate, tmp_path: Path) -> None:
    manifest = good()
    put([3], contrast=0.5)(manifest)
    judged(manifest, limits, tmp_path / "docs")
    assert (tmp_path / "docs" / "index.html").is_file()

    def pages(folder: str) -> str:
        return "".join(file.read_text(encoding="utf-8") for file in (tmp_path / "docs" / folder).rglob("*.html"))

    assert "Images show something" in pages("expectations")
    assert "Every known class has enough images" in pages("expectations")
    assert "cat/03.jpg" in pages("validations")
    assert "cat/04.jpg" not in pages("validations")


def test_bad_files_are_set_aside_when_asked_and_then_count_no_more(limits: Validate) -> None:
    asked = limits.model_copy(update={"quarantine": ["blank", "conflicting_duplicate"], "max_quarantined": 0.1})
    manifest = good()
    put([3], contrast=0.5)(manifest)
    put([40], sha256=f"{2:064x}", contrast=0.5)(manifest)
    manifest["quarantined"] = quarantine(manifest, asked)
    assert {path: reason for path, reason in zip(manifest["path"], manifest["quarantined"], strict=True) if reason} == {
        "cat/02.jpg": "conflicting_duplicate", "cat/03.jpg": "blank", "dog/10.jpg": "blank",
    }  # fmt: skip
    assert [outcome.fault for outcome in judged(manifest, asked) if not outcome.met] == []


def test_too_many_bad_files_stop_the_pipeline_even_in_quarantine(limits: Validate) -> None:
    asked = limits.model_copy(update={"quarantine": ["blank"]})
    manifest = good()
    put([3, 4, 5, 6], contrast=0.5)(manifest)
    manifest["quarantined"] = quarantine(manifest, asked)
    (missed,) = [outcome for outcome in judged(manifest, asked) if not outcome.met]
    assert (missed.fault, missed.status) == ("too_many_quarantined", "error")
    assert missed.found == "0.0666667"


def test_of_what_leaks_only_what_is_nearer_to_training_is_set_aside(limits: Validate) -> None:
    manifest = good()
    put([1, 2], cluster="one")(manifest)
    manifest["split"] = pd.array(["test", "test", "train", *["train"] * 57], "str")
    asked = limits.model_copy(update={"quarantine": ["leaking_duplicate"]})
    assert list(manifest["path"][quarantine(manifest, asked) != ""]) == ["cat/02.jpg"]


def measured(seed: int, count: int = 400, shift: float = 0, cats: float = 0.5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({name: rng.normal(100 + shift * (name == "brightness"), 20, count) for name in MEASURES})
    labels = np.where(rng.random(count) < cats, "cat", "dog")
    return table.assign(label=labels, readable=True, sha256=[f"{seed}-{number}" for number in range(count)])


def moved(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    table = compare(after, before)
    return list(table["measure"][table["statistic"] > 0.2])


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(measured(2), [], id="more of the same"),
        pytest.param(measured(2, shift=25), ["brightness"], id="brighter"),
        pytest.param(measured(2, cats=0.9), ["label"], id="another mixture"),
        pytest.param(measured(1), [], id="the same images"),
        pytest.param(measured(2, count=20, shift=60), [], id="too few to tell"),
    ],
)
def test_drift_is_found_and_told_from_chance(after: pd.DataFrame, expected: list[str]) -> None:
    assert moved(measured(1), after) == expected


def test_a_baseline_of_an_older_kind_is_compared_in_what_it_has() -> None:
    old = measured(1).drop(columns=["sharpness", "entropy"])
    assert set(compare(measured(2), old)["measure"]) == {*MEASURES, "label"} - {"sharpness", "entropy"}


def test_every_table_has_its_key(limits: Validate) -> None:
    for name, table in tables(good(), NO_DRIFT, 0, limits).items():
        assert table[KEYS[name]].is_unique
