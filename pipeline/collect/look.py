"""What a picture shows at a glance: nothing, the same as before, or how much of it has changed. Opens no file."""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GRID = (64, 48)  # cells: each is the mean of some 1,000 pixels of a camera, so that noise is below one level
MOVED = 12.0  # of 255, by which a cell differs when something in it has changed


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """A picture, as far as it takes to compare it with another one."""

    cells: NDArray[np.float32]  # (48, 64), brightness, 0..255
    digest: bytes  # of all its pixels

    @property
    def brightness(self) -> float:
        """Its mean brightness, 0 to 255."""
        return float(self.cells.mean())

    def is_again(self, before: "Glance") -> bool:
        """Whether every pixel is as before: a sensor has noise, so no camera gives one picture twice."""
        return self.digest == before.digest

    def change(self, before: "Glance") -> float:
        """The share of the picture, 0 to 1, that has changed; that all of it is lighter or darker does not count."""
        moved = self.cells - before.cells
        return float((np.abs(moved - np.median(moved)) > MOVED).mean())


def glance(pixels: NDArray[np.uint8]) -> Glance:
    """Look at a picture. pixels: (height, width, 3), RGB, 0..255."""
    grey = Image.fromarray(pixels).convert("L").resize(GRID, Image.Resampling.BOX)
    size = np.array(pixels.shape, np.int64).tobytes()
    digest = blake2b(np.ascontiguousarray(pixels).data, digest_size=16, key=size[:16]).digest()
    return Glance(np.asarray(grey, np.float32), digest)
