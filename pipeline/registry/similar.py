"""The training images that a model sees as most like another image: what its answer may rest on. Trains nothing."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.errors import NightshiftError
from pipeline.core.paths import RAW
from pipeline.images.decode import UnreadableImage, decode
from pipeline.model.engine import load_engine
from pipeline.model.nearest import Nearest
from pipeline.model.reference import read_reference
from pipeline.params.data import Images
from pipeline.params.model import Compute
from pipeline.registry import champions, versions
from pipeline.registry.versions import Registered
from pipeline.storage.files import replacing


class SimilarError(NightshiftError):
    """An image cannot be compared; says why."""


@dataclass(frozen=True, slots=True)
class Alike:
    """A training image, below data/raw, and its cosine distance: 0, the same, to 2."""

    path: str
    label: str
    distance: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a model makes of an image."""

    model: Registered
    images: Images
    label: str
    confidence: float
    outlier_score: float
    outlier_above: float
    nearest: tuple[Alike, ...]  # the nearest first


def similar(name: str, image: Path, count: int, compute: Compute, version: int | None = None) -> Found:
    """What version (None: the champion) says of `image`, and the `count` training images nearest to it.

    A model keeps 5,000 training images at most. Raises SimilarError for a file that is no image, and for a model that
    keeps none.
    """
    try:
        data = image.read_bytes()
    except OSError as error:
        raise SimilarError(f"{image} cannot be read: {error.strerror}.") from error
    model = champions.champion(name) if version is None else champions.numbered(name, version)
    with tempfile.TemporaryDirectory() as room:
        folder = versions.fetch_model(model, Path(room))
        engine = load_engine(folder, compute, embedding=True)
        reference = read_reference(folder, engine.contract)
    if reference is None:
        raise SimilarError(
            f"{name} version {model.version} keeps no training images to compare with: it was registered by an earlier "
            "Nightshift. Train again, or ask another with --version."
        )
    try:
        picture = decode(data, engine.contract.images)
    except UnreadableImage as error:
        raise SimilarError(f"{image} is unreadable: {error}.") from None
    probabilities, embedding = engine.judge(picture.pixels[np.newaxis])
    rows, distances = (found[0] for found in Nearest(reference.embeddings, count)(embedding))
    about, best = reference.about, int(probabilities[0].argmax())
    return Found(
        model=model,
        images=engine.contract.images,
        label=engine.contract.class_names[best],
        confidence=float(probabilities[0, best]),
        outlier_score=float(reference.scores(embedding)[0]),
        outlier_above=reference.outlier_above,
        nearest=tuple(
            Alike(about.paths[row], about.labels[row], float(distance))
            for row, distance in zip(rows, distances, strict=True)
        ),
    )


def draw(image: Path, found: Found, file: Path) -> None:
    """The image and the training images nearest to it, side by side; those that are gone are grey."""
    from pipeline.evaluation.contact_sheets import Cell, draw_sheet

    grey = np.full((found.images.height, found.images.width, 3), 200, np.uint8)
    cells = [
        Cell(
            decode(image.read_bytes(), found.images).pixels, f"{found.label} {found.confidence:.0%}", False, image.name
        )
    ]
    for alike in found.nearest:
        try:
            pixels = decode((RAW / alike.path).read_bytes(), found.images).pixels
        except (OSError, UnreadableImage):
            pixels = grey
        name = Path(alike.path).name
        cells.append(Cell(pixels, f"{alike.label}\n{alike.distance:.3f} away", alike.label != found.label, name))
    with replacing(file) as beside:
        draw_sheet(cells).savefig(beside)
