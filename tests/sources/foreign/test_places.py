"""Which image a path in a file is: one that fits, or none."""

import pytest

from pipeline.sources.foreign.entries import Entry
from pipeline.sources.foreign.places import Images, placed, plain
from pipeline.sources.layout import Found, SourceError

HERE = ("1.jpg", "a/1.jpg", "a/b/2.jpg", "c/2.jpg", "caf\u00e9/3.jpg", "d/4 x.jpg")


def where(*written: str, here: tuple[str, ...] = HERE, **how: bool) -> list[str]:
    """The image of each path; `?` where several fit, `-` where none does."""
    images = Images([Found(path, path) for path in here], **how)
    found = placed([Entry(path) for path in written], images, "labels.json")
    return [
        found.found[at].path if at in found.found else "?" if at in found.ambiguous else "-"
        for at in range(len(written))
    ]


@pytest.mark.parametrize(
    ("written", "image"),
    [
        ("a/1.jpg", "a/1.jpg"),
        ("./a//1.jpg", "a/1.jpg"),
        ("a\\b\\2.jpg", "a/b/2.jpg"),
        ("C:\\photos\\a\\b\\2.jpg", "a/b/2.jpg"),
        ("/home/ann/a/b/2.jpg", "a/b/2.jpg"),
        ("gs://bucket/x/a/1.jpg", "a/1.jpg"),
        ("s3://bucket/1.jpg", "1.jpg"),
        ("https://example.org/d/4%20x.jpg?sv=1", "d/4 x.jpg"),
        ("b/2.jpg", "a/b/2.jpg"),
        ("2.jpg", "?"),
        ("z/2.jpg", "-"),
        ("cafe\u0301/3.jpg", "caf\u00e9/3.jpg"),
        ("A/1.JPG", "-"),
        ("", "-"),
        ("/etc/passwd", "-"),
    ],
)
def test_a_path_is_the_image_whose_path_is_its_end_or_the_other_way_round(written: str, image: str) -> None:
    assert where(written) == [image]


def test_in_a_folder_that_a_person_names_a_name_is_enough_where_it_is_the_only_one() -> None:
    assert where("z/3.jpg", "z/2.jpg", "gs://b/x/b/2.jpg", name_is_enough=True) == ["café/3.jpg", "?", "a/b/2.jpg"]
    assert where("../../b/2.jpg", name_is_enough=True) == ["a/b/2.jpg"]


def test_two_paths_are_never_one_image() -> None:
    assert where("x/c/2.jpg", "y/c/2.jpg") == ["?", "?"]
    assert where("c/2.jpg", "y/c/2.jpg") == ["c/2.jpg", "?"], "the path itself is no guess"


def test_in_data_raw_only_a_whole_path_counts() -> None:
    assert where("gs://b/a/b/2.jpg", "b/2.jpg", "x/y/c/2.jpg", whole_paths=True) == ["a/b/2.jpg", "-", "c/2.jpg"]


@pytest.mark.parametrize("written", ["../../etc/passwd", "a/../../1.jpg", "..\\1.jpg", "gs://bucket/../1.jpg"])
def test_a_path_that_leads_out_of_the_folder_is_refused(written: str) -> None:
    with pytest.raises(SourceError, match=r"labels\.json names 1 files outside of its folder: .*--images"):
        where("1.jpg", written)


def test_a_plain_path_of_an_address_has_the_bucket() -> None:
    assert plain("gs://bucket/a b/1.jpg") == "bucket/a b/1.jpg"
