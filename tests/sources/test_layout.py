"""Labels and splits by the folders that images lie in."""

import pytest

from pipeline.sources.layout import Found, SourceError, by_folders, without_enclosing


def items(*paths: str) -> list[tuple[str, str, str]]:
    return [(item.label, item.below, item.split) for item in by_folders([Found(path, path) for path in paths], "SRC")]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        pytest.param(["cat/1.jpg", "dog/a/b/2.jpg"], [("cat", "1.jpg", ""), ("dog", "a/b/2.jpg", "")], id="classes"),
        pytest.param(["cat/1.jpg"], [("cat", "1.jpg", "")], id="one class"),
        pytest.param(
            ["train/cat/1.jpg", "val/cat/1.jpg", "test/dog/deep/1.jpg"],
            [("cat", "train/1.jpg", "train"), ("cat", "val/1.jpg", "val"), ("dog", "test/deep/1.jpg", "test")],
            id="splits",
        ),
        *[
            pytest.param([f"{word}/cat/1.jpg"], [("cat", f"{split}/1.jpg", split)], id=word)
            for word, split in {
                "Training": "train", "valid": "val", "VALIDATION": "val", "dev": "val", "testing": "test",
            }.items()
        ],
        pytest.param(
            ["train/1.jpg", "car/1.jpg"],
            [("train", "1.jpg", ""), ("car", "1.jpg", "")],
            id="a train is a vehicle among others",
        ),
        pytest.param(["n%2Fa/1.jpg", "100%/1.jpg"], [("n/a", "1.jpg", ""), ("100%", "1.jpg", "")], id="escapes"),
        pytest.param([], [], id="nothing"),
    ],
)  # fmt: skip
def test_folders_say_label_and_split(paths: list[str], expected: list[tuple[str, str, str]]) -> None:
    assert items(*paths) == expected


@pytest.mark.parametrize(
    ("paths", "match"),
    [
        (["1.jpg", "cat/1.jpg", "2.jpg"], r"2 images are directly in SRC: 1\.jpg, 2\.jpg\. Move each into a folder"),
        (["train/cat/1.jpg", "test/2.jpg"], r"1 images of SRC are directly in a split's folder.*: test/2\.jpg"),
        (["train/1.jpg", "test/2.jpg"], r"2 images of SRC are directly in a split's folder"),
        (["train/cat/1.jpg", "val/cat/1.jpg", "extra/1.jpg"], r"splits \(train, val\) beside others \(extra\)"),
    ],
)
def test_what_could_mean_two_things_is_refused(paths: list[str], match: str) -> None:
    with pytest.raises(SourceError, match=match):
        items(*paths)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["pets/cat/1.jpg", "pets/dog/1.jpg"], ["cat/1.jpg", "dog/1.jpg"]),
        (["a/pets/cat/1.jpg", "a/pets/dog/1.jpg"], ["cat/1.jpg", "dog/1.jpg"]),
        (["pets/train/cat/1.jpg", "pets/test/cat/1.jpg"], ["train/cat/1.jpg", "test/cat/1.jpg"]),
        (["train/cat/1.jpg"], ["train/cat/1.jpg"]),
        (["cat/1.jpg", "cat/deep/2.jpg"], ["cat/1.jpg", "cat/deep/2.jpg"]),
        (["cat/1.jpg", "dog/1.jpg"], ["cat/1.jpg", "dog/1.jpg"]),
        ([], []),
    ],
)
def test_a_folder_that_encloses_all_is_no_class(paths: list[str], expected: list[str]) -> None:
    assert [file.path for file in without_enclosing([Found(path, path) for path in paths])[0]] == expected
