"""Whether a registered model was made with an image, by content: exact bytes, never a look-alike."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from pipeline.core.errors import NightshiftError
from pipeline.registry import champions, versions
from pipeline.registry.versions import Registered
from pipeline.storage.files import sha256_of_file
from pipeline.storage.listing import list_images

UNSEEN = "no"


class SeenError(NightshiftError):
    """A path, or a version, cannot be looked up; names it."""


def seen(name: str, paths: list[Path], version: int | None = None) -> tuple[Registered, list[tuple[Path, str]]]:
    """The version asked about (None: the champion), and for each image below `paths` its split in it, or `no`.

    Raises SeenError for a path that is no file or folder or cannot be read, and for a version that is not there or
    does not record its images.
    """
    files = list(files_below(paths))
    model = champions.champion(name) if version is None else champions.numbered(name, version)
    with tempfile.TemporaryDirectory() as folder:
        table = versions.fetch_training_images(model, Path(folder))
    if table is None:
        raise SeenError(
            f"{name} version {model.version} does not record its images: it was registered by an earlier Nightshift. "
            "Ask about another with --version."
        )
    return model, look_up(files, table)


def files_below(paths: list[Path]) -> Iterator[Path]:
    """Each path that is a file, and the images of each that is a folder. Raises SeenError for what is neither."""
    for path in paths:
        if path.is_dir():
            found = [path / listed.path for listed in list_images(path)]
            if not found:
                raise SeenError(f"{path} holds no images (files with an image's extension or first bytes).")
            yield from found
        elif path.is_file():
            yield path
        else:
            what = "is neither a file nor a folder" if path.exists() else "does not exist"
            raise SeenError(f"{path} {what}. Name images, or folders of images.")


def look_up(files: list[Path], table: pd.DataFrame) -> list[tuple[Path, str]]:
    """For each file the split in which its content was (train, val, test), or `no`. Raises SeenError."""
    split_of = dict(zip(table["sha256"], table["split"], strict=True))
    answers = []
    for file in files:
        try:
            answers.append((file, split_of.get(sha256_of_file(file), UNSEEN)))
        except OSError as error:
            raise SeenError(f"{file} cannot be read: {error.strerror}.") from error
    return answers
