"""Sources of labelled images for tests: each file's content is its own name, so that no two are alike."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pipeline.sources.copy import Imported, import_from
from pipeline.sources.folders import Item
from pipeline.sources.open import open_source

PETS = ("cat/1.jpg", "cat/deep/2.JPG", "dog/1.jpg")
SPLIT_PETS = ("train/cat/1.jpg", "valid/cat/1.jpg", "Testing/dog/deep/1.jpg")


def content(name: str) -> bytes:
    return b"image " + name.encode()


def write_files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content(name))
    return folder


def zip_of(file: Path, *names: str) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name in names:
            zipped.writestr(name, content(name))
    return file


def tar_of(file: Path, *names: str, links: Mapping[str, str] | None = None, kind: bytes = tarfile.SYMTYPE) -> Path:
    """A tar file, packed as its ending says; `links` lead from a member to a target."""
    ending = file.suffix.removeprefix(".").replace("tgz", "gz").replace("tar", "")
    with tarfile.open(file, f"w:{ending}") as tar:  # type: ignore[call-overload]
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(content(name))
            tar.addfile(info, io.BytesIO(content(name)))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    return file


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too, with its bytes."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def take(source: Path | str, project: Path, **options: object) -> Imported:
    """Import into a project's data/raw."""
    return import_from(str(source), project / "data" / "raw", **options)  # type: ignore[arg-type]


def read(source: Path | str, room: Path, max_bytes: int = 10**9) -> tuple[list[Item], int, dict[str, bytes]]:
    """The items of a source, how many other files there are, and each item's bytes by its path in the source."""
    room.mkdir(exist_ok=True)
    with open_source(str(source), room, max_bytes) as opened:
        read_all = {item.file.path: data for item, data in opened.visit(opened.items, lambda _, file: file.read())}
        return list(opened.items), opened.left_aside, read_all


def labels(items: list[Item]) -> list[tuple[str, str]]:
    return [(item.label, item.below) for item in items]
