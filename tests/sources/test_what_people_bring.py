"""Folders, tables and archives as people have them: what is found is said, what could be wrong is refused in words."""

import os
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import pytest

from pipeline.core.errors import NightshiftError
from pipeline.data.side_table import MetadataError, as_named, orphans_of, read_metadata
from pipeline.images.decode import UnreadableImage, decode
from pipeline.params.data import Images
from pipeline.sources.copy import Imported
from pipeline.sources.layout import SourceError
from tests.fixtures.project import nightshift, run
from tests.fixtures.sources import take, tree, write_files, zip_of

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % (b"4" * 64)


def labels_of(done: Imported) -> set[str]:
    return {*done.new, *done.there}


def notes_of(done: Imported) -> str:
    return " ".join(done.notes)


@pytest.mark.parametrize("enclosing", ["data", "a/b c", "images"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_that_encloses_all_classes_is_said_and_taken_off(tmp_path: Path, enclosing: str, packed: bool) -> None:
    names = [f"{enclosing}/cat/1.jpg", f"{enclosing}/dog/1.jpg", f"{enclosing}/dog/deep/2.jpg"]
    source = zip_of(tmp_path / "new.zip", *names) if packed else write_files(tmp_path / "new", *names)
    done = take(source, tmp_path)
    assert labels_of(done) == {"cat", "dog"}
    assert f"are in {enclosing}/, so the folders in there are the classes" in notes_of(done)


def test_a_class_that_the_project_has_is_no_enclosing_folder(tmp_path: Path) -> None:
    write_files(tmp_path / "data/raw", "cat/1.jpg", "dog/1.jpg")
    done = take(write_files(tmp_path / "new", "cat/monday/2.jpg", "cat/tuesday/3.jpg"), tmp_path)
    assert labels_of(done) == {"cat"}
    assert "Classes that consist of several folders: cat of 2 folders (monday, tuesday)" in notes_of(done)
    done = take(write_files(tmp_path / "other", "pets/cat/4.jpg", "pets/dog/5.jpg"), tmp_path)
    assert labels_of(done) == {"cat", "dog"}


@pytest.mark.parametrize(
    "names",
    [
        ("PV/cat/1.jpg", "PV/PV/cat/1.jpg"),
        ("cat/1.jpg", "dog/1.jpg", "PV/cat/1.jpg", "PV/dog/1.jpg"),
        ("train/cat/1.jpg", "train/dog/1.jpg", "train/all/cat/1.jpg", "train/all/dog/1.jpg"),
    ],
)
def test_a_second_copy_of_the_tree_is_no_class(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(
        SourceError, match=r"The folder (PV|all) holds the same classes again .*cat.*nothing was copied"
    ):
        take(write_files(tmp_path / "new", *names), tmp_path)
    assert not (tmp_path / "data/raw").exists()


def test_a_class_with_folders_named_as_other_classes_is_said(tmp_path: Path) -> None:
    done = take(write_files(tmp_path / "new", "cat/1.jpg", "dog/1.jpg", "odd/cat/2.jpg", "odd/3.jpg"), tmp_path)
    assert "The class odd has folders named as other classes: cat" in notes_of(done)


def test_an_image_beside_the_class_folders_makes_no_silent_class(tmp_path: Path) -> None:
    done = take(write_files(tmp_path / "new", "data/cat/1.jpg", "data/dog/1.jpg", "data/cover.jpg"), tmp_path)
    assert "data of 2 folders (cat, dog)" in notes_of(done)


@pytest.mark.parametrize("path", ["images\\cat\\1.jpg", "images/cat/1.jpg", ".\\images\\cat\\1.jpg"])
def test_paths_as_windows_writes_them_lead_to_their_files(tmp_path: Path, path: str) -> None:
    write_files(tmp_path / "new", "images/cat/1.jpg", "images/dog/1.jpg")
    (tmp_path / "new/t.csv").write_text(f"path;label\n{path};cat\nimages\\dog\\1.jpg;dog\n")
    take(tmp_path / "new/t.csv", tmp_path)
    assert set(tree(tmp_path / "data/raw")) == {"cat/cat/1.jpg", "dog/dog/1.jpg"}


@pytest.mark.parametrize(("written", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_paths_lead_to_files_in_the_other_unicode_form(tmp_path: Path, written: str, on_disk: str) -> None:
    name = "K\u00e4fer/1.jpg"
    write_files(tmp_path / "new", unicodedata.normalize(on_disk, name))
    (tmp_path / "new/t.csv").write_text(f"path,label\n{unicodedata.normalize(written, name)},beetle\n")
    assert take(tmp_path / "new/t.csv", tmp_path).new == Counter(beetle=1)


def test_a_name_with_a_backslash_is_still_that_file(tmp_path: Path) -> None:
    write_files(tmp_path / "new", "a\\b.jpg")
    (tmp_path / "new/t.csv").write_text("path,label\na\\b.jpg,cat\n")
    assert take(tmp_path / "new/t.csv", tmp_path).new == Counter(cat=1)


def test_another_machines_paths_are_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label\nC:\\photos\\1.jpg,cat\n")
    with pytest.raises(SourceError, match=r"do not exist: .*1\.jpg\..* are another machine's"):
        take(tmp_path / "t.csv", tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "path,group\ncat\\1.jpg,a\ndog\\2.jpg,b\n",
        "Path;Group\n./cat/1.jpg;a\ndog/2.jpg;b\n",
        "\ufeffPATH , GROUP\ndata/raw/cat/1.jpg,a\ndata\\raw\\dog\\2.jpg,b\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_rows_of_metadata_find_their_images(tmp_path: Path, text: str, encoding: str) -> None:
    (tmp_path / "metadata.csv").write_bytes(text.encode(encoding))
    table = read_metadata(tmp_path / "metadata.csv")
    paths = ["cat/1.jpg", "dog/2.jpg"]
    assert as_named(table, paths).to_dict("list") == {"path": paths, "group": ["a", "b"]}
    assert orphans_of(table, paths) == []


def test_an_import_finds_the_rows_that_a_person_wrote_in_another_way(tmp_path: Path) -> None:
    write_files(tmp_path / "data/raw", "cat/1.jpg", "dog/2.jpg")
    (tmp_path / "data/raw/metadata.csv").write_text("Path;Group\ncat\\1.jpg;a\ndog\\2.jpg;b\n")
    write_files(tmp_path / "new", "1.jpg")
    (tmp_path / "new/1.jpg").write_bytes((tmp_path / "data/raw/cat/1.jpg").read_bytes())
    (tmp_path / "new/t.csv").write_text("path,label,group\n1.jpg,cat,new\n")
    take(tmp_path / "new/t.csv", tmp_path)
    written = (tmp_path / "data/raw/metadata.csv").read_text()
    assert written == "path,group\ncat/1.jpg,new\ndog/2.jpg,b\n"


def test_most_rows_of_metadata_without_an_image_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("path,group\na/1.jpg,1\na/2.jpg,1\ncat/1.jpg,2\n")
    table = read_metadata(tmp_path / "metadata.csv")
    assert orphans_of(table, ["cat/1.jpg", "a/1.jpg"]) == ["a/2.jpg"]
    with pytest.raises(
        MetadataError, match=r"2 of 3 rows belong to no image.*: a/1\.jpg, a/2\.jpg\..*such as cat/1\.jpg"
    ):
        orphans_of(table, ["cat/1.jpg"])


def raw_zip(file: Path, *members: tuple[bytes, bytes]) -> Path:
    """A zip with names of these bytes, unmarked, and extra fields: what zipfile itself never writes."""
    out, central = bytearray(), bytearray()
    for number, (name, extra) in enumerate(members):
        data = b"image %d" % number
        start = struct.pack("<HHHHH", 20, 0, 0, 0, 33)
        sizes = struct.pack("<IIIHH", zlib.crc32(data), len(data), len(data), len(name), len(extra))
        central += b"PK\1\2" + struct.pack("<H", 20) + start + sizes + struct.pack("<HHHII", 0, 0, 0, 0, len(out))
        central += name + extra
        out += b"PK\3\4" + start + sizes + name + extra + data
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(central), len(out), 0)
    file.write_bytes(bytes(out + central) + b"PK\5\6" + end)
    assert zipfile.ZipFile(file).testzip() is None
    return file


def info_zip(name: str, raw: bytes) -> bytes:
    field = b"\1" + struct.pack("<I", zlib.crc32(raw)) + name.encode()
    return struct.pack("<HH", 0x7075, len(field)) + field


MACOS = unicodedata.normalize("NFD", "Gr\u00fcn").encode()


@pytest.mark.parametrize(
    "member",
    [
        pytest.param((MACOS + b"/1.jpg", b""), id="macOS: UTF-8, decomposed, without the flag"),
        pytest.param(("Gr\u00fcn/1.jpg".encode(), b""), id="UTF-8 without the flag"),
        pytest.param((b"Gr\x81n/1.jpg", info_zip("Gr\u00fcn/1.jpg", b"Gr\x81n/1.jpg")), id="Info-ZIP"),
    ],
)
def test_a_zips_names_are_what_they_were(tmp_path: Path, member: tuple[bytes, bytes]) -> None:
    done = take(raw_zip(tmp_path / "new.zip", member, (b"Rot/1.jpg", b"")), tmp_path)
    assert labels_of(done) == {"Gr\u00fcn", "Rot"}


@pytest.mark.parametrize(
    ("label", "encoding"),
    [("\u732b\u72d7", "gbk"), ("Gr\u00fcn", "cp437"), ("\u043a\u043e\u0442", "cp866"), ("\u732b", "shift_jis")],
)
def test_names_in_an_unknown_encoding_are_refused_with_the_way_out(tmp_path: Path, label: str, encoding: str) -> None:
    names = [f"{label}/1.jpg", f"{label * 2}/1.jpg", "Rot/1.jpg"]
    source = raw_zip(tmp_path / "new.zip", *((name.encode(encoding), b"") for name in names))
    with pytest.raises(SourceError, match=r"names of \d images are in an encoding .*Nothing was imported.*--names gbk"):
        take(source, tmp_path)
    assert labels_of(take(source, tmp_path, names=encoding)) == {label, label * 2, "Rot"}


def test_names_of_a_tar_in_an_unknown_encoding_are_refused_too(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "new.tar", "w", format=tarfile.GNU_FORMAT, encoding="gbk") as tar:
        for name in ("\u732b\u72d7/1.jpg", "Rot/1.jpg"):
            tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(SourceError, match=r"names of 1 images are in an encoding .*gbk: \u732b\u72d7/1.jpg"):
        take(tmp_path / "new.tar", tmp_path)
    assert labels_of(take(tmp_path / "new.tar", tmp_path, names="gbk")) == {"\u732b\u72d7", "Rot"}


def test_a_field_for_another_name_and_other_files_do_not_matter(tmp_path: Path) -> None:
    source = raw_zip(
        tmp_path / "new.zip", (b"Rot/1.jpg", info_zip("Blau/1.jpg", b"before")), (b"notes \x81\xfe.txt", b""),
        (b"Gelb/1.jpg", b""),
    )  # fmt: skip
    assert labels_of(take(source, tmp_path)) == {"Rot", "Gelb"}


def test_a_name_in_the_field_cannot_lead_out(tmp_path: Path) -> None:
    source = raw_zip(tmp_path / "new.zip", (b"a.jpg", info_zip("../../a.jpg", b"a.jpg")))
    with pytest.raises(SourceError, match="leads out of the archive"):
        take(source, tmp_path)


def test_an_encoding_that_nobody_knows_is_named(tmp_path: Path) -> None:
    with pytest.raises(NightshiftError, match="--names klingon is not an encoding"):
        take(zip_of(tmp_path / "new.zip", "a/1.jpg", "b/1.jpg"), tmp_path, names="klingon")


@pytest.mark.parametrize("name", ["labels.xlsx", "labels.ODS"])
def test_a_spreadsheet_is_no_archive(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="is a spreadsheet. Save the table as CSV UTF-8"):
        take(zip_of(tmp_path / name, "xl/1.xml"), tmp_path)


def test_pointers_of_git_lfs_are_not_imported(tmp_path: Path) -> None:
    write_files(tmp_path / "new", "cat/1.jpg", "dog/1.jpg")
    (tmp_path / "new/cat/1.jpg").write_bytes(POINTER)
    with pytest.raises(NightshiftError, match=r"1 of 2 images are each a Git LFS pointer.*git lfs pull.*cat/1\.jpg"):
        take(tmp_path / "new", tmp_path)
    assert not (tmp_path / "data/raw").exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (POINTER, "not an image, but a Git LFS pointer: run `git lfs pull`"),
        (b"/annex/objects/MD5E-s3--0.jpg\n", "a git-annex pointer"),
        (b"\n <!DOCTYPE html><html>404", "not an image, but a web page"),
        (b"some words", "not an image in a known format"),
    ],
)
def test_a_row_says_what_the_file_is_instead(data: bytes, words: str) -> None:
    with pytest.raises(UnreadableImage, match=words):
        decode(data, Images(width=32, height=24, fit="stretch", max_megapixels=1))


def test_what_a_source_leaves_aside_is_said(tmp_path: Path) -> None:
    write_files(tmp_path / "new", "cat/1.jpg", "dog/1.jpg", "cat/a.mp4", "b.MP4", "DICOMDIR")
    (tmp_path / "new/dog/2.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    notes = notes_of(take(tmp_path / "new", tmp_path))
    assert "3 other files skipped: DICOMDIR, b.MP4, cat/a.mp4." in notes
    assert "1 link was not followed" in notes
    assert "dog/2.jpg" in notes


def test_a_source_of_links_alone_says_why_it_is_empty(tmp_path: Path) -> None:
    write_files(tmp_path, "blobs/0a")
    (tmp_path / "new/cat").mkdir(parents=True)
    (tmp_path / "new/cat/1.jpg").symlink_to("../../blobs/0a")
    with pytest.raises(NightshiftError, match=r"no images in the source\. 1 link was not followed .*cp -rL"):
        take(tmp_path / "new", tmp_path)


def folder_with_params(folder: Path) -> Path:
    write_files(folder / "new", "cat/1.jpg", "dog/1.jpg")
    folder.joinpath("params.yaml").write_bytes((Path(__file__).parents[2] / "params.yaml").read_bytes())
    return folder


def refused(project: Path, words: str, **env: str) -> None:
    before = set(tree(project))
    done = nightshift("data", "import", "new", cwd=project, check=False, GIT_CONFIG_GLOBAL="/dev/null", **env)
    assert done.returncode == 1
    assert words in done.stderr, done.stderr
    assert "Nothing was written" in done.stderr
    assert "Traceback" not in done.stderr
    assert set(tree(project)) == before


def test_an_unpacked_archive_of_a_project_is_refused_before_anything_is_copied(tmp_path: Path) -> None:
    project = folder_with_params(tmp_path)
    refused(project, "is not in a DVC repository")
    (project / ".dvc").mkdir()
    refused(project, "is not in a git repository (is it an unpacked archive?)")


def test_a_checkout_of_another_owner_is_refused_with_the_command(tmp_path: Path) -> None:
    project = folder_with_params(tmp_path)
    (project / ".dvc").mkdir()
    run("git", "init", "--quiet", cwd=project)
    if os.geteuid() == 0:  # only root can give a folder to somebody else; git itself has a switch for its own tests
        for path in (project, project / ".git"):
            os.chown(path, 12345, 12345)
    env = {} if os.geteuid() == 0 else {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    refused(project, f"git config --global --add safe.directory {project}", **env)
    done = nightshift("data", "diff", cwd=project, check=False, GIT_CONFIG_GLOBAL="/dev/null", **env)
    assert (done.returncode, "safe.directory" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_a_data_folder_that_is_a_link_is_refused_before_anything_is_copied(tmp_path: Path) -> None:
    project = folder_with_params(tmp_path / "project")
    (project / ".dvc").mkdir()
    (tmp_path / "big disk").mkdir()
    (project / "data").mkdir()
    (project / "data/raw").symlink_to(tmp_path / "big disk")
    refused(project, "data/raw is a link to")
    (project / "data/raw").unlink()
    (project / "data").rmdir()
    (project / "data").symlink_to(tmp_path / "big disk")
    refused(project, "data is a link to")
