"""The split is stratified and frozen by content; what was validated is what is decoded."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import NightshiftError
from pipeline.files import sha256
from pipeline.images import decode
from pipeline.params import Fractions, Images
from pipeline.preprocess import assign_splits, dataset_sha256, decode_all
from tests.conftest import save_image

FRACTIONS = Fractions(train=0.70, val=0.15, test=0.15)


def manifest_of(**classes: int) -> pd.DataFrame:
    """So many different images a class."""
    rows = [
        (f"{label}/{number}.jpg", label, sha256(f"{label}{number}".encode()))
        for label, count in classes.items()
        for number in range(count)
    ]
    return pd.DataFrame(rows, columns=["path", "label", "sha256"])


def by_content(manifest: pd.DataFrame, seed: int = 7) -> dict[str, str]:
    return dict(zip(manifest["sha256"], assign_splits(manifest, FRACTIONS, seed), strict=True))


@given(cats=st.integers(4, 300), dogs=st.integers(4, 300), seed=st.integers(0, 100))
def test_each_class_is_cut_at_the_fractions_to_within_one_image(cats: int, dogs: int, seed: int) -> None:
    manifest = manifest_of(cat=cats, dog=dogs)
    splits = assign_splits(manifest, FRACTIONS, seed)
    for label, count in (("cat", cats), ("dog", dogs)):
        for name, fraction in FRACTIONS:
            found = int(((manifest["label"] == label) & (splits == name)).sum())
            assert found >= 1
            assert abs(found - count * fraction) <= 1 + 1e-9, (label, name)


@given(
    count=st.integers(3, 30),
    shares=st.tuples(*[st.integers(1, 20)] * 3),
)
def test_every_split_has_an_image_of_each_class_whatever_the_fractions(
    count: int, shares: tuple[int, int, int]
) -> None:
    train, val, test = (share / sum(shares) for share in shares)
    splits = assign_splits(manifest_of(cat=count), Fractions(train=train, val=val, test=test), seed=7)
    assert set(splits) == {"train", "val", "test"}


@given(order=st.permutations(range(40)))
def test_neither_the_order_of_rows_nor_names_nor_the_index_play_a_part(order: list[int]) -> None:
    manifest = manifest_of(cat=25, dog=15)
    shuffled = manifest.iloc[order].assign(path=[f"other/{number}" for number in range(40)])
    assert by_content(shuffled) == by_content(manifest)
    splits = assign_splits(shuffled, FRACTIONS, 7)
    assert list(splits.index) == list(shuffled.index), "each row's split stands beside the row"


def test_a_new_class_leaves_the_splits_of_the_others_alone() -> None:
    before, after = by_content(manifest_of(cat=25)), by_content(manifest_of(ant=9, cat=25, dog=15))
    assert {content: after[content] for content in before} == before


def test_copies_of_a_file_share_its_split() -> None:
    manifest = manifest_of(cat=12)
    copies = pd.concat([manifest, manifest.assign(path="copy/" + manifest["path"])] * 2, ignore_index=True)
    splits = assign_splits(copies, FRACTIONS, 7)
    assert splits.groupby(copies["sha256"]).nunique().eq(1).all()
    assert by_content(copies) == by_content(manifest)


def test_the_seed_draws_another_split() -> None:
    manifest = manifest_of(cat=60)
    assert by_content(manifest, seed=7) == by_content(manifest, seed=7)
    assert by_content(manifest, seed=7) != by_content(manifest, seed=8)


def test_the_split_of_ten_known_contents_is_pinned() -> None:
    # If this changes, every user's frozen split changes: their test images become training images.
    contents = [f"{number:064x}" for number in range(10)]
    manifest = pd.DataFrame({"path": contents, "label": "cat", "sha256": contents})
    splits = assign_splits(manifest, Fractions(train=0.6, val=0.2, test=0.2), seed=7)
    assert list(splits) == ["val", "train", "test", "test", "train", "train", "val", "train", "train", "train"]


@pytest.mark.parametrize("rows", [1, 2, 50], ids=["one", "two", "many copies of two"])
def test_a_class_of_too_few_different_images_is_named(rows: int) -> None:
    few = manifest_of(dog=min(rows, 2)).iloc[[number % min(rows, 2) for number in range(rows)]]
    manifest = pd.concat([manifest_of(cat=20), few], ignore_index=True)
    with pytest.raises(NightshiftError, match=f"Class dog has {min(rows, 2)} different images.*Add images"):
        assign_splits(manifest, FRACTIONS, 7)


def test_three_different_images_are_one_for_each_split() -> None:
    assert sorted(assign_splits(manifest_of(cat=3), FRACTIONS, 7)) == ["test", "train", "val"]


@given(order=st.permutations(range(9)))
def test_the_datasets_hash_does_not_depend_on_the_order_of_rows(order: list[int]) -> None:
    manifest = manifest_of(cat=5, dog=4)
    assert dataset_sha256(manifest.iloc[order]) == dataset_sha256(manifest)


@pytest.mark.parametrize("column", ["path", "label", "sha256"])
@pytest.mark.parametrize("row", [0, 4, 8])
def test_the_datasets_hash_changes_with_anything_of_any_image(column: str, row: int) -> None:
    manifest = manifest_of(cat=5, dog=4)
    changed = manifest.copy()
    changed.loc[row, column] = "another"
    hashes = {dataset_sha256(table) for table in (manifest, changed, manifest.drop(index=row))}
    assert len(hashes) == 3


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
