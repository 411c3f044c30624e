"""An address leads to its images, wherever it is; what cannot be read says why."""

import gzip
import http.server
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import fsspec
import pandas as pd
import pytest

from pipeline.sources.import_plan import ImportingError
from pipeline.sources.layout import SourceError
from pipeline.sources.source import below_common
from pipeline.storage.addresses import AddressError
from tests.fixtures.images import save_image
from tests.fixtures.sources import PETS, SPLIT_PETS, content, labels, read, take, tar_of, tree, write_files, zip_of

PETS_READ = [("cat", "1.jpg"), ("cat", "deep/2.JPG"), ("dog", "1.jpg")]


@pytest.fixture
def room(tmp_path: Path) -> Path:
    return tmp_path / "room"


def test_class_folders_are_read(tmp_path: Path, room: Path) -> None:
    folder = write_files(tmp_path / "pets", *PETS, "readme.txt", "cat/labels.xml", "cat/.hidden.jpg")
    save_image(folder / "dog" / "a.png").rename(folder / "dog" / "photo")
    items, left_aside, data = read(folder, room)
    assert labels(items) == [*PETS_READ, ("dog", "photo")]
    assert left_aside == 2
    assert data["cat/deep/2.JPG"] == content("cat/deep/2.JPG")


def test_split_folders_are_read(tmp_path: Path, room: Path) -> None:
    items, _, _ = read(write_files(tmp_path / "pets", *SPLIT_PETS), room)
    assert labels(items) == [("dog", "test/deep/1.jpg"), ("cat", "train/1.jpg"), ("cat", "val/1.jpg")]
    assert [item.split for item in items] == ["test", "train", "val"]


def test_a_folder_may_be_called_like_an_archive(tmp_path: Path, room: Path) -> None:
    assert labels(read(write_files(tmp_path / "a.zip", *PETS), room)[0]) == PETS_READ


def test_a_file_address_is_the_file(tmp_path: Path, room: Path) -> None:
    folder = write_files(tmp_path / "my pets", *PETS)
    assert labels(read(f"file://{folder}", room)[0]) == PETS_READ


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet"])
def test_a_table_names_files_relative_absolute_and_by_address(tmp_path: Path, room: Path, name: str) -> None:
    write_files(tmp_path / "pets", *PETS)
    with fsspec.open("memory://far/3.jpg", "wb") as file:
        file.write(b"far")
    table = pd.DataFrame(
        {
            "path": ["../pets/cat/1.jpg", str(tmp_path / "pets/dog/1.jpg"), f"file://{tmp_path}/pets/cat/deep/2.JPG"],
            "label": ["n/a", "dog", "n/a"],
            "split": ["train", "", "validation"],
        }
    )
    (tmp_path / "tables").mkdir()
    target = tmp_path / "tables" / name
    if name == "t.parquet":
        table.to_parquet(target)
    else:
        table.to_csv(target, index=False, sep="\t" if name == "t.tsv" else ",")
    items, left_aside, data = read(target, room)
    assert labels(items) == [("n/a", "cat/1.jpg"), ("dog", "dog/1.jpg"), ("n/a", "cat/deep/2.JPG")]
    assert [item.split for item in items] == ["train", "", "val"]
    assert list(data.values()) == [content("cat/1.jpg"), content("dog/1.jpg"), content("cat/deep/2.JPG")]
    assert left_aside == 0


def test_files_of_a_table_that_are_no_images_are_left_aside(tmp_path: Path, room: Path) -> None:
    write_files(tmp_path, "a.jpg", "b.txt")
    (tmp_path / "t.csv").write_text("path,label\na.jpg,x\nb.txt,x\n")
    items, left_aside, _ = read(tmp_path / "t.csv", room)
    assert (labels(items), left_aside) == ([("x", "a.jpg")], 1)


