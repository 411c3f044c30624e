"""Where the bytes of judged images are now. Knows neither what was said of them nor where they go."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.core.cells import listed_path
from pipeline.core.parallel import ordered_map
from pipeline.core.paths import PREDICTIONS, REJECTED
from pipeline.data.judgements import Judgement, place_of
from pipeline.night.rows import PREDICTIONS_CSV, of_files, rows_if_any
from pipeline.night.summary import summary_if_any
from pipeline.sources.contents import contents_of
from pipeline.sources.layout import Found
from pipeline.sources.reviews import digest_at
from pipeline.sources.source import THREADS
from pipeline.storage.folders import folder_at


@dataclass(frozen=True, slots=True)
class Lost:
    """A judged image that is not in data/raw, and not where it was judged."""

    sha256: str
    path: str  # as it was judged
    place: str
    why: Literal["gone", "changed"]


def where_judged(wanted: Mapping[str, Sequence[Judgement]], project: Path) -> dict[str, Found | Lost]:
    """Where the bytes of each image are: where somebody judged it, in another night's folder, or in data/rejected.

    wanted: SHA-256 -> the judgements of the image, the latest last.
    """

    def look(sha: str) -> Found | Lost:
        seen = {place_of(one, project): one for one in reversed(wanted[sha])}
        digests = {place: digest_at(place) for place in seen}
        for place, (digest, size) in digests.items():
            if digest == sha:
                return Found(seen[place].path, place, size)
        last = wanted[sha][-1]
        why: Literal["gone", "changed"] = "changed" if any(digest for digest, _ in digests.values()) else "gone"
        return Lost(sha, last.path, place_of(last, project), why)

    found = dict(zip(wanted, ordered_map(look, wanted, THREADS), strict=True))
    missing = {sha for sha, one in found.items() if isinstance(one, Lost)}
    for sha, place in _elsewhere(missing, project):
        if isinstance(lost := found[sha], Lost):
            digest, size = digest_at(place)
            found[sha] = Found(lost.path, place, size) if digest == sha else lost
    return found


def _elsewhere(missing: set[str], project: Path) -> Iterator[tuple[str, str]]:
    """Other places that may have these images."""
    if not missing:
        return
    kept = contents_of(project / REJECTED)
    yield from ((sha, str(project / REJECTED / kept[sha][0])) for sha in missing if sha in kept)
    for night in sorted((project / PREDICTIONS).glob("*/"), reverse=True):
        if (rows := night / PREDICTIONS_CSV).is_file() and (summary := summary_if_any(folder_at(night))):
            folder = listed_path(summary.input).rstrip("/")
            yield from ((row["sha256"], f"{folder}/{listed_path(row['path'])}") for row in of_files(rows_if_any(rows))
                        if row["sha256"] in missing)  # fmt: skip
