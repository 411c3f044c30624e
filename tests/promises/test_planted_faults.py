"""Promise: what is wrong with the data is found, counted and shown before a model learns from it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import preprocess, validate
from pipeline.core.paths import DATA_REPORT, LABEL_ISSUES, METADATA, PREPARED, QUARANTINE, VALIDATION
from pipeline.data.manifest import InvalidData
from pipeline.data.prepared import SPLITS, read_split
from tests.fixtures.project import change_params, stage


def found(fault: str) -> int:
    count: int = json.loads(VALIDATION.read_text())["faults"][fault]
    return count


def give_splits(data: Path) -> None:
    """By number: 0 to 11 train, 12 to 16 val, 17 to 21 test."""
    files = sorted(file.relative_to(data) for file in data.rglob("*.*") if file.suffix != ".csv")
    numbers = [int(file.stem[:3]) for file in files]
    splits = np.select([np.array(numbers) < 12, np.array(numbers) < 17], ["train", "val"], "test")
    pd.DataFrame({"path": [file.as_posix() for file in files], "split": splits}).to_csv(METADATA, index=False)


def test_images_repeated_across_splits_are_found_exact_or_nearly(data: Path) -> None:
    shutil.copy(data / "circle/018.png", data / "circle/004copy.png")
    with Image.open(data / "square/019.png") as image:
        image.resize((120, 105)).save(data / "square/013small.jpg", quality=80)
    with Image.open(data / "square/003.png") as image:
        image.save(data / "square/015.webp", quality=80)
    give_splits(data)
    planted = ["circle/004copy.png", "square/003.png", "square/013small.jpg"]
    with pytest.raises(InvalidData, match="leaking_duplicate") as caught:
        validate.main()
    words = "3 of 47 files are also in another given split, exactly or nearly"
    assert f"{words}: {', '.join(planted)}." in str(caught.value)
    assert found("leaking_duplicate") == 3
    assert DATA_REPORT.read_text(encoding="utf-8").count("2 images, two splits") == 3

    change_params(Path(), {"validate": {"quarantine": ["leaking_duplicate"], "max_quarantined": 0.1}})
    validate.main()
    assert list(pd.read_csv(QUARANTINE)["path"]) == planted
    preprocess.main()
    splits = {name: set(read_split(PREPARED, name).table["path"]) for name in SPLITS}
    assert not set.union(*splits.values()) & set(planted)
    assert {"circle/018.png", "square/019.png"} <= splits["test"]


def test_corrupt_files_are_found_whatever_is_wrong_with_them(data: Path) -> None:
    good = (data / "circle/000.png").read_bytes()
    with Image.open(data / "circle/001.png") as image:
        image.convert("RGB").save("photo.jpg")
    planted = {
        "circle/empty.png": b"",
        "circle/cut.png": good[: len(good) // 2],
        "circle/flipped.png": good[:400] + bytes([good[400] ^ 0xFF]) + good[401:],
        "square/cut.jpg": Path("photo.jpg").read_bytes()[:-400],
        "square/page.jpg": b"<html>404 not found</html>",
        "square/zeros.png": bytes(len(good)),
    }
    for path, content in planted.items():
        (data / path).write_bytes(content)
    with pytest.raises(InvalidData, match="unreadable: 6 of 50 files cannot be decoded: "):
        validate.main()
    assert found("unreadable") == 6
    page = DATA_REPORT.read_text(encoding="utf-8")
    assert all(path in page for path in planted)

    change_params(Path(), {"validate": {"quarantine": ["unreadable"], "max_quarantined": 0.2}})
    validate.main()
    listed = pd.read_csv(QUARANTINE)
    assert sorted(listed["path"]) == sorted(planted)
    assert listed["error"].notna().all()
    assert all((data / path).read_bytes() == content for path, content in planted.items()), "never deleted or changed"


def test_swapped_labels_are_found_and_shown(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    # By the shipped backbone: what is found depends on it.
    shipped = {"backbone": "efficientnet_lite0", "weights": "package"}
    change_params(project, {"model": shipped, "images": {"width": 64, "height": 64}})
    planted = ["circle/swapped1.png", "circle/swapped2.png", "square/swapped1.png", "square/swapped2.png"]
    for number, path in enumerate(planted):
        origin = ("square", "circle")[number // 2]
        (project / f"data/raw/{origin}/{number:03d}.png").rename(project / "data/raw" / path)
    for name in ("validate", "preprocess", "embed", "audit"):
        stage(name, project)
    suspects = list(pd.read_csv(LABEL_ISSUES)["path"])
    hits = set(suspects) & set(planted)
    assert len(hits) >= 2, f"recall {len(hits) / 4}"
    assert len(hits) / len(suspects) >= 0.5, "precision"
    page = DATA_REPORT.read_text(encoding="utf-8")
    assert all(path in page for path in hits)
