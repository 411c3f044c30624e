"""Every label has its folder, and comes back from it; folders that people named keep their names."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.hidden import SYSTEMS
from pipeline.core.paths import METADATA
from pipeline.data.label_folders import LONGEST_NAME, LabelError, folder_of, label_of
from pipeline.storage.listing import list_images

awkward = st.text(st.sampled_from("/\\%. _2FfAé\u0301\n\0\x7f\x85😀'\"=+"), min_size=1, max_size=12)


@given(st.one_of(awkward, st.text(min_size=1, max_size=20)))
def test_every_label_comes_back(label: str) -> None:
    folder = folder_of(label)
    assert label_of(folder) == label
    assert folder not in (".", "..")
    assert not set(folder) & {"/", "\0", "\\"}


@given(st.text(st.sampled_from("%25F2/.\\a" + string.hexdigits), min_size=1, max_size=12))
def test_a_folder_is_decoded_only_if_a_label_would_give_it(folder: str) -> None:
    assert label_of(folder) == folder or folder_of(label_of(folder)) == folder


@pytest.mark.parametrize(
    ("label", "folder"),
    [
        ("cat", "cat"),
        ("n/a", "n%2Fa"),
        ("a\\b", "a%5Cb"),
        ("100%", "100%25"),
        ("a\0b", "a%00b"),
        ("a\nb", "a%0Ab"),
        ("a\x85b", "a%C2%85b"),
        (".hidden", "%2Ehidden"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("5 mm.", "5 mm%2E"),
        ("end ", "end%20"),
        (" a b", " a b"),
        ("a.b", "a.b"),
        ("__MACOSX", "%5F_MACOSX"),
        ("Thumbs.db", "%54humbs.db"),
        ("metadata.csv", "%6Detadata.csv"),
        ("=1+1", "=1+1"),
        ("caf\u00e9", "caf\u00e9"),
        ("cafe\u0301", "cafe\u0301"),
        ("猫😀", "猫😀"),
        ('it\'s "so"', 'it\'s "so"'),
    ],
)
def test_only_what_a_folder_cannot_be_called_is_written_otherwise(label: str, folder: str) -> None:
    assert folder_of(label) == folder
    assert label_of(folder) == label


@pytest.mark.parametrize("folder", ["100%", "50%25x%", "a%2fb", "a%41b", "%E4", "%C3%28", "%2E%2", ".hidden", "x."])
def test_the_name_that_a_person_gave_a_folder_is_its_label(folder: str) -> None:
    assert label_of(folder) == folder


@pytest.mark.parametrize("label", [*sorted(SYSTEMS), "FOUND.001", METADATA.name, ".git", "..."])
def test_no_label_hides_its_images(tmp_path: Path, label: str) -> None:
    (tmp_path / folder_of(label)).mkdir()
    (tmp_path / folder_of(label) / "1.jpg").write_bytes(b"x")
    (tmp_path / METADATA.name).write_text("path\n")
    assert [listed.path for listed in list_images(tmp_path)] == [f"{folder_of(label)}/1.jpg"]


def test_the_longest_name_is_possible_and_one_more_is_not() -> None:
    assert folder_of("é" * 127 + "x") == "é" * 127 + "x"
    with pytest.raises(LabelError, match=rf"'éééé.* needs a folder name of 256 bytes; the limit is {LONGEST_NAME}"):
        folder_of("é" * 128)
    with pytest.raises(LabelError, match="needs a folder name of 258 bytes"):
        folder_of("/" * 86)


@pytest.mark.parametrize(("label", "match"), [("", "A label is empty"), ("a\udcff", r"'a\\udcff' is not valid UTF-8")])
def test_what_is_no_label_is_refused(label: str, match: str) -> None:
    with pytest.raises(LabelError, match=match):
        folder_of(label)