def test_missing_files_of_a_table_are_named_at_once(tmp_path: Path, room: Path) -> None:
    write_files(tmp_path, "a.jpg")
    (tmp_path / "t.csv").write_text("path,label\na.jpg,x\n" + "".join(f"{n}.jpg,x\n" for n in range(7)) + "..,x\n")
    with pytest.raises(SourceError, match=r"names 8 files that do not exist: 0\.jpg, .*4\.jpg and 3 more\. Paths are"):
        read(tmp_path / "t.csv", room)


def test_one_file_by_two_names_in_a_table_is_refused(tmp_path: Path, room: Path) -> None:
    write_files(tmp_path, "a.jpg")
    (tmp_path / "t.csv").write_text("path,label\na.jpg,x\n./a.jpg,y\n")
    with pytest.raises(SourceError, match=r"a\.jpg and \./a\.jpg are the same file"):
        read(tmp_path / "t.csv", room)


@pytest.mark.parametrize(
    ("places", "below"),
    [
        (["/a/b/1.jpg", "/a/c/2.jpg"], ["b/1.jpg", "c/2.jpg"]),
        (["/a/b/1.jpg"], ["1.jpg"]),
        (["/a/b/1.jpg", "/a/bc/1.jpg"], ["b/1.jpg", "bc/1.jpg"]),
        (["s3://x/1.jpg", "s3://y/1.jpg"], ["x/1.jpg", "y/1.jpg"]),
        (["/a/1.jpg", "s3://x/1.jpg"], ["file/a/1.jpg", "s3/x/1.jpg"]),
        (["https://x/a%20b/1.jpg", "https://x/2.jpg"], ["a b/1.jpg", "2.jpg"]),
        (["/a/.b/1.jpg", "/a/2%2F.jpg"], ["%2Eb/1.jpg", "2%2F.jpg"]),
        ([], []),
    ],
)
def test_files_keep_the_folders_below_their_common_one(places: list[str], below: list[str]) -> None:
    assert below_common(places) == dict(zip(places, below, strict=True))


@pytest.mark.parametrize(
    ("name", "match"),
    [
        (
            "none",
            r"none does not exist\. A source must be a folder with .* class, a table .*, an archive .* or the labels",
        ),
        ("notes.txt", "notes.txt is neither a table nor an archive. A source must be"),
        ("picture.jpg", "picture.jpg is neither a table nor an archive. A source must be"),
        ("fake.zip", "fake.zip has an archive's name, but its content is not a zip or tar file"),
        ("fake.tar.gz", "fake.tar.gz has an archive's name, but its content is not a zip or tar file"),
        ("empty.zip", "empty.zip has an archive's name"),
        ("pipe", "pipe is neither a file nor a folder"),
        ("stray", r"2 images are directly in .*stray: 1\.jpg, 2\.jpg"),
    ],
)
@pytest.mark.timeout(10)
def test_what_is_no_source_says_what_is_expected(tmp_path: Path, room: Path, name: str, match: str) -> None:
    write_files(tmp_path, "notes.txt", "picture.jpg", "fake.zip", "fake.tar.gz", "stray/1.jpg", "stray/2.jpg")
    (tmp_path / "empty.zip").touch()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match=match):
        read(tmp_path / name, room)


def test_a_gzip_without_a_tar_in_it_is_explained(tmp_path: Path, room: Path) -> None:
    (tmp_path / "notes.gz").write_bytes(gzip.compress(b"no tar file " * 100))
    with pytest.raises(SourceError, match=r"notes\.gz is damaged or truncated"):
        read(tmp_path / "notes.gz", room)


# Other machines: memory, an HTTP server and an S3 server, the last two real ones on this machine.


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[str]:
    """The address of an empty folder in memory."""
    address = f"memory://{tmp_path.name}"
    yield address
    fs, path = fsspec.core.url_to_fs(address)
    if fs.exists(path):
        fs.rm(path, recursive=True)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of an HTTP server and the folder that it shows."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


@pytest.fixture(params=["memory", "s3"])
def far(request: pytest.FixtureRequest) -> str:
    """An address on another machine where tests may write."""
    return str(request.getfixturevalue("memory" if request.param == "memory" else "bucket"))


