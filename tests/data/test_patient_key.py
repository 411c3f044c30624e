"""Patients are hashes with the project's own key, which is made at first use and which git never sees."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import PATIENT_KEY
from pipeline.data.manifest import build_manifest
from pipeline.data.patient_key import patient_key
from pipeline.params.data import Images
from tests.fixtures.dicom_files import PATIENT, dicom
from tests.fixtures.project import REPOSITORY

RULES = Images(width=16, height=16, fit="stretch", max_megapixels=1)


def scans(raw: Path) -> None:
    (raw / "lung").mkdir(parents=True)
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for number, study in enumerate(("1.2.3", "1.2.3", "1.2.4")):
        (raw / "lung" / f"{number}.dcm").write_bytes(dicom(pixels + np.uint8(number), StudyInstanceUID=study))


def test_a_manifest_tells_patients_apart_and_names_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scans(Path("raw"))

    first = build_manifest(Path("raw"), RULES, 2, Path("memory"))
    again = build_manifest(Path("raw"), RULES, 2, Path("memory"))

    assert first["patient"].nunique() == 1
    assert first["study"].tolist() == [first["study"][0]] * 2 + [first["study"][2]] != [first["study"][0]] * 3
    pd.testing.assert_frame_equal(first, again)
    assert len(list(Path("memory").iterdir())) == 1, "measured once, although the first pass made the key"
    (kept,) = [file.read_bytes() for file in Path("memory").rglob("*.parquet")]
    assert not any(word.encode() in kept for word in (PATIENT, "1.2.3"))
    assert PATIENT_KEY.stat().st_mode & 0o077 == 0

    PATIENT_KEY.unlink()
    other = build_manifest(Path("raw"), RULES, 2, Path("memory"))
    assert other["patient"][0] not in ("", first["patient"][0])
    assert ".nightshift/" in (REPOSITORY / ".gitignore").read_text().splitlines()


def test_a_project_without_dicom_has_no_key_and_a_damaged_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    assert not PATIENT_KEY.exists()
    assert patient_key(file) == patient_key(file) == file.read_bytes()

    file.write_bytes(b"short")

    with pytest.raises(NightshiftError, match=r"key must hold 32 bytes, .* and holds 5\. Restore it from a backup, or"):
        patient_key(file)
