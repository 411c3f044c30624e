"""Zip and tar files: every image with its bytes; nothing hostile gets in; damage is said in words."""

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import NightshiftError
from pipeline.sources.archives import Archive
from pipeline.sources.copy import ImportingError
from pipeline.sources.layout import SourceError
from tests.fixtures.images import save_image
from tests.fixtures.sources import PETS, SPLIT_PETS, content, labels, read, take, tar_of, tree, zip_of

ENDINGS = ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"]


def pack(file: Path, *names: str) -> Path:
    return zip_of(file, *names) if file.suffix == ".zip" else tar_of(file, *names)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("prefix", ["", "./", "pets/"])
def test_an_archive_of_class_folders_is_read(tmp_path: Path, ending: str, prefix: str) -> None:
    junk = ["__MACOSX/cat/._1.jpg", f"{prefix}cat/.DS_Store", f"{prefix}cat/.1.jpg", f"{prefix}notes.txt"]
    file = pack(tmp_path / f"p.{ending}", *(prefix + name for name in PETS), *junk)
    items, left_aside, data = read(file, tmp_path / "room")
    assert labels(items) == [("cat", "1.jpg"), ("cat", "deep/2.JPG"), ("dog", "1.jpg")]
    assert left_aside == 1
    assert data == {name: content(prefix + name) for name in PETS}


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_an_archive_of_splits_is_read(tmp_path: Path, ending: str) -> None:
    items, _, _ = read(pack(tmp_path / f"p.{ending}", *(f"pets/{name}" for name in SPLIT_PETS)), tmp_path / "room")
    assert [(item.label, item.split) for item in items] == [("cat", "train"), ("cat", "val"), ("dog", "test")]


@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_what_an_archive_is_called_does_not_matter(tmp_path: Path, ending: str) -> None:
    file = pack(tmp_path / f"p.{ending}", *PETS).rename(tmp_path / "download")
    assert len(read(file, tmp_path / "room")[0]) == 3


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_an_image_without_an_images_name_is_known_by_its_first_bytes(tmp_path: Path, ending: str) -> None:
    picture = save_image(tmp_path / "a.png").read_bytes()
    file = tmp_path / f"p.{ending}"
    if ending == "zip":
        with zipfile.ZipFile(file, "w") as zipped:
            zipped.writestr("cat/photo", picture)
    else:
        with tarfile.open(file, "w:gz") as tar:
            info = tarfile.TarInfo("cat/photo")
            info.size = len(picture)
            tar.addfile(info, io.BytesIO(picture))
    assert read(file, tmp_path / "room")[2] == {"cat/photo": picture}


HOSTILE = ["/etc/1.jpg", "../1.jpg", "cat/../../1.jpg", "cat/..", "C:/1.jpg", "..\\1.jpg"]


@pytest.mark.parametrize("name", [*HOSTILE, "C:\\1.jpg"])
def test_a_zip_with_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=r"evil\.zip is refused: its member '.*' leads out") as caught:
        take(zip_of(tmp_path / "evil.zip", *PETS, name), tmp_path)
    assert name.replace("\\", "/") in str(caught.value)
    assert os.listdir(tmp_path / "data") == []


@pytest.mark.parametrize("name", HOSTILE[:4])
def test_a_tar_with_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=rf"evil\.tar is refused: its member '{name}' leads out"):
        take(tar_of(tmp_path / "evil.tar", *PETS, name), tmp_path)
    assert os.listdir(tmp_path / "data") == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE], ids=["symbolic", "hard"])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret.jpg", "a/../../../secret.jpg"])
def test_a_link_that_leads_out_refuses_the_archive(tmp_path: Path, kind: bytes, target: str) -> None:
    file = tar_of(tmp_path / "evil.tar", *PETS, links={"cat/link.jpg": target}, kind=kind)
    with pytest.raises(SourceError, match=rf"member 'cat/link.jpg' leads out of the archive \(to '{target}'\)"):
        take(file, tmp_path)
    assert os.listdir(tmp_path / "data") == []


