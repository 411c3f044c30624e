"""Files that exports write: whole or not at all, and never over a file that an export has not written as it is.

`.nightshift/exports.json` has the SHA-256 of what exports wrote, by file.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from pydantic import BaseModel

from pipeline.core.errors import NightshiftError
from pipeline.core.text import shown
from pipeline.storage.files import read_json, replacing, sha256_of_file, write_json

WRITTEN = Path(".nightshift/exports.json")
KEPT = 3  # hashes of a file: the last ones


class ExportError(NightshiftError):
    """Nothing can be exported; the message says why, and what to do."""


class _Written(BaseModel):
    """What exports have written."""

    files: dict[str, list[str]] = {}


def write_files(files: Mapping[Path, Iterator[str]], project: Path) -> None:
    """Write all files, then rename them: a file is there whole or not at all. Raises ExportError for another's file."""
    record = _record(project)
    keys = {file: _key(file, project) for file in files}
    for file, key in keys.items():
        if file.is_dir():
            raise ExportError(f"{shown(str(file))} is a folder. Move it away, or name another place.")
        if file.exists() and sha256_of_file(file) not in record.files.get(key, []):
            raise ExportError(
                f"{shown(str(file))} is not as an export wrote it: it is another's file, or was changed. Move it away, "
                "or name another place; nothing was written."
            )
    with ExitStack() as stack:
        for file, pieces in files.items():
            found = hashlib.sha256()
            with stack.enter_context(replacing(file)).open("wb") as written:
                for piece in pieces:
                    found.update(data := piece.encode())
                    written.write(data)
            record.files[keys[file]] = [*record.files.get(keys[file], []), found.hexdigest()][-KEPT:]
        write_json(project / WRITTEN, record.model_dump())  # first: what is renamed after it is known as ours


def _record(project: Path) -> _Written:
    try:
        return _Written.model_validate(read_json(project / WRITTEN))
    except (FileNotFoundError, ValueError):
        return _Written()


def _key(file: Path, project: Path) -> str:
    """The file's path below the project, which may move; of others the whole path."""
    place, root = file.absolute(), project.absolute()
    return str(place.relative_to(root)) if place.is_relative_to(root) else str(place)
