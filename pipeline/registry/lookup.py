"""What a registered model knows of an image: its split, if any, and the training images most like it.

It looks up the split by exact content, never by similarity. Trains nothing.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import RAW
from pipeline.images.decode import UnreadableImage, decode
from pipeline.params.data import Images
from pipeline.params.model import Compute
from pipeline.registry import champions, versions
from pipeline.registry.versions import Registered
from pipeline.storage.files import replacing, sha256_of_file
from pipeline.storage.listing import list_images

if TYPE_CHECKING:
    import pandas as pd

UNSEEN = "none"


class ImageLookupError(NightshiftError):
    """An image, or a version, cannot be looked up; names it and says why."""


def seen(name: str, paths: list[Path], version: int | None = None) -> tuple[Registered, list[tuple[Path, str]]]:
    """The version (None: the champion), and for each image below `paths` its split in that version, or `none`.

    Raises ImageLookupError for a path that cannot be read, and for a version that does not record its images;
    NightshiftError for a version that does not exist.
    """
    files = list(files_below(paths))
    model = _asked_about(name, version)
    with tempfile.TemporaryDirectory() as folder:
        table = versions.fetch_training_images(model, Path(folder))
    if table is None:
        raise ImageLookupError(
            f"{name} version {model.version} does not record its images: it was registered by an earlier Nightshift. "
            "Choose another with --version."
        )
    return model, look_up(files, table)


def _asked_about(name: str, version: int | None) -> Registered:
    return champions.champion(name) if version is None else champions.numbered(name, version)


def files_below(paths: list[Path]) -> Iterator[Path]:
    """Each path that is a file, and the images of each that is a folder. Raises ImageLookupError for the rest."""
    for path in paths:
        if path.is_dir():
            found = [path / listed.path for listed in list_images(path)]
            if not found:
                raise ImageLookupError(f"{path} contains no image files (by extension or content). Check the path.")
            yield from found
        elif path.is_file():
            yield path
        else:
            what = "is neither a file nor a folder" if path.exists() else "does not exist"
            raise ImageLookupError(f"{path} {what}. Give images, or folders of images.")


def look_up(files: list[Path], table: "pd.DataFrame") -> list[tuple[Path, str]]:
    """For each file the split in which its content was (train, val, test), or `none`. Raises ImageLookupError."""
    split_of = dict(zip(table["sha256"], table["split"], strict=True))
    answers = []
    for file in files:
        try:
            answers.append((file, split_of.get(sha256_of_file(file), UNSEEN)))
        except OSError as error:
            raise ImageLookupError(f"{file} cannot be read: {error.strerror}.") from error
    return answers


@dataclass(frozen=True, slots=True)
class Alike:
    """A training image, below data/raw, and its cosine distance: 0, the same, to 2."""

    path: str
    label: str
    distance: float


@dataclass(frozen=True, slots=True)
class Likeness:
    """A model's answer to an image, and the nearest training images."""

    model: Registered
    images: Images
    label: str
    confidence: float
    unsure: tuple[str, ...]  # the flags why, as in predictions.csv; none: the answer is `ok`
    outlier_score: float
    outlier_above: float
    nearest: tuple[Alike, ...]  # the nearest first


def similar(name: str, image: Path, count: int, compute: Compute, version: int | None = None) -> Likeness:
    """The answer of `version` (None: the champion) to `image`, and the `count` training images nearest to it.

    A model keeps 5,000 training images at most. Raises ImageLookupError for a file that is not an image, and for a
    model that keeps none.
    """
    import numpy as np

    from pipeline.model.doubt import reasons
    from pipeline.model.engine import load_engine
    from pipeline.model.nearest import Nearest
    from pipeline.model.reference import read_reference

    try:
        data = image.read_bytes()
    except OSError as error:
        raise ImageLookupError(f"{image} cannot be read: {error.strerror}.") from error
    model = _asked_about(name, version)
    with tempfile.TemporaryDirectory() as room:
        folder = versions.fetch_model(model, Path(room))
        engine = load_engine(folder, compute, embedding=True)
        reference = read_reference(folder, engine.contract)
    if reference is None:
        raise ImageLookupError(
            f"{name} version {model.version} keeps no training images to compare with: it was registered by an earlier "
            "Nightshift. Train again, or choose another with --version."
        )
    try:
        picture = decode(data, engine.contract.images)
    except UnreadableImage as error:
        raise ImageLookupError(f"{image} is unreadable: {error}.") from None
    probabilities, embedding = engine.judge(picture.pixels[np.newaxis])
    rows, distances = (found[0] for found in Nearest(reference.embeddings, count)(embedding))
    about, best = reference.about, int(probabilities[0].argmax())
    confidence, score = float(probabilities[0, best]), float(reference.scores(embedding)[0])
    return Likeness(
        model=model,
        images=engine.contract.images,
        label=engine.contract.class_names[best],
        confidence=confidence,
        unsure=reasons(confidence, score, engine.contract),
        outlier_score=score,
        outlier_above=reference.outlier_above,
        nearest=tuple(
            Alike(about.paths[row], about.labels[row], float(distance))
            for row, distance in zip(rows, distances, strict=True)
        ),
    )


def draw(image: Path, found: Likeness, file: Path) -> None:
    """Draw the image and the training images nearest to it, side by side; missing ones are grey."""
    import numpy as np

    from pipeline.evaluation.contact_sheets import Cell, draw_sheet

    grey = np.full((found.images.height, found.images.width, 3), 200, np.uint8)
    answer = f"{found.label} {found.confidence:.0%}"
    cells = [Cell(decode(image.read_bytes(), found.images).pixels, answer, False, image.name)]
    for alike in found.nearest:
        try:
            pixels = decode((RAW / alike.path).read_bytes(), found.images).pixels
        except (OSError, UnreadableImage):
            pixels = grey
        name = Path(alike.path).name
        cells.append(Cell(pixels, f"{alike.label}\n{alike.distance:.3f} away", alike.label != found.label, name))
    with replacing(file) as beside:
        draw_sheet(cells).savefig(beside)
