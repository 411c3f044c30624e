"""Labels go out, come in and go out again: the same labels, splits and judgements, and the same bytes."""

import resource
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.core.disk_errors import disk_error
from pipeline.core.errors import NightshiftError
from pipeline.data.judgements import Judgement, keep, read_judgements
from pipeline.data.label_folders import folder_of
from pipeline.sources.foreign.export import export
from pipeline.sources.foreign.formats import FORMATS
from pipeline.storage.files import sha256
from tests.fixtures.sources import content, take, tree, write_files

# Labels that a spreadsheet, a CSV or JSON reader could change; and of a path all that an address could.
LABELS = ("=1+1", "'quoted", "a, b; c", 'say "x"', "n/a", "猫 & кот", "new\u2028line", "007", "true", "100 %", "@home")
NAMES = ("1.jpg", "ä ö/100 % & x=1#?.jpg", "=1.jpg", "+ 1.jpg")
ADDRESS = {"gs://": "gs://bucket/photos", "s3://": "s3://bucket/photos"}
WITH_SPLITS = {"label-studio", "vertex", "vertex-csv", "hugging-face", "coco"}
PLACE = "2026-05-30T02:57:37Z,51.496,4.774,2026-05-30T00:00:00Z,2026-06-30T00:00:00Z"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with each label on each name; every second image has a split."""
    folder = tmp_path_factory.mktemp("project")
    paths = [f"{folder_of(label)}/{name}" for label in LABELS for name in NAMES]
    write_files(folder / "data/raw", *paths)
    rows = ["path,split,group,deploymentID,timestamp,latitude,longitude,deploymentStart,deploymentEnd"]
    for at, path in enumerate(sorted(paths)):
        quoted = path.replace('"', '""')
        rows.append(f'"{quoted}",{("train", "", "val", "test")[at % 4]},"=group {at % 3}",d{at % 2},{PLACE}')
    (folder / "data/raw/metadata.csv").write_text("\n".join([*rows, ""]))
    judged = Judgement(
        sha256=sha256(content("007/1.jpg")), path="007/1.jpg", label="007", reader="label-studio:3", source="import",
        at=datetime(2026, 5, 1, 12, tzinfo=UTC), seconds=1.5,
    )  # fmt: skip
    keep([judged, judged.model_copy(update={"reader": "ada", "label": "true"})], folder / "data/labels.jsonl")
    return folder


def images(project: Path) -> dict[str, bytes]:
    found = tree(project / "data/raw")
    return {path: data for path, data in found.items() if path != "metadata.csv"}


def exported(name: str, project: Path, out: Path) -> dict[str, bytes]:
    form = next(one for one in FORMATS if one.name == name)
    done = export(name, str(out), ADDRESS.get(form.prefix, ""), project)
    assert done.images == len(LABELS) * len(NAMES)
    return tree(done.out) if done.out.is_dir() else {"": done.out.read_bytes()}


@pytest.mark.parametrize("name", sorted(one.name for one in FORMATS))
def test_out_in_and_out_again(name: str, project: Path, tmp_path: Path) -> None:
    out = tmp_path / ("package" if name in ("hugging-face", "camtrap-dp") else f"labels{Path(name).suffix}")
    form = next(one for one in FORMATS if one.name == name)
    out = out if form.file.endswith("/") else out.with_suffix(Path(form.file).suffix)
    first = exported(name, project, out)
    assert exported(name, project, out) == first, "the same project gives the same bytes, over its own file"
    other = tmp_path / "other"
    done = take(out, other, images=str(project / "data/raw"))
    assert images(other) == images(project)
    assert (done.left_aside, done.moved) == (0, ())
    splits = sum(done.splits.values())
    assert splits == (33 if name in WITH_SPLITS else 0)
    again = exported(name, other, tmp_path / "again" / out.name)
    lines = {file: sorted(data.splitlines()) for file, data in first.items()}
    if name in ("label-studio", "ground-truth"):  # the reader who is no reader of theirs stays behind
        kept = read_judgements(other / "data/labels.jsonl").of(sha256(content("007/1.jpg")))
        assert [(one.reader.split(":")[-1], one.label) for one in kept] == [("3", "007")]
    elif name != "camtrap-dp":
        assert {file: sorted(data.splitlines()) for file, data in again.items()} == lines


def test_a_project_reads_its_own_export_as_what_it_has(project: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(project, mine)
    out = export("coco", project=mine).out
    assert out == mine / "exports/coco.json"
    done = take(out, mine)
    assert (sum(done.new.values()), sum(done.there.values()), done.moved) == (0, len(LABELS) * len(NAMES), ())


def test_a_changed_label_moves_the_image_in_data_raw(tmp_path: Path) -> None:
    write_files(tmp_path / "data/raw", "cat/1.jpg", "dog/1.jpg", "dog/2.jpg")
    out = export("vertex-csv", prefix="gs://bucket", project=tmp_path).out
    out.write_text(out.read_text().replace("dog/1.jpg,dog", "dog/1.jpg,cat").replace("dog/2.jpg,dog", "dog/2.jpg,cat"))
    done = take(out, tmp_path)
    assert sorted(images(tmp_path)) == ["cat/1 (from dog).jpg", "cat/1.jpg", "cat/2.jpg"]
    assert len(done.moved) == 2
    assert images(tmp_path)["cat/1 (from dog).jpg"] == content("dog/1.jpg")


def test_an_export_never_writes_over_another_file(tmp_path: Path) -> None:
    write_files(tmp_path / "data/raw", "cat/1.jpg")
    (tmp_path / "mine.json").write_text("my notes")
    with pytest.raises(NightshiftError, match=r"mine\.json is not as an export wrote it"):
        export("coco", str(tmp_path / "mine.json"), project=tmp_path)
    done = export("hugging-face", str(tmp_path / "hf"), project=tmp_path)
    (done.out / "metadata.csv").write_text("file_name,label\nchanged by hand\n")
    with pytest.raises(NightshiftError, match=r"metadata\.csv is not as an export wrote it.*was changed"):
        export("hugging-face", str(tmp_path / "hf"), project=tmp_path)
    with pytest.raises(NightshiftError, match=r"hf is a folder, which COCO"):
        export("coco", str(tmp_path / "hf"), project=tmp_path)
    assert (tmp_path / "mine.json").read_text() == "my notes"


def test_images_go_beside_the_file_and_another_project_needs_nothing_else(tmp_path: Path) -> None:
    write_files(tmp_path / "data/raw", "cat/1.jpg", "dog/deep/1.jpg")
    for _ in range(2):
        out = export("hugging-face", str(tmp_path / "hf"), project=tmp_path, with_images=True).out
        assert sorted(tree(out)) == ["cat/1.jpg", "dog/deep/1.jpg", "metadata.csv"]
    take(out, tmp_path / "other")
    assert images(tmp_path / "other") == images(tmp_path)
    (out / "cat/1.jpg").write_bytes(b"another's")
    with pytest.raises(NightshiftError, match=r"hf has other files where images would go: cat/1\.jpg"):
        export("hugging-face", str(tmp_path / "hf"), project=tmp_path, with_images=True)
    assert (out / "cat/1.jpg").read_bytes() == b"another's"
    with pytest.raises(NightshiftError, match=r"would look for them at gs://\. Omit --with-images"):
        export("vertex", project=tmp_path, with_images=True)


def test_a_full_disk_is_said_of_the_copy_and_not_of_the_image(tmp_path: Path) -> None:
    write_files(tmp_path / "data/raw", "cat/1.jpg")
    (tmp_path / "data/raw/cat/1.jpg").write_bytes(bytes(4096))
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, usual[1]))  # Python ignores SIGXFSZ: the write raises EFBIG
    try:
        with pytest.raises(OSError, match=r"too large") as error:
            export("coco", str(tmp_path / "out/coco.json"), project=tmp_path, with_images=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert str(tmp_path / "out/cat/1.jpg") in str(disk_error(error.value))


def test_what_an_export_needs_is_said(tmp_path: Path) -> None:
    with pytest.raises(NightshiftError, match=r"data/raw has no images"):
        export("coco", project=tmp_path)
    write_files(tmp_path / "data/raw", "cat/1.jpg")
    with pytest.raises(NightshiftError, match=r"yolo is not a format .* Use one of: camtrap-dp, coco, "):
        export("yolo", project=tmp_path)
    with pytest.raises(NightshiftError, match=r"takes images at gs:// addresses only.*--prefix gs://bucket/folder"):
        export("vertex", prefix="s3://bucket", project=tmp_path)
    with pytest.raises(NightshiftError, match=r"1 of 1 image lacks what Camtrap DP needs: cat/1\.jpg\. Fill in"):
        export("camtrap-dp", project=tmp_path)
    assert not (tmp_path / "exports").exists()


def test_a_judgement_that_is_not_imported_yet_is_said(tmp_path: Path) -> None:
    write_files(tmp_path / "data/raw", "cat/1.jpg", "cat/2.jpg")
    one = Judgement(sha256=sha256(content("cat/1.jpg")), path="x", label="dog", reader="ada", source="night")
    keep([one, one.model_copy(update={"sha256": sha256(content("cat/2.jpg")), "label": "Cat"})],
         tmp_path / "data/labels.jsonl")  # fmt: skip
    (note,) = export("coco", project=tmp_path).notes
    assert note.startswith("1 image is judged otherwise than data/raw has it: cat/1.jpg.")
