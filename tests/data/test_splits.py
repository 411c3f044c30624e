"""Splits hold: stratified, units whole, given ones respected, and an image stays where it was when others come."""

from collections.abc import Sequence

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.data.split_units import units
from pipeline.data.splits import LEFT_OUT, Drawn, FrozenSplits, ImpossibleSplit, draw_splits
from pipeline.params.data import Fractions
from pipeline.storage.files import sha256

FRACTIONS = Fractions(train=0.70, val=0.15, test=0.15)
Row = tuple[str, int, str | None, str | None]  # label, cluster, group, given split


def table(rows: Sequence[Row], first: int = 0) -> pd.DataFrame:
    """A manifest of so many different images."""
    contents = [sha256(str(first + number).encode()) for number in range(len(rows))]
    labels, clusters, groups, given_splits = (list(column) for column in zip(*rows, strict=True)) if rows else [[]] * 4
    return pd.DataFrame(
        {
            "path": [f"{label}/{first + number}.jpg" for number, label in enumerate(labels)],
            "label": labels, "sha256": contents, "cluster": [str(name) for name in clusters],
            "group": pd.array(groups, dtype="str"), "split": pd.array(given_splits, dtype="str"),
        }
    )  # fmt: skip


def singles(**classes: int) -> pd.DataFrame:
    """So many images a class, each a unit of its own."""
    labels = [label for label, count in classes.items() for _ in range(count)]
    return table([(label, number, None, None) for number, label in enumerate(labels)])


def draw(manifest: pd.DataFrame, frozen: FrozenSplits | None = None, seed: int = 7) -> Drawn:
    return draw_splits(manifest, FRACTIONS, seed, frozen)


def by_content(manifest: pd.DataFrame, drawn: Drawn) -> dict[str, str]:
    return dict(zip(manifest["sha256"], drawn.splits, strict=True))


@given(cats=st.integers(3, 300), dogs=st.integers(3, 300), seed=st.integers(0, 100))
def test_each_class_is_cut_at_the_fractions_to_within_one_image(cats: int, dogs: int, seed: int) -> None:
    manifest = singles(cat=cats, dog=dogs)
    splits = draw(manifest, seed=seed).splits
    for label, count in (("cat", cats), ("dog", dogs)):
        held_out = {name: max(1.0, count * getattr(FRACTIONS, name)) for name in ("val", "test")}
        for name, asked in {"train": count - sum(held_out.values()), **held_out}.items():
            found = int(((manifest["label"] == label) & (splits == name)).sum())
            assert found >= 1
            assert abs(found - asked) <= 1 + 1e-9, (label, name)


rows_of_units = st.lists(
    st.tuples(st.sampled_from(["cat", "dog"]), st.integers(0, 60), st.sampled_from([None, *"abcdefghijkl"]), st.none()),
    min_size=30,
    max_size=120,
)


def drawn_or_impossible(manifest: pd.DataFrame, frozen: FrozenSplits | None = None) -> Drawn:
    """What is drawn; an example that cannot be split is no example."""
    try:
        return draw(manifest, frozen)
    except ImpossibleSplit:
        assume(False)
        raise


@given(rows=rows_of_units)
def test_no_unit_is_torn_apart(rows: list[Row]) -> None:
    manifest = table(rows)
    splits = drawn_or_impossible(manifest).splits
    for key in ("cluster", "group"):
        assert splits.groupby(manifest[key]).nunique().eq(1).all()
    assert all(splits.iloc[members].nunique() == 1 for members in units(manifest))
    assert set(splits) == {"train", "val", "test"}


@given(rows=rows_of_units)
def test_classes_come_to_their_fractions_as_near_as_the_largest_unit_allows(rows: list[Row]) -> None:
    manifest = table([(label, cluster, None, None) for label, cluster, _, _ in rows])
    splits = drawn_or_impossible(manifest).splits
    largest = max(len(members) for members in units(manifest))
    for label, images in manifest.groupby("label"):
        for name, fraction in FRACTIONS:
            off = (splits[images.index] == name).sum() - fraction * len(images)
            assert abs(off) <= 2 * largest + 1, (label, name)