def upload(address: str, data: bytes) -> None:
    with fsspec.open(address, "wb") as file:
        file.write(data)


def test_far_class_folders_are_read(far: str, room: Path, tmp_path: Path) -> None:
    for name in (*PETS, "notes.txt", "cat/.hidden.jpg", "empty"):
        upload(f"{far}/pets/{name}", content(name) if name != "empty" else b"")
    upload(f"{far}/pets/dog/photo", save_image(tmp_path / "a.png").read_bytes())
    for address in (f"{far}/pets", f"{far}/pets/"):
        items, left_aside, data = read(address, room)
        assert labels(items) == [*PETS_READ, ("dog", "photo")]
        assert left_aside == 2
        assert data["cat/1.jpg"] == content("cat/1.jpg")
        assert all(item.file.bytes and (item.file.modified_ns or "memory" in far) for item in items)


def test_far_split_folders_are_read(far: str, room: Path) -> None:
    for name in SPLIT_PETS:
        upload(f"{far}/{name}", content(name))
    assert sorted(item.split for item in read(far, room)[0]) == ["test", "train", "val"]


def test_far_archives_are_read(far: str, room: Path, tmp_path: Path) -> None:
    for file in (zip_of(tmp_path / "p.zip", *PETS), tar_of(tmp_path / "p.tar.gz", *PETS)):
        upload(f"{far}/{file.name}", file.read_bytes())
        items, _, data = read(f"{far}/{file.name}", room)
        assert labels(items) == PETS_READ
        assert data == {name: content(name) for name in PETS}


def test_a_far_archive_over_the_limit_is_not_fetched(far: str, room: Path, tmp_path: Path) -> None:
    upload(f"{far}/p.tar", tar_of(tmp_path / "p.tar", *PETS).read_bytes())
    with pytest.raises(SourceError, match=r"p\.tar is larger than 1e-06 GB.*--max-gb"):
        read(f"{far}/p.tar", room, max_bytes=1000)


def test_a_far_table_is_read(far: str, room: Path) -> None:
    for name in PETS:
        upload(f"{far}/pets/{name}", content(name))
    upload(f"{far}/tables/t.csv", f"path,label\n../pets/cat/1.jpg,x\n{far}/pets/dog/1.jpg,y\n".encode())
    items, _, data = read(f"{far}/tables/t.csv", room)
    assert labels(items) == [("x", "cat/1.jpg"), ("y", "dog/1.jpg")]
    assert data["../pets/cat/1.jpg"] == content("cat/1.jpg")
    upload(f"{far}/tables/t.csv", b"path,label\n../pets/cat/1.jpg,x\nnone.jpg,y\n")
    with pytest.raises(SourceError, match=r"names 1 files that do not exist: none\.jpg"):
        read(f"{far}/tables/t.csv", room)
    upload(f"{far}/tables/t.csv", b"path,label\n/etc/passwd,x\n")
    with pytest.raises(SourceError, match=r"is not on this machine but contains the absolute path /etc/passwd"):
        read(f"{far}/tables/t.csv", room)


def test_a_web_servers_folder_table_and_archives_are_read(web: tuple[str, Path], room: Path, tmp_path: Path) -> None:
    address, folder = web
    write_files(folder / "my pets", *PETS, "cat/a b.jpg", "notes.txt")
    items, left_aside, data = read(f"{address}/my%20pets/", room)
    assert labels(items) == [("cat", "1.jpg"), ("cat", "a b.jpg"), ("cat", "deep/2.JPG"), ("dog", "1.jpg")]
    assert (left_aside, data["cat/a b.jpg"]) == (1, content("cat/a b.jpg"))
    for file in (zip_of(folder / "p.zip", *PETS), tar_of(folder / "p.tgz", *PETS)):
        assert labels(read(f"{address}/{file.name}", room)[0]) == PETS_READ
    (folder / "t.csv").write_text("path,label\nmy pets/cat/1.jpg,x\nmy pets/dog/1.jpg,y\n")
    items, _, data = read(f"{address}/t.csv", room)
    assert labels(items) == [("x", "cat/1.jpg"), ("y", "dog/1.jpg")]
    assert data["my pets/dog/1.jpg"] == content("dog/1.jpg")


