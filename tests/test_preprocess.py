"""What was validated is what is decoded, into the split it was frozen in."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import FROZEN_SPLITS, MANIFEST, PREPARED, RAW, TEST_PREDICTIONS
from pipeline.data.decoding import decode_all
from pipeline.data.prepared import SPLITS, read_split
from pipeline.data.splits import FrozenSplits
from pipeline.images.decode import decode
from pipeline.params.data import Fractions, Images
from pipeline.preprocess import main, read_frozen
from pipeline.storage.files import sha256
from tests.fixtures.images import save_image
from tests.fixtures.project import REPOSITORY


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    files = [save_image(tmp_path / f"{number}.png", number) for number in range(11)]
    return pd.DataFrame({"path": [file.name for file in files], "sha256": [sha256(f.read_bytes()) for f in files]})


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_pixels_come_in_the_order_of_rows(tmp_path: Path, table: pd.DataFrame, rules: Images, workers: int) -> None:
    rows = table.iloc[::-1]
    found = list(decode_all(tmp_path, rows, rules, workers))
    expected = [decode((tmp_path / path).read_bytes(), rules).pixels for path in rows["path"]]
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("change", ["another image", "gone"])
def test_a_file_that_changed_since_it_was_validated_is_named(
    tmp_path: Path, table: pd.DataFrame, rules: Images, change: str
) -> None:
    if change == "gone":
        (tmp_path / "9.png").unlink()
    else:
        save_image(tmp_path / "9.png", seed=99)
    with pytest.raises(NightshiftError, match=r"9\.png has changed since it was validated. Run `dvc repro`"):
        list(decode_all(tmp_path, table, rules, 2))


@pytest.fixture
def validated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """A project with twenty images whose manifest says that they are readable, each a scene of its own."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    rows = []
    for number in range(20):
        path = f"{('cat', 'dog')[number % 2]}/{number}.png"
        content = sha256(save_image(RAW / path, number).read_bytes())
        rows.append((path, path[:3], content, content, True, ""))
    manifest = pd.DataFrame(rows, columns=["path", "label", "sha256", "cluster", "readable", "quarantined"])
    manifest.to_parquet(MANIFEST, index=False)
    return manifest


def paths_by_split() -> dict[str, set[str]]:
    return {name: set(read_split(PREPARED, name).table["path"]) for name in SPLITS}


def test_the_split_is_frozen_in_a_file_and_kept_when_images_come(validated: pd.DataFrame) -> None:
    main()
    before = paths_by_split()
    frozen = read_frozen()
    assert frozen is not None
    assert {name: len(contents) for name, contents in frozen.contents.items()} == {
        name: len(paths) for name, paths in before.items()
    }
    new = [
        (f"cat/new{number}.png", "cat", digest, digest, True, "")
        for number in range(8)
        if (digest := sha256(save_image(RAW / f"cat/new{number}.png", 100 + number).read_bytes()))
    ]
    grown = pd.concat([pd.DataFrame(new, columns=validated.columns), validated], ignore_index=True)
    grown.to_parquet(MANIFEST, index=False)
    main()
    after = paths_by_split()
    for name in SPLITS:
        assert before[name] <= after[name]
    assert sum(map(len, after.values())) == 28


def test_what_is_in_quarantine_or_unreadable_is_in_no_split(validated: pd.DataFrame) -> None:
    validated.loc[[1, 3], "quarantined"] = "blank"
    validated.loc[[5], "readable"] = False
    validated.to_parquet(MANIFEST, index=False)
    main()
    assert set.union(*paths_by_split().values()) == set(validated["path"].drop([1, 3, 5]))


def test_a_new_image_that_would_join_two_splits_is_left_out_and_named(
    validated: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    main()
    before = paths_by_split()
    cats = [next(iter(sorted(path for path in before[name] if path.startswith("cat")))) for name in ("train", "test")]
    digest = sha256(save_image(RAW / "cat/bridge.png", 99).read_bytes())
    bridge = pd.DataFrame([("cat/bridge.png", "cat", digest, "one", True, "")], columns=validated.columns)
    grown = pd.concat([validated, bridge], ignore_index=True)
    grown.loc[grown["path"].isin(cats), "cluster"] = "one"
    grown.to_parquet(MANIFEST, index=False)
    caplog.set_level("INFO", "nightshift")
    main()
    assert paths_by_split() == before
    assert (
        "1 new images are left out, because they belong to images in two splits (near-duplicates, bursts, "
        "patients): cat/bridge.png." in caplog.text
    )


def lock_a_split(md5: str) -> None:
    """As a clone has it: dvc.lock names a split that is not in the folder."""
    FROZEN_SPLITS.unlink(missing_ok=True)
    lock = {"stages": {"preprocess": {"outs": [{"path": str(FROZEN_SPLITS), "md5": md5}]}}}
    Path("dvc.lock").write_text(yaml.safe_dump(lock))


def test_test_images_of_a_split_that_is_not_here_are_counted_where_they_are_training_images_now(
    validated: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    lock_a_split("0" * 32)
    main()
    assert "dvc.lock names a split that is not here, so a new one was drawn. Test images may have" in caplog.text
    caplog.clear()
    lock_a_split("0" * 32)
    TEST_PREDICTIONS.parent.mkdir()
    validated.assign(label="cat", predicted="cat").to_csv(TEST_PREDICTIONS, index=False)  # all were test images
    main()
    taught = sum(len(paths) for name, paths in paths_by_split().items() if name != "test")
    assert f"{taught} images that reports/test_predictions.csv names as test images are training or" in caplog.text


@pytest.mark.parametrize("case", ["other images", "the same split"])
def test_a_first_training_in_a_clone_warns_of_no_test_images(
    case: str, validated: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    main()
    drawn = hashlib.md5(FROZEN_SPLITS.read_bytes(), usedforsecurity=False).hexdigest()
    TEST_PREDICTIONS.parent.mkdir()
    paths = validated["path"] if case == "the same split" else "other/" + validated["path"]
    pd.DataFrame({"path": paths}).to_csv(TEST_PREDICTIONS, index=False)
    lock_a_split(drawn if case == "the same split" else "0" * 32)
    caplog.clear()
    main()
    assert "split that is not here" not in caplog.text


@pytest.mark.parametrize("text", ["", "{}", '{"seed": "seven"}'], ids=["empty", "no split", "wrong type"])
def test_a_frozen_split_that_is_damaged_is_not_replaced_silently(validated: pd.DataFrame, text: str) -> None:
    FROZEN_SPLITS.write_text(text)
    with pytest.raises(NightshiftError, match=r"data/splits\.json is not a valid split"):
        main()
    assert FROZEN_SPLITS.read_text() == text


def test_the_frozen_split_survives_its_file(validated: pd.DataFrame) -> None:
    main()
    text = FROZEN_SPLITS.read_bytes()
    frozen = read_frozen()
    assert isinstance(frozen, FrozenSplits)
    assert frozen.fractions == Fractions(train=0.70, val=0.15, test=0.15)
    main()
    assert FROZEN_SPLITS.read_bytes() == text
