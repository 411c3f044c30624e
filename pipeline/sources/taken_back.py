"""Images whose judgement was taken back after an import: which label they had before, where that is known.

A rejected image lies in data/rejected under its label. One that was judged in data/raw was seen under its label. Of an
image that came from elsewhere nobody knows a label before: it is named, and stays. Moves nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pipeline.core.cells import csv_path, listed_path
from pipeline.core.paths import RAW, REJECTED
from pipeline.data import labels
from pipeline.data.judgements import Judgement, Judgements
from pipeline.sources.contents import contents_of

Contents = Mapping[str, list[str]]  # SHA-256 -> paths


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What follows from judgements that no longer count."""

    before: Mapping[str, Judgement] = field(default_factory=dict)  # SHA-256 -> the label that the image had
    unknown: tuple[str, ...] = ()  # paths below data/raw of images whose label before is not known


def find_taken_back(
    every: Iterable[Judgement], judgements: Judgements, there: Contents, project: Path
) -> TakenBack:  # fmt: skip
    """The images of which nobody says anything now, and whose last judgement was imported.

    every: all that was ever judged. judgements: what counts of it. there: the contents of data/raw.
    """
    lines: defaultdict[str, list[Judgement]] = defaultdict(list)
    for one in every:
        if one.sha256 not in judgements.by_image and not one.withdrawn:
            lines[one.sha256].append(one)
    said = {sha: sorted(of, key=lambda one: one.at) for sha, of in lines.items()}
    before: dict[str, Judgement] = {}
    unknown: list[str] = []
    for sha, of in said.items():
        last = next((one.label for one in reversed(of) if one.label), "")
        paths = there.get(sha, [])
        if not last or any(labels.sameness(_label(path)) != labels.sameness(last) for path in paths):
            continue  # nothing was imported
        if of[0].folder == RAW.as_posix():
            label = _label(listed_path(of[0].path))
            if paths and labels.sameness(label) != labels.sameness(last):
                before[sha] = _saying(of[-1], label, paths[0])
        else:
            unknown += [path for path in paths if not _was_there(project / RAW / path, of[0].at)]
    before |= _from_rejected({sha: of for sha, of in said.items() if sha not in there}, project)
    return TakenBack(before, tuple(unknown))


def _from_rejected(said: Mapping[str, list[Judgement]], project: Path) -> dict[str, Judgement]:
    rejected = {sha: of[-1] for sha, of in said.items() if any(one.reject for one in of)}
    kept = contents_of(project / REJECTED) if rejected else {}
    return {sha: _saying(one, _label(kept[sha][0]), kept[sha][0]) for sha, one in rejected.items() if sha in kept}


def _saying(judgement: Judgement, label: str, path: str) -> Judgement:
    """A judgement that says where the image was in data/raw; it is written nowhere."""
    about = {"label": label, "reject": False, "cannot_tell": False, "folder": RAW.as_posix(), "path": csv_path(path)}
    return judgement.model_copy(update=about)


def _was_there(file: Path, at: datetime) -> bool:
    """Whether data/raw had the file before anybody judged the image: then no import has brought it."""
    return file.lstat().st_ctime < at.timestamp()


def _label(path: str) -> str:
    return labels.of_folder(path.split("/", 1)[0])