@given(counts=st.lists(st.integers(1, 40), min_size=2, max_size=6))
def test_images_stay_put_and_strata_keep_their_fractions_while_the_dataset_grows(counts: list[int]) -> None:
    whole = singles(cat=10 + sum(counts))
    frozen, before, size = None, {}, 10
    for count in [0, *counts]:
        size += count
        manifest = whole.iloc[:size]
        drawn = draw(manifest, frozen)
        now = by_content(manifest, drawn)
        assert {content: now[content] for content in before} == before
        for name, fraction in FRACTIONS:
            assert abs(list(now.values()).count(name) - fraction * size) <= 1 + 1e-9
        frozen, before = drawn.frozen, now


@given(first=rows_of_units, more=rows_of_units)
def test_units_stay_whole_and_images_stay_put_when_units_grow(first: list[Row], more: list[Row]) -> None:
    """New images join units that are there, and may join two of them: such images are left out."""
    old, new = table([(*row[:2], None, None) for row in first]), table([(*row[:2], None, None) for row in more], 1000)
    before = drawn_or_impossible(old)
    # A new image that nearly repeats two old ones joins their clusters.
    bridge = {str(name): str(name // 3 * 3) for name in range(61)}
    grown = pd.concat([old, new], ignore_index=True)
    grown["cluster"] = grown["cluster"].map(bridge)
    after = drawn_or_impossible(grown, before.frozen)
    assert list(after.splits[: len(old)]) == list(before.splits)
    for rows in units(grown):
        old_splits = set(before.splits.iloc[rows[rows < len(old)]])
        new_splits = set(after.splits.iloc[rows[rows >= len(old)]])
        match len(old_splits):
            case 0:
                assert len(new_splits) == 1
                assert LEFT_OUT not in new_splits
            case 1:
                assert new_splits <= old_splits
            case _:
                assert new_splits <= {LEFT_OUT}
    left_out = int((after.splits == LEFT_OUT).sum())
    assert [note for note in after.notes if f"{left_out} new images are left out" in note] or not left_out


@given(order=st.permutations(range(40)))
def test_neither_the_order_of_rows_nor_names_nor_the_index_play_a_part(order: list[int]) -> None:
    manifest = singles(cat=25, dog=15)
    shuffled = manifest.iloc[order].assign(path=[f"other/{number}" for number in range(40)])
    drawn = draw(shuffled)
    assert by_content(shuffled, drawn) == by_content(manifest, draw(manifest))
    assert list(drawn.splits.index) == list(shuffled.index), "each row's split stands beside the row"


def test_a_new_class_leaves_the_splits_of_the_others_alone() -> None:
    before = draw(singles(cat=25))
    both = pd.concat([table([("ant", 100 + n, None, None) for n in range(9)], 500), singles(cat=25)])
    after = by_content(both, draw(both, before.frozen))
    assert {content: after[content] for content in before.frozen.by_content()} == before.frozen.by_content()


def test_an_image_that_was_removed_comes_back_into_its_split() -> None:
    manifest = singles(cat=40)
    first = draw(manifest)
    without = manifest.iloc[10:]
    second = draw(without, first.frozen)
    assert by_content(manifest, draw(manifest, second.frozen)) == by_content(manifest, first)


def test_another_seed_or_other_fractions_draw_anew() -> None:
    manifest = singles(cat=60)
    first = draw(manifest)
    assert by_content(manifest, draw(manifest)) == by_content(manifest, first)
    assert by_content(manifest, draw(manifest, first.frozen, seed=8)) == by_content(manifest, draw(manifest, seed=8))
    other = Fractions(train=0.5, val=0.25, test=0.25)
    redrawn = draw_splits(manifest, other, 7, first.frozen)
    assert redrawn.splits.value_counts().to_dict() == {"train": 30, "val": 15, "test": 15}
    assert redrawn.frozen.fractions == other


def test_the_split_of_ten_known_contents_is_pinned() -> None:
    # If this changes, every user's test images become training images when they draw anew.
    contents = [f"{number:064x}" for number in range(10)]
    manifest = pd.DataFrame({"path": contents, "label": "cat", "sha256": contents, "cluster": contents})
    drawn = draw_splits(manifest, Fractions(train=0.6, val=0.2, test=0.2), seed=7)
    assert list(drawn.splits) == ["train", "test", "train", "train", "val", "test", "train", "train", "train", "val"]


def given_rows(*parts: tuple[str | None, int]) -> pd.DataFrame:
    splits = [split for split, count in parts for _ in range(count)]
    return table([("cat", number, None, split) for number, split in enumerate(splits)])


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param([("train", 8), ("val", 6), ("test", 6)], {"train": 8, "val": 6, "test": 6}, id="all given"),
        pytest.param([("train", 85), ("test", 50)], {"train": 70, "val": 15, "test": 50}, id="validation is lent"),
        pytest.param([("train", 85), ("val", 50)], {"train": 70, "test": 15, "val": 50}, id="test is lent"),
        pytest.param([("train", 100)], {"train": 70, "val": 15, "test": 15}, id="both are lent"),
        pytest.param(
            [("train", 20), ("val", 10), ("test", 10), (None, 100)], {"train": 90, "val": 25, "test": 25},
            id="the others are dealt among themselves",
        ),
        pytest.param([("test", 30), (None, 100)], {"train": 70, "val": 15, "test": 45}, id="only a test set is given"),
    ],
)  # fmt: skip
def test_given_splits_are_respected(parts: list[tuple[str | None, int]], expected: dict[str, int]) -> None:
    manifest = given_rows(*parts)
    first = draw(manifest)
    assert first.splits.value_counts().to_dict() == expected
    for name in ("val", "test"):
        assert (first.splits[manifest["split"] == name] == name).all()
    again = draw(manifest, first.frozen)
    assert list(again.splits) == list(first.splits), "what was lent stays lent"


