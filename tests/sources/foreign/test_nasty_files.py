"""Files that are damaged, of a wrong type, or hostile: a message that names the place, and nothing is copied."""

import json
import random
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import NightshiftError
from pipeline.sources.foreign.content import opened
from tests.fixtures.foreign import annotation, camtrap, coco, ground_truth, json_file, lines_file, task, vertex
from tests.fixtures.sources import content, take, write_files

TASKS = '[{"data": {"image": "a.jpg"}, "annotations": '


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "there", "a.jpg", "b.jpg", "deep/c.jpg")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"data": {"image": "a.jpg"}, ', r"x\.json is not valid JSON: .*line 1 column 31.*truncated"),
        ("[" * 100_000, r"x\.json is not valid JSON"),
        ("{}", r"its content is not of a format that Nightshift knows: Label Studio"),
        ("[]", r"is not of a format"),
        ('[1, "a"]', r"is not of a format"),
        (TASKS + '"many"}]', r"x\.json, task 1: annotations is 'many', but must be a list"),
        (TASKS + "[7]}]", r"task 1: an annotation is 7, but must be an object"),
        (TASKS + '[{"result": [{"type": "choices", "from_name": "q", "value": {"choices": [true]}}]}]}]',
         r"task 1: a choice is True, but must be a text"),
        (TASKS + "[]}, 5]", r"task 2: the task is 5"),
        ('{"images": 1, "annotations": [], "categories": []}', r"x\.json: images is 1, but must be a list"),
        ('{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "category_id": 5}], '
         '"categories": []}', r"annotation 1: category_id 5 is not among the categories"),
        ('{"images": [{"id": 1, "file_name": null}], "annotations": [], "categories": []}',
         r"image 1: file_name is missing"),
        ('{"imageGcsUri": "gs://b/a.jpg"}\n{"imageGcsUri": ', r"line 2 is not valid JSON"),
        ('{"imageGcsUri": "gs://b/a.jpg"}\n{"imageGcsUri": 5}\n', r"line 2: imageGcsUri is 5, but must be a text"),
        ('{"imageGcsUri": "gs://b/a.jpg"}\n[]\n', r"line 2: the line is \[\], but must be an object"),
        ('{"source-ref": "s3://b/a.jpg", "x": 1, "x-metadata": []}', r"x-metadata is \[\], but must be an object"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place(folder: Path, tmp_path: Path, text: str, said: str) -> None:
    (folder / "x.json").write_text(text)
    with pytest.raises(NightshiftError, match=said):
        take(folder / "x.json", tmp_path)
    assert not (tmp_path / "data").exists() or not any((tmp_path / "data").rglob("*.jpg"))


def test_json_that_is_not_unicode_says_so(folder: Path, tmp_path: Path) -> None:
    (folder / "x.json").write_bytes('{"imageGcsUri": "gs://b/ä.jpg"}'.encode("latin-1"))
    with pytest.raises(NightshiftError, match=r"x\.json is not UTF-8 text: .*Save it as UTF-8"):
        take(folder / "x.json", tmp_path)


def test_paths_that_lead_out_copy_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(content("secret"))
    (folder / "linked.jpg").symlink_to(tmp_path / "secret.jpg")
    out = lines_file(
        folder / "x.jsonl", vertex("a.jpg", "", "cat"), {**vertex("", "", "cat"), "imageGcsUri": "../secret.jpg"}
    )
    with pytest.raises(NightshiftError, match=r"names 1 files outside of its folder: \.\./secret\.jpg"):
        take(out, tmp_path)
    whole = {**vertex("", "", "cat"), "imageGcsUri": str(tmp_path / "secret.jpg")}
    linked = {**vertex("", "", "cat"), "imageGcsUri": "linked.jpg"}
    done = take(lines_file(folder / "y.jsonl", vertex("a.jpg", "", "cat"), whole, linked), tmp_path)
    assert (sum(done.new.values()), done.left_aside) == (1, 2)


def test_tables_of_a_package_that_lead_out_are_refused(folder: Path, tmp_path: Path) -> None:
    package = camtrap(folder)
    told = json.loads(package.read_text())
    told["resources"][1]["path"] = "../media.csv"
    json_file(package, told)
    with pytest.raises(NightshiftError, match=r"resource media: its path \.\./media\.csv leads out of the package"):
        take(package, tmp_path)
    told["resources"][1]["path"] = "linked.csv"
    json_file(package, told)
    (tmp_path / "other.csv").write_bytes((folder / "media.csv").read_bytes())
    (folder / "linked.csv").symlink_to(tmp_path / "other.csv")
    with pytest.raises(NightshiftError, match=r"names linked\.csv, which is not beside it"):
        take(package, tmp_path)


@pytest.mark.parametrize("top", ["", "mica/"])
def test_a_package_in_an_archive(folder: Path, tmp_path: Path, top: str) -> None:
    camtrap(folder)
    with zipfile.ZipFile(tmp_path / "mica.zip", "w") as zipped:
        for file in sorted(folder.rglob("*.*")):
            zipped.write(file, f"{top}{file.relative_to(folder)}")
    with pytest.raises(NightshiftError, match=r"mica\.zip.* is an archive, where --images has no place"):
        take(tmp_path / "mica.zip", tmp_path, images=str(folder))
    done = take(tmp_path / "mica.zip", tmp_path)
    assert sorted(done.new.items()) == [("Anas platyrhynchos", 1), ("blank", 1)]


def test_without_its_images_a_file_says_where_they_may_be_named(folder: Path, tmp_path: Path) -> None:
    file = coco(tmp_path / "elsewhere/labels.json", boxes=False)
    with pytest.raises(
        NightshiftError, match=r"No image of .*labels\.json was found in .*elsewhere: a\.jpg, .*--images"
    ):
        take(file, tmp_path)
    with pytest.raises(NightshiftError, match=r"--images nowhere is not a folder"):
        take(file, tmp_path, images="nowhere")
    assert sum(take(file, tmp_path, images=str(folder)).new.values()) == 2


def test_an_address_that_nothing_opens_leads_to_images(folder: Path, tmp_path: Path) -> None:
    file = lines_file(folder / "x.jsonl", {**vertex("", "", "cat"), "imageGcsUri": "https://127.0.0.1:1/z.jpg"})
    with pytest.raises(NightshiftError, match=r"127\.0\.0\.1.*--images FOLDER; nothing was copied"):
        take(file, tmp_path)


def test_an_image_in_two_splits_and_labels_in_two_spellings_are_refused(folder: Path, tmp_path: Path) -> None:
    two = lines_file(folder / "x.jsonl", vertex("a.jpg", "training", "cat"), vertex("a.jpg", "test", "cat"))
    with pytest.raises(NightshiftError, match=r"has 1 image in two splits: gs://bucket/a\.jpg"):
        take(two, tmp_path)
    spelt = lines_file(folder / "y.jsonl", vertex("a.jpg", "", "Cat"), vertex("b.jpg", "", "cat"))
    with pytest.raises(NightshiftError, match=r"spells the same label differently"):
        take(spelt, tmp_path)


def test_json_lines_are_read_one_by_one(tmp_path: Path) -> None:
    """A manifest of any size costs the memory of one line."""
    file = lines_file(tmp_path / "x.jsonl", *(vertex(f"{at}.jpg", "", "cat") for at in range(1000)))
    found = opened(lambda: file.open("rb"), "x.jsonl", lambda _: b"")
    assert found is not None
    assert found.kind == "jsonl"
    records = found.records()
    assert next(records)[1]["imageGcsUri"] == "gs://bucket/0.jpg"
    assert sum(1 for _ in records) == 999


def test_a_folder_of_classes_with_such_a_file_in_it_stays_one(tmp_path: Path) -> None:
    write_files(tmp_path / "pets", "cat/1.jpg", "dog/1.jpg")
    (tmp_path / "pets/metadata.csv").write_text("file_name,text\ncat/1.jpg,a cat\n")
    json_file(tmp_path / "pets/datapackage.json", {"resources": []})
    assert sum(take(tmp_path / "pets", tmp_path).new.values()) == 2


def test_a_folder_without_classes_names_the_file_that_may_have_the_labels(folder: Path, tmp_path: Path) -> None:
    coco(folder / "instances.json", boxes=False)
    with pytest.raises(NightshiftError, match=r"directly in .* If instances\.json has the labels, import that file\."):
        take(folder, tmp_path)


VALUES: list[object] = [
    None, True, 0, -1, 1.5, float("nan"), 10**400, "", "x", "\ud800", "../../x", "/etc/passwd", "\0", "a\nb", [], {},
    [1], {"a": 1}, "0001-01-01T00:00:00+23:00", "ä" * 300, "Cat", "C:\\a.jpg", "gs://",
]  # fmt: skip


def changed(document: object, choose: random.Random) -> object:
    """The document with some of its values replaced by others, or left out."""
    found = json.loads(json.dumps(document))
    for _ in range(choose.choice((1, 1, 2, 3))):
        places: list[tuple[Any, Any]] = []
        todo = [found]
        while todo:
            one = todo.pop()
            keys = list(one) if isinstance(one, dict) else range(len(one))
            places += [(one, key) for key in keys]
            todo += [one[key] for key in keys if isinstance(one[key], dict | list)]
        if places:
            one, key = choose.choice(places)
            if choose.random() < 0.2:
                del one[key]
            else:
                one[key] = choose.choice(VALUES)
    return found


def test_whatever_stands_in_a_file_it_is_read_or_refused(folder: Path, tmp_path: Path) -> None:
    about = {"annotation_id": 1, "annotator": 1, "created_at": "2026-01-01T00:00:00Z", "lead_time": 1.5}
    documents: list[object] = [
        [task(1, "a.jpg", annotation(3, "cat")), task(2, "b.jpg", annotation(4, "dog"))],
        [{"image": "a.jpg", "id": 1, "choice": "cat", **about}],
        [{"id": "a", "originalImageUri": "https://x/y", "tags": [{"tagName": "cat"}], "metadata": {"k": "v"}}],
        {"file_name": "a.jpg", "label": "cat", "k": 1},
        json.loads(coco(folder / "x.json", boxes=True).read_text()),
        json.loads(camtrap(folder).read_text()),
        vertex("a.jpg", "training", "cat"),
        ground_truth("a.jpg", "golf"),
    ]
    ends = Counter[str]()
    for seed in range(100):
        choose = random.Random(seed)  # noqa: S311 - the same cases each time
        file = json_file(folder / "x.json", changed(choose.choice(documents), choose))
        try:
            take(file, tmp_path / str(seed), images=str(folder))
            ends["read"] += 1
        except NightshiftError:
            ends["refused"] += 1
    assert min(ends["read"], ends["refused"]) > 20