def test_bytes_whose_number_no_server_told_are_counted_as_they_are_written(
    web: tuple[str, Path], tmp_path: Path
) -> None:
    address, folder = web
    write_files(folder / "pets", *PETS)
    with pytest.raises(ImportingError, match=r"The images are more than 20 bytes\. The images copied so far stay"):
        take(f"{address}/pets/", tmp_path, max_gb=2e-8)
    assert sum(map(len, tree(tmp_path / "data").values())) <= 20
    assert take(f"{address}/pets/", tmp_path).total == {"cat": 2, "dog": 1}
    assert take(f"{address}/pets/", tmp_path).there == {"cat": 2, "dog": 1}


def test_images_come_from_a_bucket_once(bucket: str, tmp_path: Path) -> None:
    for name in SPLIT_PETS:
        upload(f"{bucket}/{name}", content(name))
    assert take(bucket, tmp_path).new == {"cat": 2, "dog": 1}
    image = tmp_path / "data" / "raw" / "cat" / "val" / "1.jpg"
    assert image.read_bytes() == content("valid/cat/1.jpg")
    assert time.time() - 600 < image.stat().st_mtime < time.time()  # the bucket's time
    assert take(bucket, tmp_path).there == {"cat": 2, "dog": 1}
    upload(f"{bucket}/valid/cat/1.jpg", content("Valid/cat/1.jpg"))  # changed, of the same size
    with pytest.raises(ImportingError, match=r"1 images would replace others of the same name: cat/val/1\.jpg"):
        take(bucket, tmp_path)
    assert take(bucket, tmp_path, replace=True).replaced == {"cat": 1}
    assert image.read_bytes() == content("Valid/cat/1.jpg")


def test_what_a_server_refuses_is_said_in_words(web: tuple[str, Path], bucket: str, memory: str, room: Path) -> None:
    missing = [f"{web[0]}/none.zip", f"{web[0]}/none/", "http://127.0.0.1:1/p.zip", f"{memory}/none"]
    missing += [f"{bucket}-missing/pets", f"{bucket}/none"]
    for address in missing:
        with pytest.raises(AddressError, match=rf"{address} does not exist, or its server does not answer .*Check the"):
            read(address, room)
    with pytest.raises(AddressError, match="does not exist"):
        read(f"{bucket}-missing", room)


def test_missing_credentials_are_said_in_words(bucket: str, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    type(fsspec.filesystem("s3")).clear_instance_cache()
    with pytest.raises(AddressError, match=r"(?i)credentials.*AWS_ACCESS_KEY_ID"):
        read(f"{bucket}/pets", room)


@pytest.mark.parametrize(
    ("address", "match"),
    [
        ("nonsense://x/y", "nonsense://x/y cannot be opened: Protocol not known: nonsense. Use, for example, s3"),
        ("zip://a::s3://b/c.zip", "addresses chained with `::` are not supported"),
    ],
)  # fmt: skip
def test_an_address_that_nothing_opens_is_refused(address: str, match: str, room: Path) -> None:
    with pytest.raises(AddressError, match=match):
        read(address, room)


@pytest.mark.parametrize(
    ("package", "address", "match"),
    [("s3fs", "s3://b/c", r"pip install 'nightshift\[s3\]'"), ("gcsfs", "gs://b/c", r"gcsfs.*Install it")],
)
def test_a_missing_package_is_named(package: str, address: str, match: str, tmp_path: Path) -> None:
    # A fresh Python in which the package cannot be imported, as where it is not installed.
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from pathlib import Path\n"
        "from pipeline.core.command import run\n"
        "from pipeline.sources.open import open_source\n"
        f"sys.exit(run(lambda: open_source({address!r}, Path('.'), 1).__enter__()))"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert f"Error: {address}: reading {address.split(':')[0]}:// needs a package" in done.stderr
    assert re.search(match, done.stderr)
    assert tree(tmp_path) == {}
