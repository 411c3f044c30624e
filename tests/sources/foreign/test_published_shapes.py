"""Files as each tool writes them, in small: which image gets which label, which are left out, what is said of it."""

from collections import Counter
from pathlib import Path

import pytest

from pipeline.sources.layout import SourceError
from tests.fixtures.foreign import annotation, camtrap, coco, ground_truth, json_file, lines_file, task, vertex
from tests.fixtures.sources import take, tree, write_files


def images_of(project: Path) -> list[str]:
    return sorted(path for path in tree(project / "data/raw") if path != "metadata.csv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "there", "a.jpg", "b.jpg", "deep/c.jpg", "d.jpg")


def test_label_studio(folder: Path, tmp_path: Path) -> None:
    box = {
        "type": "rectanglelabels",
        "from_name": "box",
        "to_name": "image",
        "value": {"x": 1, "rectanglelabels": ["c"]},
    }
    file = json_file(
        folder / "project-83.json",
        [
            task(1, "/data/upload/83/1a2b3c4d-a.jpg", annotation(3, "cat")),
            task(2, "/data/local-files/?d=photos/b.jpg", annotation(3, "cat"), annotation(4, "dog", ground_truth=True)),
            task(3, "s3://bucket/deep/c.jpg", annotation(3, "dog"), annotation(4, "dog"), {"result": [box]}),
            task(4, "d.jpg", annotation(3, "cat"), annotation(4, "dog")),
            task(5, "e.jpg", annotation(3)),
            task(6, "f.jpg", annotation(3, "cat", was_cancelled=True)),
            task(7, "g.jpg", annotation({"id": 5, "email": "ann@example.org"}, "cat")),
        ],
    )
    done = take(file, tmp_path)
    assert images_of(tmp_path) == ["cat/a.jpg", "dog/b.jpg", "dog/deep/c.jpg"]
    assert done.left_aside == 4
    assert [note for note in done.notes if "judgement" not in note] == [
        f"1 task of {file} has regions or boxes: not used.",
        f"2 images of {file} without a label were left out: e.jpg, f.jpg.",
        f"1 image of {file} has several labels: d.jpg (cat, dog). Nightshift learns one label an image, so they were "
        "left out; give each one label there, or judge them here, and import again.",
        f"1 image of {file} was not found in {folder}: g.jpg. To import it, name the folder that has exactly these "
        "paths with --images, and run the same command again.",
    ]


def test_label_studio_with_several_questions_asks_which(folder: Path, tmp_path: Path) -> None:
    both = annotation(3, "cat")
    other = annotation(3, "sharp", question="quality")
    file = json_file(folder / "x.json", [task(1, "a.jpg", both, other)])
    with pytest.raises(SourceError, match=r"several questions: choice, quality\. .*--label-field"):
        take(file, tmp_path)
    assert take(file, tmp_path, field="quality").new == Counter(sharp=1)


def test_label_studio_json_min(folder: Path, tmp_path: Path) -> None:
    about = {
        "annotator": 1,
        "created_at": "2026-03-09T22:16:08Z",
        "updated_at": "2026-03-09T22:16:08Z",
        "lead_time": 2.5,
    }
    file = json_file(
        folder / "min.json",
        [
            {"image": "/data/upload/1/0f0f0f0f-a.jpg", "id": 1, "choice": "cat", "annotation_id": 1, **about},
            {"image": "/data/upload/1/0f0f0f0f-b.jpg", "id": 2, "choice": {"choices": ["cat", "dog"]},
             "annotation_id": 2, **about},
            {"image": "https://example.org/deep/c.jpg", "id": 3, "choice": "dog", "annotation_id": 3, **about},
        ],
    )  # fmt: skip
    assert take(file, tmp_path).left_aside == 1
    assert images_of(tmp_path) == ["cat/a.jpg", "dog/deep/c.jpg"]


def test_label_studio_tasks_with_predictions_only_are_no_labels(folder: Path, tmp_path: Path) -> None:
    one = task(1, "a.jpg", annotation(1, "cat")) | {
        "annotations": [],
        "predictions": [{"model_version": "m", "result": []}],
    }
    with pytest.raises(SourceError, match=r"no image with one label\. 1 task of .* has only predictions"):
        take(json_file(folder / "x.json", [one]), tmp_path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_vertex_csv(folder: Path, tmp_path: Path, encoding: str, end: str) -> None:
    rows = (
        "training,gs://bucket/a.jpg,daisy", 'TEST,gs://bucket/b.jpg,"=1+1, ""x"""', "gs://bucket/deep/c.jpg,daisy",
        "UNASSIGNED,gs://bucket/d.jpg,daisy,tulip", "VALIDATION,gs://bucket/e.jpg,",
    )  # fmt: skip
    file = folder / "import.csv"
    file.write_bytes(end.join([*rows, ""]).encode(encoding))
    done = take(file, tmp_path)
    assert images_of(tmp_path) == ['=1+1, "x"/b.jpg', "daisy/a.jpg", "daisy/deep/c.jpg"]
    assert done.splits == Counter({("daisy", "train"): 1, ('=1+1, "x"', "test"): 1})
    assert done.left_aside == 2


def test_a_vertex_csv_of_boxes_is_refused(folder: Path, tmp_path: Path) -> None:
    file = folder / "import.csv"
    file.write_text("TRAIN,gs://bucket/a.jpg,cat,0.1,0.2,,,0.3,0.4,,\n")
    with pytest.raises(SourceError, match=r"line 1: the row has a box: this is a file for object detection"):
        take(file, tmp_path)


def test_vertex_json_lines(folder: Path, tmp_path: Path) -> None:
    file = lines_file(
        folder / "data.jsonl", vertex("a.jpg", "training", "daisy"), vertex("b.jpg", "validation", "tulip"),
        vertex("deep/c.jpg", "", "daisy"), vertex("d.jpg", "test", "daisy", "tulip"),
    )  # fmt: skip
    done = take(file, tmp_path)
    assert images_of(tmp_path) == ["daisy/a.jpg", "daisy/deep/c.jpg", "tulip/b.jpg"]
    assert done.splits == Counter({("daisy", "train"): 1, ("tulip", "val"): 1})
    assert done.left_aside == 1


def test_ground_truth(folder: Path, tmp_path: Path) -> None:
    failed = {"source-ref": "s3://bucket/d.jpg", "sport-metadata": {"failure-reason": "ClientError", "type": "x"}}
    lines = (ground_truth("a.jpg", "golf"), ground_truth("deep/c.jpg", "run"), ground_truth("e.jpg", "run"), failed)
    done = take(lines_file(folder / "output.manifest", *lines), tmp_path)
    assert images_of(tmp_path) == ["golf/a.jpg", "run/deep/c.jpg"]
    assert done.left_aside == 2


def test_ground_truth_of_boxes_is_refused_and_of_two_jobs_asks_which(folder: Path, tmp_path: Path) -> None:
    boxes = lines_file(folder / "boxes.manifest", ground_truth("a.jpg", "", "groundtruth/object-detection"))
    with pytest.raises(SourceError, match=r"line 1|boxes\.manifest: it is of groundtruth/object-detection"):
        take(boxes, tmp_path)
    first = ground_truth("a.jpg", "golf")
    second = {"place": 1, "place-metadata": {"class-name": "indoors", "type": "groundtruth/image-classification"}}
    chained = lines_file(folder / "chained.manifest", first | second)
    with pytest.raises(SourceError, match=r"several jobs: place, sport\."):
        take(chained, tmp_path)
    assert take(chained, tmp_path, field="place").new == Counter(indoors=1)


def test_custom_vision(folder: Path, tmp_path: Path) -> None:
    def image(name: str, *tags: str) -> dict[str, object]:
        return {
            "id": name, "created": "2026-01-01T00:00:00", "width": 640, "height": 480,
            "resizedImageUri": f"https://irisprod.blob.core.windows.net/m-1/i-{name}?sv=2017",
            "originalImageUri": f"https://irisprod.blob.core.windows.net/m-1/o-{name}?sv=2017",
            "tags": [{"tagId": "b5f7e6a2", "tagName": tag, "created": "2026-01-01T00:00:00"} for tag in tags] or None,
            "regions": None,
        }  # fmt: skip

    file = json_file(
        folder / "tagged.json", [image("a", "cat"), image("b", "dog"), image("d", "cat", "dog"), image("x")]
    )
    done = take(file, tmp_path)
    assert images_of(tmp_path) == ["cat/a.jpg", "dog/b.jpg"]
    assert done.left_aside == 2


def test_hugging_face_folder_with_splits(tmp_path: Path) -> None:
    write_files(tmp_path / "there", "train/1.jpg", "validation/1.jpg", "test/deep/1.jpg")
    (tmp_path / "there/train/metadata.csv").write_text("file_name,label,site\n1.jpg,cat,north\n")
    lines_file(tmp_path / "there/validation/metadata.jsonl", {"file_name": "1.jpg", "label": 1, "site": "south"})
    lines_file(tmp_path / "there/test/metadata.jsonl", {"file_name": "deep/1.jpg", "label": "cat", "site": None})
    done = take(tmp_path / "there", tmp_path)
    assert images_of(tmp_path) == ["1/validation/1.jpg", "cat/test/deep/1.jpg", "cat/train/1.jpg"]
    assert done.splits == Counter({("cat", "train"): 1, ("1", "val"): 1, ("cat", "test"): 1})
    assert "cat/train/1.jpg,train,north" in (tmp_path / "data/raw/metadata.csv").read_text()


def test_hugging_face_with_one_table_and_a_column_of_another_name(folder: Path, tmp_path: Path) -> None:
    (folder / "metadata.csv").write_text("file_name,species,text\na.jpg,cat,one\ndeep/c.jpg,dog,two\n")
    with pytest.raises(SourceError, match=r"no column label; it has species, text\..*--label-field"):
        take(folder / "metadata.csv", tmp_path)
    assert take(folder, tmp_path, field="species").new == Counter(cat=1, dog=1)


@pytest.mark.parametrize("boxes", [False, True])
def test_coco(folder: Path, tmp_path: Path, boxes: bool) -> None:
    done = take(coco(folder / "instances.json", boxes), tmp_path)
    assert images_of(tmp_path) == ["cat/a.jpg", "dog/deep/c.jpg"]
    assert done.left_aside == 2
    assert any("3 images" in note and "boxes or outlines" in note for note in done.notes) is boxes


@pytest.mark.parametrize("as_folder", [True, False])
def test_camtrap_dp(folder: Path, tmp_path: Path, as_folder: bool) -> None:
    package = camtrap(folder)
    done = take(folder if as_folder else package, tmp_path)
    assert images_of(tmp_path) == ["Anas platyrhynchos/a.jpg", "blank/b.jpg"]
    assert done.left_aside == 2
    assert any("1 observation of" in note and "of events, not of single images" in note for note in done.notes)
    assert any("1 file of" in note and "videos" in note for note in done.notes)
    table = (tmp_path / "data/raw/metadata.csv").read_text().splitlines()
    assert table[0] == "path,mediaID,deploymentID,timestamp,latitude,longitude,deploymentStart,deploymentEnd"
    assert "Anas platyrhynchos/a.jpg,07840dcc,00a2c20d,2020-05-30T02:57:37Z,51.496,4.774," in table[1]


def test_a_camtrap_dp_of_an_older_version_says_so(folder: Path, tmp_path: Path) -> None:
    package = camtrap(folder)
    (folder / "media.csv").write_text("mediaID,deploymentID,timestamp,multimedia\n1,2,3,4\n")
    with pytest.raises(SourceError, match=r"media\.csv has no column filePath, so it is not of Camtrap DP 1\.0"):
        take(package, tmp_path)
