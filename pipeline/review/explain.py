"""What the model knows of an image that a person judges: the training images most like it, and where its answer comes
from. On demand: the model is loaded when a reader first asks. OpenVINO only, so no TensorFlow is in this process.
"""

import io
import threading
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.paths import RAW
from pipeline.images.decode import Picture
from pipeline.model.engine import Engine, load_engine
from pipeline.model.nearest import Nearest
from pipeline.model.reference import Reference, read_reference
from pipeline.params.model import Compute
from pipeline.review.opened import Beside
from pipeline.review.pictures import PictureError

COUNT = 6  # training images
SIDE = 512  # pixels of a heat map's longer side
LEAST = 0.1  # heat of a place that is drawn
SOFT = 12.0  # pixels of the map over which the squares of the occlusion blend


class Explainer:
    """One model, loaded when it is first asked."""

    def __init__(self, folder: Path, compute: Compute) -> None:
        """folder: the model's."""
        self._folder, self._compute, self._alone = folder, compute, threading.Lock()

    def nearest(self, picture: Picture) -> tuple[Beside, ...]:
        """The training images most like it, the nearest first; none where the model keeps none."""
        with self._alone:
            if self._nearest is None or self._reference is None:
                return ()
            _, embedding = self._engine.judge(picture.pixels[np.newaxis])
            rows, distances = (found[0] for found in self._nearest(embedding))
        about = self._reference.about
        return tuple(
            Beside(about.sha256[row], str(RAW / about.paths[row]), about.labels[row], f"distance {distance:.2f}")
            for row, distance in zip(rows, distances, strict=True)
        )

    def heat(self, picture: Picture, label: str) -> bytes:
        """Where the answer `label` comes from, as a PNG in the image's shape, to lie over it: the mean fall of the
        label's probability when a grey square covers a place (Zeiler and Fergus, 2014). Raises PictureError where no
        place counts.
        """
        from pipeline.evaluation.saliency import occlusion

        with self._alone:
            names = self._engine.contract.class_names
            number = (
                names.index(label) if label in names else int(self._engine.predict(picture.pixels[None])[0].argmax())
            )
            heat = occlusion(self._engine, picture.pixels[np.newaxis], np.array([number]))[0]
        if not heat.any():
            raise PictureError("covering any one place does not lower the answer")
        return _as_png(_in_shape(heat, picture, self._engine.contract.images.fit))

    @cached_property
    def _engine(self) -> Engine:
        return load_engine(self._folder, self._compute.model_copy(update={"device": "cpu"}), embedding=True)

    @cached_property
    def _reference(self) -> Reference | None:
        return read_reference(self._folder, self._engine.contract)

    @cached_property
    def _nearest(self) -> Nearest | None:
        return Nearest(self._reference.embeddings, COUNT) if self._reference else None


def _in_shape(heat: NDArray[np.float32], picture: Picture, fit: str) -> NDArray[np.float32]:
    """A map over the model's picture as one over the whole image. Returns (height, width), 0..1."""
    scale = SIDE / max(picture.width, picture.height)
    width, height = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    tall, wide = heat.shape
    if fit == "stretch":
        return np.asarray(cv2.resize(heat, (width, height)), np.float32)
    by = (min if fit == "pad" else max)(wide / picture.width, tall / picture.height)  # model's pixels for an image's
    inner = min(wide, round(picture.width * by)), min(tall, round(picture.height * by))
    left, top = (wide - inner[0]) // 2, (tall - inner[1]) // 2
    part = heat[top : top + inner[1], left : left + inner[0]]
    seen = round(inner[0] / by * scale), round(inner[1] / by * scale)  # of the image, in the map's pixels
    found = np.zeros((height, width), np.float32)
    x, y = max(0, (width - seen[0]) // 2), max(0, (height - seen[1]) // 2)
    shown = cv2.resize(part, (min(seen[0], width), min(seen[1], height)))
    found[y : y + shown.shape[0], x : x + shown.shape[1]] = shown
    return found


def _as_png(heat: NDArray[np.float32]) -> bytes:
    """Warm where the evidence is, and clear elsewhere."""
    heat = cv2.GaussianBlur(heat, (0, 0), SOFT)
    heat = heat / max(float(heat.max()), 1e-12)
    colours = cv2.cvtColor(
        cv2.applyColorMap((255 * heat).round().astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB
    )
    alpha = 255 * ((heat - LEAST) / (1 - LEAST)).clip(0, 1) ** 0.8
    buffer = io.BytesIO()
    Image.fromarray(np.dstack([colours, alpha.round().astype(np.uint8)])).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
