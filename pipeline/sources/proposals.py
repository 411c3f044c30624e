"""A table of proposed labels for a folder of images, for a person to check. Knows no model.

`nightshift data import` reads it.
"""

import csv
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.cells import guarded
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.terminal import progress_bar
from pipeline.core.text import shown
from pipeline.night.reading import Decoded, Reading, read_images
from pipeline.night.rows import Unreadable
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.storage.files import replacing
from pipeline.storage.folders import folder_at
from pipeline.storage.listing import list_images

PROPOSAL_COLUMNS = ("path", "label", "confidence", "label_2", "confidence_2")
BATCH_SIZE = 32
NAMED = 20  # unreadable files, in the warning


@dataclass(frozen=True, slots=True)
class Proposer:
    """A loaded model that proposes labels."""

    labels: tuple[str, ...]  # two or more
    images: Images  # how it takes images
    judge: Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # (n, height, width, 3) -> probabilities (n, labels)


def paths_to_label(folder: Path, table: Path) -> list[str]:
    """The images in `folder`, in listing order; call it before a model is loaded.

    Raises NightshiftError when there are none, or when `table` exists: a person may have corrected it.
    """
    if table.exists():
        raise NightshiftError(f"{table} exists, and may hold labels that somebody has checked. Name another file.")
    paths = [listed.path for listed in list_images(folder)]
    if not paths:
        raise NightshiftError(f"{folder} contains no image files (by extension or content). Check the path.")
    return paths


def write_proposals(folder: Path, paths: list[str], table: Path, proposer: Proposer, params: Params) -> dict[str, int]:
    """Write `table`, a row for each readable image; returns the number of images per label, also where it is 0.

    The paths are absolute, for `nightshift data import`. A warning names the unreadable files, which have no row.
    """
    reading = Reading(params.compute.threads, 2 * BATCH_SIZE, params.batch.file_timeout)
    reads = read_images(folder_at(folder), paths, proposer.images, reading)
    counts = dict.fromkeys(proposer.labels, 0)
    unreadable: list[str] = []

    def readable() -> Iterator[Decoded]:
        for read in progress_bar(reads, "label", total=len(paths), unit="image"):
            match read:
                case Decoded():
                    yield read
                case Unreadable(path, error):
                    unreadable.append(f"{shown(path)} ({error})")

    with replacing(table) as beside, beside.open("w", encoding="utf-8", newline="", errors="surrogateescape") as out:
        writer = csv.writer(out)
        writer.writerow(PROPOSAL_COLUMNS)
        found = readable()
        while batch := list(itertools.islice(found, BATCH_SIZE)):
            answers = proposer.judge(np.stack([read.picture.pixels for read in batch]))
            for read, answer in zip(batch, answers, strict=True):
                first, second = np.argsort(-answer, kind="stable")[:2]
                counts[proposer.labels[first]] += 1
                best = [
                    text for rank in (first, second) for text in (guarded(proposer.labels[rank]), f"{answer[rank]:.4f}")
                ]
                writer.writerow([folder.absolute() / read.path, *best])
    if unreadable:
        log.warning(
            "%d files could not be read and have no row: %s%s",
            len(unreadable), ", ".join(unreadable[:NAMED]), ", ..." if len(unreadable) > NAMED else "",
        )  # fmt: skip
    return counts
