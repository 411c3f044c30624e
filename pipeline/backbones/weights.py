"""Find a network's weights: a file of the user, or ImageNet weights downloaded into Keras' cache.

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

from pipeline.core.errors import NightshiftError
from pipeline.core.terminal import progress_bar
from pipeline.core.text import named
from pipeline.params.model import Model
from pipeline.storage.files import replacing

if TYPE_CHECKING:
    import keras

TIMEOUT = 10.0  # seconds without an answer from the server
PIECE = 1 << 20  # bytes
FROM_SCRATCH = ("cnn", "cnn_residual")  # backbones without pretrained weights


def is_pretrained(model: Model) -> bool:
    """Whether the backbone starts from pretrained weights; if not, the whole network is trained from scratch."""
    return model.backbone not in FROM_SCRATCH and model.weights != "none"


class WeightsError(NightshiftError):
    """A network's weights cannot be loaded; the message names the file."""


@dataclass(frozen=True, slots=True)
class Published:
    """A weights file on the web."""

    url: str
    digest: str | None  # MD5 or SHA-256, hexadecimal; None: the publisher gives none

    @property
    def file(self) -> Path:
        """Where Keras caches it."""
        home = os.environ.get("KERAS_HOME")
        return (Path(home) if home else Path.home() / ".keras") / "models" / self.url.rsplit("/", 1)[1]


def published_weights(published: Published) -> Path:
    """The file, downloaded if it is not in Keras' cache.

    Raises WeightsError when it can be neither found nor downloaded, or its hash is not the published one.
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
                f"({error}). Download it on a machine with a network and copy it to {file}; or set model.weights in "
                "params.yaml to the path of a weights file, or to none (random weights, trained from scratch)."
            ) from error
    try:
        _check_digest(file, published)
    except OSError as error:
        raise WeightsError(f"{file}: {error}. Delete it; the next run downloads it again.") from error
    return file


def _download(url: str, file: Path) -> None:
    # Not keras.utils.get_file: it has no timeout, writes straight to its target (so that a killed download leaves a
    # partial file, which counts as whole where no hash is published), and prints.
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, file.open("wb") as out:  # noqa: S310 (an https address of ours)
        size = int(answer.headers.get("Content-Length", 0))
        with progress_bar(desc=file.name, total=size or None, unit="B", unit_scale=True) as progress:
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
    # Weights that the file lacks stay NaN, so we find them: in nested networks Keras only warns of a missing part.
    network.set_weights([weight * np.nan if weight.dtype.kind == "f" else weight for weight in network.get_weights()])
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            network.load_weights(file)
        left_out = [weight.path for weight in network.weights if np.isnan(np.asarray(weight, np.float32)).any()]
        if left_out:
            raise ValueError(f"The file has no numbers for {named(left_out)}: they are missing or NaN.")
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{file} does not hold the weights of {network.name}: it is damaged, belongs to another network, or has a "
            f"classification layer on top (`include_top=False` has none). {first_line(error)}"
        ) from error


def first_line(error: Exception) -> str:
    """The first line of a library's error, for the end of our own message."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
