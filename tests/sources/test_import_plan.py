"""Where images go, and what an import decides about each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.label_folders import label_of
from pipeline.sources.import_plan import ImportingError, ImportPlan, State, place, plan_import
from pipeline.sources.layout import Found, Item


def item(label: str, below: str) -> Item:
    return Item(label, below, Found(f"{label}|{below}", ""))


@pytest.mark.parametrize(
    ("label", "below", "into", "path"),
    [
        ("cat", "a/1.jpg", "", "cat/a/1.jpg"),
        ("n/a", "train/1.jpg", "", "n%2Fa/train/1.jpg"),
        ("cat", "1.jpg", "night 2", "cat/night 2/1.jpg"),
        ("=1+1", "100%.jpg", "", "=1+1/100%.jpg"),
    ],
)
def test_an_image_goes_to_its_labels_folder(label: str, below: str, into: str, path: str) -> None:
    assert list(place([item(label, below)], into)) == [path]


@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.sampled_from(["1.jpg", "a/1.jpg"])), unique=True))
def test_no_two_images_share_a_place_and_each_keeps_its_label(pairs: list[tuple[str, str]]) -> None:
    placed = place([item(label, below) for label, below in pairs])
    assert len(placed) == len(pairs)
    assert all(label_of(path.split("/")[0]) == one.label for path, one in placed.items())


@pytest.mark.parametrize(
    ("items", "match"),
    [
        ([item("cat", "1.jpg"), item("cat", "1.jpg")], r"cat\|1\.jpg and cat\|1\.jpg would both become cat/1\.jpg"),
        ([item("cat", "a.jpg/1.jpg"), item("cat", "a.jpg")], r"cat/a\.jpg would be an image and a folder at once"),
        ([item("cat", "../1.jpg")], r"1 files have names that cannot be kept: cat/\.\./1\.jpg"),
        ([item("cat", "a//1.jpg")], "names that cannot be kept"),
        ([item("cat", "/1.jpg")], "names that cannot be kept"),
        ([item("cat", "a\0.jpg")], r"names that cannot be kept: cat/a\\x00\.jpg"),
        ([item("cat", "\udcff.jpg")], r"names that cannot be kept: cat/\\udcff\.jpg"),
        ([item("cat", "x" * 252 + ".jpg")], "names that cannot be kept"),
    ],
)
def test_images_that_cannot_be_placed_are_refused(items: list[Item], match: str) -> None:
    with pytest.raises(ImportingError, match=match):
        place(items)


@pytest.mark.parametrize("into", ["a/b", "..", ".x", "__MACOSX", "a ", "a%b"])
def test_into_is_one_plain_folder(into: str) -> None:
    with pytest.raises(ImportingError, match="is not a valid folder name"):
        place([item("cat", "1.jpg")], into)


STATES: dict[str, State] = {"cat/2": "same", "cat/3": "other"}
PLACED = {f"cat/{number}": item("cat", str(number)) for number in (1, 2, 3)}


def test_what_is_there_is_not_done_again_and_other_content_needs_a_word() -> None:
    assert plan_import(PLACED, STATES, replace=True) == ImportPlan(("cat/1",), ("cat/3",), ("cat/2",))
    assert plan_import(PLACED, {}, replace=False) == ImportPlan(("cat/1", "cat/2", "cat/3"), (), ())
    with pytest.raises(
        ImportingError, match=r"1 images would replace others of the same name: cat/3\. .*--into.*--rep"
    ):
        plan_import(PLACED, STATES, replace=False)
