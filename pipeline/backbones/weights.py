"""Where a network's weights lie: a file of the user's, or ImageNet weights from the web, kept in Keras' cache.

Knows no architecture. A network either gets every weight from the file, or an error says what is wrong.
"""

import hashlib
import os
import urllib.request
import warnings
import zipfile
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from pipeline.core.errors import NightshiftError
from pipeline.core.text import named
from pipeline.params.model import Model
from pipeline.storage.files import replacing

if TYPE_CHECKING:
    import keras

TIMEOUT = 10.0  # seconds without an answer from the server
PIECE = 1 << 20  # bytes
FROM_SCRATCH = ("cnn", "cnn_residual")  # backbones that nobody has trained before


def is_pretrained(model: Model) -> bool:
    """Whether the backbone has learnt something already; if not, the whole network is trained from scratch."""
    return model.backbone not in FROM_SCRATCH and model.weights != "none"


class WeightsError(NightshiftError):
    """A network's weights cannot be had; the message names the file."""


@dataclass(frozen=True, slots=True)
class Published:
    """A file of weights on the web."""

    url: str
    digest: str | None  # MD5 or SHA-256, hexadecimal; None: none is published

    @property
    def file(self) -> Path:
        """Where Keras keeps it."""
        home = os.environ.get("KERAS_HOME")
        return (Path(home) if home else Path.home() / ".keras") / "models" / self.url.rsplit("/", 1)[1]


def published_weights(published: Published) -> Path:
    """The file, downloaded if Keras' cache does not have it.

    Raises WeightsError when it can be neither found nor downloaded, or is not the file that was published.
    """
    file = published.file
    if not file.exists():
        try:
            with replacing(file) as beside:
                _download(published.url, beside)
                _check_digest(beside, published)
        except (OSError, HTTPException) as error:
            raise WeightsError(
                f"The ImageNet weights {file.name} are not in {file.parent}, and {published.url} cannot be downloaded "
                f"({error}). Download it where there is a network and copy it to {file}; or set model.weights in "
                "params.yaml to the path of a weights file, or to none (random weights, trained from scratch)."
            ) from error
    try:
        _check_digest(file, published)
    except OSError as error:
        raise WeightsError(f"{file}: {error}. Delete it; the next run downloads it again.") from error
    return file


def _download(url: str, file: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, file.open("wb") as out:  # noqa: S310 (an https address of ours)
        size = int(answer.headers.get("Content-Length", 0))
        with tqdm(desc=file.name, total=size or None, unit="B", unit_scale=True) as progress:
            while piece := answer.read(PIECE):
                out.write(piece)
                progress.update(len(piece))
        if size and out.tell() != size:
            raise OSError(f"the connection ended after {out.tell():,} of {size:,} bytes")


def _check_digest(file: Path, published: Published) -> None:
    """Raises OSError when `file` is not what was published."""
    if published.digest is None:
        return
    algorithm = "md5" if len(published.digest) == 32 else "sha256"
    with file.open("rb") as bytes_:
        found = hashlib.file_digest(bytes_, algorithm).hexdigest()
    if found != published.digest:
        raise OSError(f"it is not the file that was published: its {algorithm} is {found}, not {published.digest}")


def load_weights(network: "keras.Model", file: Path) -> None:
    """Give `network` the weights in `file`: .weights.h5, .h5 or .keras.

    Raises WeightsError when there is no such file, or it does not hold this network's weights.
    """
    if not file.is_file():
        raise WeightsError(f"params.yaml: model.weights: there is no file {file} in {Path.cwd()}.")
    # What the file leaves out stays NaN and shows: in nested networks Keras only warns of a missing part.
    network.set_weights([weight * np.nan if weight.dtype.kind == "f" else weight for weight in network.get_weights()])
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            network.load_weights(file)
        left_out = [weight.path for weight in network.weights if np.isnan(np.asarray(weight, np.float32)).any()]
        if left_out:
            raise ValueError(f"It has nothing, or no number, for {named(left_out)}.")
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{file} does not hold the weights of {network.name}: it is damaged, or another network's, or has a "
            f"classification layer on top (`include_top=False` has none). {first_line(error)}"
        ) from error


def first_line(error: Exception) -> str:
    """What a library's error begins with, for our own error's end."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
