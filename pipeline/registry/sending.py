"""Files on their way into the MLflow store, several at a time: MLflow sends them to a server one after another."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AT_A_TIME = 8  # below ten, the connections that MLflow's client keeps open to a server


def files_below(folder: Path, to: str = "") -> list[tuple[str, str]]:
    """Each file below `folder`, and the folder of the store for it, below `to`."""
    return sorted(_files_below(folder, to))


def _files_below(folder: Path, to: str) -> Iterator[tuple[str, str]]:
    for base, _, names in os.walk(folder):
        place = (Path(to) / Path(base).relative_to(folder)).as_posix()
        for name in names:
            yield str(Path(base) / name), "" if place == "." else place


def send(log_artifact: Callable[[str, str | None], object], files: Sequence[tuple[str, str]]) -> None:
    """Call `log_artifact` for each file and its folder in the store. Raises the first error, and begins no more."""
    for file, place in files[:1]:  # alone: MLflow's client asks once where the files go, and remembers it
        log_artifact(file, place or None)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(lambda one: log_artifact(one[0], one[1] or None), files[1:]))
