"""The images of a folder and their features, read in the background. Knows no judgement.

The first images are known at once; their features follow when the network is there, which takes seconds the first time.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.night.reading import Decoded, FramesFile, Read, Reading, SceneFile, read_images
from pipeline.night.rows import Unreadable
from pipeline.params.file import Params
from pipeline.review.backbone import Backbone
from pipeline.review.clusters import Features
from pipeline.review.feature_store import FeatureStore, Vector
from pipeline.storage.folders import Folder

AT_ONCE = 32  # images read and embedded together


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the reading is."""

    files: int
    read: int
    images: int
    embedded: int
    unreadable: tuple[tuple[str, str], ...]  # path, reason
    at_work: bool
    faults: tuple[str, ...]


class EmbeddedFolder:
    """A folder that is read once, in the background. For several threads."""

    def __init__(
        self, folder: Folder, params: Params, store: FeatureStore, load: Callable[[], Backbone],
        found: Callable[[], object],
    ) -> None:  # fmt: skip
        """load: gives the backbone, perhaps after seconds; found: is called when images have come."""
        self._folder, self._params, self._store, self._load, self._found = folder, params, store, load, found
        self._alone, self._stopped = threading.Lock(), threading.Event()
        self._backbone: Backbone | None = None
        self._paths: dict[str, str] = {}
        self._features: dict[str, Vector] = {}
        self._unreadable: list[tuple[str, str]] = []
        self._faults: list[str] = []
        self._files = self._read = 0
        self._at_work = True

    def start(self) -> None:
        """Begin to read."""
        threading.Thread(target=self._guarded, args=(self._read_all,), daemon=True).start()

    def stop(self) -> None:
        """Read no further."""
        self._stopped.set()

    @property
    def paths(self) -> Mapping[str, str]:
        """Path in the folder by SHA-256, of all images so far; of equal files the first."""
        with self._alone:
            return dict(self._paths)

    @property
    def embedded(self) -> list[str]:
        """The images whose features are known."""
        with self._alone:
            return [sha256 for sha256 in self._paths if sha256 in self._features]

    def features(self, images: Sequence[str]) -> Features:
        """The features (n, d) of images of `embedded`."""
        return np.stack([self._features[sha256] for sha256 in images]) if images else np.empty((0, 0), np.float32)

    def looks_like(self, images: Sequence[str]) -> str:
        """What these images of `embedded` show, in ImageNet's words; empty where that is not known."""
        return self._backbone.name(self.features(images)) if self._backbone else ""

    @property
    def progress(self) -> Progress:
        """How far it is now."""
        with self._alone:
            return Progress(
                self._files, self._read, len(self._paths), len(self._features.keys() & self._paths.keys()),
                tuple(self._unreadable), self._at_work, tuple(self._faults),
            )  # fmt: skip

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except NightshiftError as error:
            log.warning("%s", error)
            self._faults.append(str(error))
        except Exception as error:
            self._faults.append(f"The folder is not read any further: {type(error).__name__}: {error}")
            raise
        finally:
            self._at_work &= work != self._read_all

    def _load_backbone(self) -> None:
        self._backbone = self._load()

    def _read_all(self) -> None:
        loading = threading.Thread(target=self._guarded, args=(self._load_backbone,), daemon=True)
        loading.start()
        paths = [listed.path for listed in self._folder.list_images()]
        self._files, left = len(paths), list[str]()
        for reads in self._reads(paths):
            left += self._take(reads)
            self._found()
        loading.join()
        for reads in self._reads(left) if self._backbone else ():
            self._embed([read for read in reads if isinstance(read, Decoded)])

    def _reads(self, paths: Iterable[str]) -> Iterable[Sequence[Read]]:
        compute, patience = self._params.compute, self._params.batch.file_timeout
        how = Reading(compute.threads, 2 * AT_ONCE, patience, known=self._known)
        reads = read_images(self._folder, paths, self._params.images, how)
        while (some := list(islice(reads, AT_ONCE))) and not self._stopped.is_set():
            yield some

    def _known(self, sha256: str) -> Mapping[str, str] | None:
        """Something where the features of these bytes are known: they need not be decoded."""
        if sha256 not in self._features and (found := self._store.of([sha256])):
            with self._alone:
                self._features |= found
        return {"features": "known"} if sha256 in self._features else None

    def _take(self, reads: Sequence[Read]) -> list[str]:
        """Note images; returns the paths of those whose features must wait for the network."""
        with self._alone:
            self._read += len(reads)
            for read in reads:
                if isinstance(read, Unreadable):
                    self._unreadable.append((read.path, read.error))
                elif not isinstance(read, SceneFile | FramesFile):
                    self._paths.setdefault(read.sha256, read.path)
        decoded = [read for read in reads if isinstance(read, Decoded)]
        if self._backbone is None:
            return [read.path for read in decoded]
        self._embed(decoded)
        return []

    def _embed(self, reads: Sequence[Decoded]) -> None:
        if not reads or self._backbone is None:
            return
        found = self._backbone.network(np.stack([read.picture.pixels for read in reads]))
        vectors = {read.sha256: vector for read, vector in zip(reads, found, strict=True)}
        self._store.keep(vectors)
        with self._alone:
            self._features |= vectors
