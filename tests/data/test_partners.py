"""What belongs together stays in one split: bursts of a camera and patients; and never makes a split impossible."""

import numpy as np
import pandas as pd
import pytest

from pipeline.data.partners import Joined, joined_by, partners, partners_in_words, subjects
from pipeline.data.split_units import largest_in_words, unit_numbers
from pipeline.data.splits import draw_splits
from pipeline.params.data import Fractions
from pipeline.storage.files import sha256

FRACTIONS = Fractions(train=0.7, val=0.15, test=0.15)
GAP = 30.0


def table(times: list[str], label: str = "deer", **columns: list[str]) -> pd.DataFrame:
    """Images of one camera, each with contents of its own, taken at these times of a day."""
    paths = [f"{label}/{number}.jpg" for number in range(len(times))]
    contents = [sha256(path.encode()) for path in paths]
    at = [f"2024-05-01T{time}" if time else "" for time in times]
    found = {"path": paths, "label": label, "sha256": contents, "cluster": contents, "taken_at": at, "camera": "gate"}
    return pd.DataFrame(found | columns).astype("str")


def bursts(count: int, size: int, label: str = "deer") -> pd.DataFrame:
    return table([f"{hour:02d}:00:{2 * at:02d}" for hour in range(count) for at in range(size)], label)


def with_partners(manifest: pd.DataFrame, gap: float = GAP) -> pd.DataFrame:
    found = partners(manifest, gap)
    return manifest.assign(burst=found.burst, subject=found.subject)


def test_a_burst_stays_in_one_split_which_chance_would_have_torn() -> None:
    manifest = with_partners(bursts(20, 5))
    splits = draw_splits(manifest, FRACTIONS, 7).splits

    assert splits.groupby(manifest["burst"]).nunique().eq(1).all()
    assert manifest["burst"].nunique() == 20
    found = joined_by(manifest, FRACTIONS.train)
    assert (found.in_bursts, found.of_subjects, found.leak) == (100, 0, pytest.approx(1 - 0.3**4))
    rng = np.random.default_rng(0)
    leaks = []
    for _ in range(50):  # as the formula says
        learnt = rng.permutation(100) < 70
        leaks.append(manifest["burst"][~learnt].isin(manifest["burst"][learnt]).mean())
    assert np.mean(leaks) == pytest.approx(found.leak, abs=0.02)
    assert [*partners_in_words(found, GAP)] == [
        "100 images are in bursts (one camera, gaps under 30 s): a split keeps those of each together. A split by "
        "chance would have put partners of 99% of the test images into training."
    ]


def test_images_without_a_time_or_alone_have_no_burst_and_0_turns_bursts_off() -> None:
    manifest = table(["", "", "08:00:00", "09:00:00", "10:00:00", "10:00:05"])

    assert partners(manifest, GAP).burst.notna().tolist() == [False] * 4 + [True] * 2
    assert partners(manifest, 0).burst.isna().all()
    assert [*partners_in_words(joined_by(with_partners(manifest, 0), 0.7), 0)] == []


def test_a_camera_that_never_pauses_can_be_split_and_the_message_says_how_to_settle_it() -> None:
    manifest = table([f"08:{second // 60:02d}:{second % 60:02d}" for second in range(0, 600, 10)])

    found = partners(manifest, GAP)

    assert found.burst.isna().all()
    assert [*found.notes] == [
        "With preprocess.burst_seconds 30 the images of class deer are only 1 burst, too few for training, validation "
        "and test images. A camera that never pauses? No bursts are kept in one split now. To settle it, set "
        "preprocess.burst_seconds in params.yaml to 0 or 7.5."
    ]
    assert set(draw_splits(with_partners(manifest), FRACTIONS, 7).splits) == {"train", "val", "test"}
    assert partners(manifest, 7.5).notes == ()


def test_a_patients_images_stay_together_over_studies_and_files_of_no_patient_do_not() -> None:
    patients = [f"p{number // 4}" if number < 40 else "" for number in range(48)]
    studies = [f"s{number // 2}" for number in range(48)]
    manifest = with_partners(table([""] * 48, patient=patients, study=studies))

    splits = draw_splits(manifest, FRACTIONS, 7).splits

    assert splits.groupby(manifest["subject"]).nunique().eq(1).all()
    assert manifest["subject"].nunique() == 10 + 4  # patients, and studies without one
    assert joined_by(manifest, 0.7).of_subjects == 48
    assert "the patient of deer/" in largest_in_words(manifest)


def test_one_number_for_all_anonymised_files_is_no_patient() -> None:
    manifest = table([""] * 20, patient=["same"] * 20, study=[f"s{number // 2}" for number in range(20)])
    of_one_study = manifest.assign(study="s")

    found = partners(manifest, GAP)

    assert found.subject.nunique() == 10
    assert "only 1 separate unit," in found.notes[0]
    assert "only images of one study are kept" in found.notes[0]
    assert partners(of_one_study, GAP).subject.isna().all()
    assert "neither patients nor studies are kept" in partners(of_one_study, GAP).notes[0]


def test_a_patient_of_two_numbers_in_one_study_is_one_subject() -> None:
    manifest = table([""] * 4, patient=["b", "a", "", "c"], study=["s", "s", "s", "t"])

    assert subjects(manifest, ["patient", "study"]).tolist() == ["a", "a", "a", "c"]


def test_a_split_that_was_frozen_before_stays_and_a_torn_burst_is_said() -> None:
    manifest = bursts(20, 5)
    frozen = draw_splits(manifest, FRACTIONS, 7).frozen
    known = with_partners(manifest)

    drawn = draw_splits(known, FRACTIONS, 7, frozen)

    assert drawn.frozen == frozen
    assert any("Among them are bursts of one camera: the test images are easier" in note for note in drawn.notes)


def test_an_older_manifest_has_the_units_it_had() -> None:
    manifest = bursts(4, 2).drop(columns=["taken_at", "camera"])

    assert partners(manifest, GAP).burst.isna().all()
    assert unit_numbers(with_partners(manifest)).tolist() == unit_numbers(manifest).tolist()
    assert joined_by(manifest, 0.7) == Joined(0, 0, 0.0)
