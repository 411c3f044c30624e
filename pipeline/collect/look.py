"""What a picture shows at a glance: nothing, the same as before, or how much of it has changed. Opens no file."""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GRID = (64, 48)  # cells: each is the mean of some 1,000 pixels of a camera, so that noise is below one level
EDGE = 1 / 8  # of the height: as far as a camera's clock and name reach from above and below
MOVED = 12.0  # of 255, by which a cell differs when something in it has changed


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """A picture, as far as it takes to compare it with another one."""

    cells: NDArray[np.float32]  # (48, 64), brightness, 0..255
    edges: bytes  # digest of its pixels at the upper and lower edge, where cameras write the time
    middle: bytes  # and of all others

    @property
    def brightness(self) -> float:
        """Its mean brightness, 0 to 255."""
        return float(self.cells.mean())

    def is_again(self, before: "Glance") -> bool:
        """Whether every pixel is as before: a sensor has noise, so no camera gives one picture twice."""
        return (self.edges, self.middle) == (before.edges, before.middle)

    def change(self, before: "Glance") -> float:
        """The share of the picture, 0 to 1, that has changed; that all of it is lighter or darker does not count."""
        moved = self.cells - before.cells
        return float((np.abs(moved - np.median(moved)) > MOVED).mean())


def glance(pixels: NDArray[np.uint8]) -> Glance:
    """Look at a picture. pixels: (height, width, 3), RGB, 0..255."""
    grey = Image.fromarray(pixels).convert("L").resize(GRID, Image.Resampling.BOX)
    edge = round(len(pixels) * EDGE)
    middle = pixels[edge : len(pixels) - edge]
    return Glance(np.asarray(grey, np.float32), _digest(pixels[:edge], pixels[len(pixels) - edge :]), _digest(middle))


def _digest(*parts: NDArray[np.uint8]) -> bytes:
    found = blake2b(digest_size=16)
    for part in parts:
        found.update(np.array(part.shape, np.int64).tobytes())
        found.update(np.ascontiguousarray(part).data)
    return found.digest()