def test_a_zipped_link_that_leads_out_refuses_the_archive(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("cat/link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as zipped:
        zipped.writestr(link, "../../secret.jpg")
    with pytest.raises(SourceError, match="member 'cat/link.jpg' leads out"):
        take(tmp_path / "evil.zip", tmp_path)


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
@pytest.mark.parametrize(
    ("kind", "to"), [(tarfile.SYMTYPE, "../cat/1.jpg"), (tarfile.LNKTYPE, "cat/1.jpg")], ids=["symbolic", "hard"]
)
def test_links_within_an_archive_are_followed(tmp_path: Path, ending: str, kind: bytes, to: str) -> None:
    links = {"dog/again.jpg": to, "dog/none.jpg": "nowhere.jpg", "dog/round.jpg": "round.jpg"}
    _, left_aside, data = read(tar_of(tmp_path / f"p.{ending}", *PETS, links=links, kind=kind), tmp_path / "room")
    assert data == {**{name: content(name) for name in PETS}, "dog/again.jpg": content("cat/1.jpg")}
    assert left_aside == 2


def test_pipes_and_devices_in_a_tar_are_never_made(tmp_path: Path) -> None:
    file = tar_of(tmp_path / "p.tar", *PETS, links={"cat/pipe.jpg": ""}, kind=tarfile.FIFOTYPE)
    assert sorted(read(file, tmp_path / "room")[2]) == sorted(PETS)


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_the_last_of_two_members_with_one_name_counts(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"p.{ending}"
    if ending == "zip":
        with zipfile.ZipFile(file, "w") as zipped:
            zipped.writestr("cat/1.jpg", b"old")
            with pytest.warns(UserWarning, match="Duplicate"):
                zipped.writestr("cat/1.jpg", b"newer")
    else:
        with tarfile.open(file, "w:gz") as tar:
            for data in (b"old", b"newer"):
                info = tarfile.TarInfo("cat/1.jpg")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    assert read(file, tmp_path / "room")[2] == {"cat/1.jpg": b"newer"}


def test_a_bomb_in_a_zip_writes_no_more_than_the_limit(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("cat/1.jpg", bytes(5_000_000))
    assert (tmp_path / "bomb.zip").stat().st_size < 10_000
    with pytest.raises(ImportingError, match=r"images are 5 MB; the limit is 1 MB.*--max-gb"):
        take(tmp_path / "bomb.zip", tmp_path, max_gb=0.001)
    assert os.listdir(tmp_path / "data") == []


def test_a_zip_that_lies_about_a_size_writes_no_more_than_it_said(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("cat/1.jpg", bytes(5_000_000))
    data = (tmp_path / "p.zip").read_bytes()
    (tmp_path / "p.zip").write_bytes(data.replace(struct.pack("<I", 5_000_000), struct.pack("<I", 10)))
    with pytest.raises(SourceError, match="damaged"):
        take(tmp_path / "p.zip", tmp_path)
    assert tree(tmp_path / "data") == {}


def test_a_bomb_in_a_tar_is_not_unpacked_to_see_what_follows(tmp_path: Path) -> None:
    header = tarfile.TarInfo("notes.txt")
    header.size = 8_000_000_000  # the content itself is not even there
    with gzip.open(tmp_path / "bomb.tar.gz", "wb") as packed:
        packed.write(header.tobuf())
    with pytest.raises(SourceError, match=r"unpacks to more than 1 GB\. .*--max-gb"):
        take(tmp_path / "bomb.tar.gz", tmp_path, max_gb=1)


def test_a_header_that_claims_gigabytes_is_not_read_into_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 4_000_000_000
    (tmp_path / "bomb.tar").write_bytes(header.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    with pytest.raises(SourceError, match="damaged"):
        take(tmp_path / "bomb.tar", tmp_path)


def test_an_encrypted_zip_is_explained(tmp_path: Path) -> None:
    data = bytearray(zip_of(tmp_path / "p.zip", "cat/1.jpg").read_bytes())
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flags of the member, in both of its headers
        data[data.index(mark) + place] |= 1
    (tmp_path / "p.zip").write_bytes(data)
    with pytest.raises(SourceError, match=r"is encrypted \(its member 'cat/1.jpg'\)\. Unpack it by hand"):
        take(tmp_path / "p.zip", tmp_path)


def test_an_unknown_compression_is_explained(tmp_path: Path) -> None:
    data = bytearray(zip_of(tmp_path / "p.zip", "cat/1.jpg").read_bytes())
    for mark, place in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        data[data.index(mark) + place] = 97
    (tmp_path / "p.zip").write_bytes(data)
    with pytest.raises(SourceError, match="cannot be unpacked: .*compression.*Unpack it by hand"):
        take(tmp_path / "p.zip", tmp_path)
    assert tree(tmp_path / "data") == {}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_an_archive_that_was_cut_short_is_explained(tmp_path: Path, ending: str, share: float) -> None:
    names = [f"cat/{number}.jpg" for number in range(30)]
    whole = pack(tmp_path / f"p.{ending}", *names).read_bytes()
    data = whole if ending != "tar" else whole[: 30 * 1024 + 512]
    (tmp_path / f"p.{ending}").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SourceError, match="is damaged or truncated: "):
        take(tmp_path / f"p.{ending}", tmp_path)
    assert tree(tmp_path / "data") == {}


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz"])
def test_a_damaged_archive_is_explained_and_leaves_no_half_image(tmp_path: Path, ending: str) -> None:
    names = [f"cat/{number}.jpg" for number in range(30)]
    file = pack(tmp_path / f"p.{ending}", *names)
    data = bytearray(file.read_bytes())
    middle = data.index(b"PK\1\2") // 2 if ending == "zip" else len(data) // 2 if ending == "tar.gz" else 15 * 1024
    data[middle : middle + 40] = b"\xaa" * 40
    file.write_bytes(data)
    with pytest.raises(SourceError, match="is damaged or truncated: "):
        take(file, tmp_path)
    for name, image in tree(tmp_path / "data").items():
        assert image == content(name.removeprefix("raw/"))


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whatever_is_damaged_is_an_image_less_or_words(
    tmp_path_factory: pytest.TempPathFactory, ending: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    file = pack(folder / f"p.{ending}", *PETS, "cat/unknown")
    damaged = bytearray(file.read_bytes())
    for place, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255)), max_size=4)
    ):
        damaged[place] = byte
    file.write_bytes(damaged)
    with suppress(NightshiftError):
        read(file, folder / "room")


def test_a_name_that_is_no_text_is_damage(tmp_path: Path) -> None:
    data = zip_of(tmp_path / "p.zip", "cat/é.jpg").read_bytes()
    (tmp_path / "p.zip").write_bytes(data.replace("é".encode(), b"\xff\xff"))
    with pytest.raises(SourceError, match="damaged"):
        take(tmp_path / "p.zip", tmp_path)


def test_a_member_without_a_name_is_damage(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as zipped:
        zipped.writestr(zipfile.ZipInfo("."), b"x")
    with pytest.raises(SourceError, match="a member has no name"):
        take(tmp_path / "p.zip", tmp_path)


def test_members_are_read_in_the_order_of_the_archive(tmp_path: Path) -> None:
    names = ["b/2.jpg", "a/1.jpg", "c/3.jpg"]
    with tar_of(tmp_path / "p.tar.gz", *names).open("rb") as file:
        archive = Archive("p", file, 10**9)
        read_in_order = [item.file.path for item, _ in archive.visit(sorted(archive.items, key=str), lambda *_: None)]
    assert read_in_order == names