def test_a_given_split_wins_over_the_frozen_one() -> None:
    manifest = singles(cat=20)
    before = draw(manifest)
    turned = manifest.assign(split=before.splits.map({"train": "test", "val": "val", "test": "train"}))
    assert list(draw(turned, before.frozen).splits) == list(turned["split"])


def test_images_without_a_given_split_follow_their_unit() -> None:
    rows: list[Row] = [("cat", 1, None, "test"), ("cat", 1, None, None)]
    rows += [("cat", number, None, split) for number, split in enumerate(["train", "val"] * 5, start=10)]
    assert draw(table(rows)).splits[1] == "test"


def test_a_unit_in_two_given_splits_stays_as_given_and_is_told() -> None:
    rows: list[Row] = [("cat", 1, None, "test"), ("cat", 1, None, "train")]
    rows += [("cat", number, None, split) for number, split in enumerate(["train", "val"] * 5, start=10)]
    drawn = draw(table(rows))
    assert list(drawn.splits[:2]) == ["test", "train"]
    assert any("1 clusters or groups are in two splits" in note and "cat/0.jpg" in note for note in drawn.notes)


def test_groups_of_equal_size_fill_every_split() -> None:
    manifest = table([("cat", number, "abc"[number // 50], None) for number in range(150)])
    splits = draw(manifest).splits
    assert sorted(splits.groupby(manifest["group"]).first()) == ["test", "train", "val"]


def rows_in_groups(sizes: dict[str, int]) -> list[Row]:
    groups = [group for group, size in sizes.items() for _ in range(size)]
    return [("cat", number, group, None) for number, group in enumerate(groups)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        pytest.param([("cat", number, None, None) for number in (1, 2)], ["Class cat", "its 2 images are 2"], id="two"),
        pytest.param(
            [("cat", 1, None, None)] * 50,
            ["its 50 images are 1", "near-duplicates of cat/0.jpg, 50 of 50"],
            id="one scene",
        ),
        pytest.param(
            rows_in_groups({"north": 40, "south": 2}), ["its 42 images are 2", "group north, 40 of 42"], id="two groups"
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_split_is_explained(rows: list[Row], said: list[str]) -> None:
    dogs: list[Row] = [("dog", 100 + number, None, None) for number in range(20)]
    with pytest.raises(ImpossibleSplit, match="no image for (train|val|test)") as caught:
        draw(table([*rows, *dogs]))
    assert not [words for words in said if words not in str(caught.value)], str(caught.value)


def test_a_giant_group_that_bends_the_fractions_is_told() -> None:
    drawn = draw(table(rows_in_groups({"giant": 90, "b": 5, "c": 5})))
    assert any(
        "train has 90% of class cat instead of 70%" in note and "group giant, 90 of 100" in note for note in drawn.notes
    )


def test_a_group_that_became_known_too_late_is_refused() -> None:
    manifest = singles(cat=40)
    before = draw(manifest)
    late = manifest.assign(group=["one" if number < 20 else None for number in range(40)])
    with pytest.raises(ImpossibleSplit, match=r"Group one has images in .* delete data/splits\.json"):
        draw(late, before.frozen)
    assert draw(late, before.frozen, seed=8).splits[:20].nunique() == 1
