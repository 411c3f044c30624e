"""Bring the images that people have judged into data/raw: first a plan, which a person can read, then the deed.

An image goes to the label on which all its readers agree: a new one is copied from where it was judged, one that has
another label moves, one that is rejected moves to data/rejected, where nothing deletes it. Images whose readers differ
stay as they are. One whose judgement was taken back gets the label that it had before, where that is known. The plan
follows from the judgements and from what is in data/raw, so an import that was killed goes on where it stopped, and a
second one finds nothing to do. The frozen splits stay as they are.
"""

import io
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeVar

from pipeline.core.cells import listed_path
from pipeline.core.hidden import is_hidden
from pipeline.core.paths import JUDGEMENTS, PREDICTIONS, RAW, REJECTED
from pipeline.core.terminal import show
from pipeline.core.text import shown
from pipeline.data import labels
from pipeline.data.judgements import Judgement, Judgements, counting, every_judgement
from pipeline.data.label_folders import LabelError, folder_of
from pipeline.night.review_labels import said_in
from pipeline.night.scene_files import scenes_in
from pipeline.sources.contents import contents_of, measured_in
from pipeline.sources.copy import NOTHING, import_images
from pipeline.sources.import_plan import ImportingError
from pipeline.sources.judged_bytes import Lost, where_judged
from pipeline.sources.layout import Found, Item
from pipeline.sources.project_labels import ProjectLabels, labels_in
from pipeline.sources.rejected import Taken, clear_returned, known_of_rejected, place_below, take_out
from pipeline.sources.reviews import named_below
from pipeline.sources.source import Files
from pipeline.sources.staging import staging
from pipeline.sources.taken_back import find_taken_back
from pipeline.storage.files import sha256, sha256_of_file
from pipeline.storage.images_lock import working_on_images
from pipeline.versions import dvc

T = TypeVar("T")
COMMAND = "nightshift data import labels"
AGREED_GB = 1e9  # no limit: a person has read the plan
SHORT = 8  # hexadecimal digits that tell two images of one name apart


@dataclass(frozen=True, slots=True)
class Differing:
    """An image whose readers differ."""

    path: str
    said: tuple[tuple[str, str], ...]  # reader, what they said; the latest last

    def __str__(self) -> str:
        """For a person."""
        return f"{shown(self.path)} ({'; '.join(f'{shown(reader)}: {shown(text)}' for reader, text in self.said)})"


@dataclass(frozen=True, slots=True)
class Impossible:
    """An image with a label that cannot name a folder."""

    sha256: str
    path: str
    why: str

    def __str__(self) -> str:
        """For a person."""
        return f"{shown(self.path)}: {self.why}"


@dataclass(frozen=True, slots=True)
class JudgedPlan:
    """What an import of the judged images does, and what it leaves as it is."""

    project: Path
    new: tuple[Item, ...] = ()  # to copy into data/raw
    moved: tuple[Item, ...] = ()  # are in data/raw under another label
    rejected: tuple[Taken, ...] = ()
    there: int = 0  # images that have their judged label already
    differing: tuple[Differing, ...] = ()
    lost: tuple[Lost, ...] = ()
    new_labels: tuple[str, ...] = ()
    impossible: tuple[Impossible, ...] = ()
    scenes: tuple[str, ...] = ()  # have a label of a review by an earlier version
    put_back: tuple[str, ...] = ()  # images of `new` and `moved` whose judgement was taken back: their label before
    unknown: tuple[str, ...] = ()  # in data/raw; their judgement was taken back, and no label before is known
    judged: int = 0  # images of which anybody says anything
    digests: Mapping[str, str] = field(default_factory=dict)  # place of an image of `new` or `moved` -> SHA-256

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.new or self.moved or self.rejected)


@dataclass(frozen=True, slots=True)
class BroughtIn:
    """What an import of the judged images did; each `Counter` is by label."""

    new: Counter[str]
    moved: Counter[str]  # by the label that they have now
    rejected: Counter[str]  # by the label that they had
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class JudgedFiles(Files):
    """Files that must still be those that were judged."""

    digests: Mapping[str, str] = field(default_factory=dict)  # place of an item -> SHA-256

    def visit(self, items: Iterable[Item], act: Callable[[Item, BinaryIO], T]) -> Iterator[tuple[Item, T]]:
        """Call `act` with each item and its bytes, in order. Raises ImportingError for a file that has changed."""

        def checked(item: Item, stream: BinaryIO) -> T:
            data = stream.read()
            if sha256(data) != self.digests[item.file.place]:
                raise ImportingError(
                    f"{shown(item.file.place)} has changed since it was judged. What was brought in so far stays; the "
                    "next import leaves this file aside."
                )
            return act(item, io.BytesIO(data))

        return super().visit(items, checked)


def plan_judged(project: Path = Path()) -> JudgedPlan:
    """What an import of the judged images of a project would do. Changes nothing.

    Raises JudgementsError for a damaged file of judgements, LabelError for folders of data/raw that are one label.
    """
    every = [*every_judgement(project / JUDGEMENTS)]
    judgements = counting(every)
    raw = project / RAW
    ours = labels_in(raw)
    there = contents_of(raw, measured_in(project))
    wanted: dict[str, Judgement] = {}  # SHA-256 of an image that needs copying or moving -> what all say of it
    rejected: list[Taken] = []
    impossible: list[Impossible] = []
    scenes, judged_scenes = scenes_in(project / PREDICTIONS), list[str]()
    settled = 0
    spelt = _Spelling(ours)
    for sha256_ in judgements.by_image:
        agreed = judgements.agreed(sha256_)
        if agreed is None or agreed.cannot_tell:
            continue
        paths = there.get(sha256_, [])
        if agreed.reject:
            rejected += [Taken(path, _free(project / REJECTED, path, sha256_), sha256_) for path in paths]
        elif why := spelt.fault_of(agreed.label):
            impossible.append(Impossible(sha256_, agreed.path, why))
        elif paths and all(_label(path) == spelt.of(agreed.label) for path in paths):
            settled += 1
        elif sha256_ in scenes and not paths:
            judged_scenes.append(agreed.path)
        else:
            wanted[sha256_] = agreed
    back = find_taken_back(every, judgements, there, project)
    wanted |= back.before
    new, moved, lost, digests = _placed(wanted, judgements, there, spelt, project)
    differing = tuple(_differing(judgements, sha256_) for sha256_ in judgements.differing())
    items = (*new, *moved)
    return JudgedPlan(
        project, new, moved, tuple(rejected), settled, differing, lost, tuple(ours.missing(items)), tuple(impossible),
        tuple(judged_scenes),
        tuple(item.file.path for item in items if digests[item.file.place] in back.before), back.unknown,
        len(judgements.by_image), digests,
    )  # fmt: skip


def bring_in(plan: JudgedPlan, tell: dvc.Tell = show) -> BroughtIn:
    """Carry out a plan in this project and record the data version. Raises InUse, ImportingError, VersionsError.

    Where it fails or is killed in the middle, nothing is lost: a new plan has what is left.
    """
    dvc.require_repository()
    with working_on_images(COMMAND):
        done = carry_out(plan)
        dvc.add_data(tell)
    return done


def record() -> bool:
    """Record the data version where data/raw is not as it was recorded; whether it was not.

    An import that was killed may have done all of its work but this.
    """
    file = RAW.with_name(f"{RAW.name}.dvc")
    with working_on_images(COMMAND):
        before = file.read_bytes() if file.is_file() else b""
        dvc.add_data()
    return file.read_bytes() != before


def carry_out(plan: JudgedPlan) -> BroughtIn:
    """`bring_in` for a caller that keeps other commands away, and records the data version."""
    raw = plan.project / RAW
    done = NOTHING
    with staging(raw) as room:
        if items := [*plan.new, *plan.moved]:
            try:
                done = import_images(JudgedFiles(items, 0, digests=plan.digests), raw, room, max_gb=AGREED_GB)
            except ImportingError as error:
                raise ImportingError(error.what, f"Then run `{COMMAND}` again.") from error
            clear_returned(plan.new, plan.project)
        rejected = take_out(plan.rejected, plan.project, room)
    now = Counter(_label(one.now) for one in done.moved)
    return BroughtIn(done.new, now, Counter(taken.label for taken in rejected), done.notes)


class _Spelling:
    """Labels as the project spells them; a new one as it was first judged."""

    def __init__(self, ours: ProjectLabels) -> None:
        self._known = {labels.sameness(label): label for label in ours.folders}
        self.folders = ours.folders

    def of(self, label: str) -> str:
        return self._known.setdefault(labels.sameness(label), labels.clean(label))

    def fault_of(self, label: str) -> str:
        """Why a label cannot be a class of the project; empty where it can."""
        if labels.sameness(label) in self._known:
            return ""
        if any(unicodedata.category(char) == "Cc" for char in label):
            return f"The label {shown(label[:40])} has characters that cannot be shown."
        try:
            folder_of(labels.clean(label))
        except LabelError as error:
            return str(error)
        return ""

    def folder(self, label: str) -> str:
        return self.folders.get(label) or folder_of(label)


def _placed(
    wanted: Mapping[str, Judgement], judgements: Judgements, there: Mapping[str, list[str]], spelt: _Spelling,
    project: Path,
) -> tuple[tuple[Item, ...], tuple[Item, ...], tuple[Lost, ...], dict[str, str]]:  # fmt: skip
    """The images to copy and to move, those whose bytes are nowhere, and the hash of each place."""
    sought = {sha: judgements.of(sha) or [agreed] for sha, agreed in wanted.items() if sha not in there}
    found = where_judged(sought, project)
    known = known_of_rejected(project)
    new: list[Item] = []
    moved: list[Item] = []
    lost: list[Lost] = []
    digests: dict[str, str] = {}
    taken: set[str] = set()
    for sha, agreed in wanted.items():
        label = spelt.of(agreed.label)
        folder = spelt.folder(label)
        if paths := [path for path in there.get(sha, []) if _label(path) != label]:
            before, below = paths[0].split("/", 1)
            file = project / RAW / paths[0]
            source = Found(paths[0], str(file), file.stat().st_size)
            path = _free(project / RAW, f"{folder}/{below}", sha, taken, f"from {before}")
        elif isinstance(where := found[sha], Lost):
            lost.append(where)
            continue
        else:
            source = where
            path = _free(project / RAW, f"{folder}/{_below(agreed)}", sha, taken)
        taken.add(path)
        digests[source.place] = sha
        facts = known.get(place_below(source.place, project), ())
        (moved if paths else new).append(Item(label, path.split("/", 1)[1], source, facts))
    return tuple(new), tuple(moved), tuple(lost), digests


def _below(judgement: Judgement) -> str:
    """The image's path below its label's folder: as it was judged, without the folder of another label."""
    parts = named_below(listed_path(judgement.path)).split("/")
    if judgement.folder == RAW.as_posix():
        parts = parts[1:]
    return "/".join(folder_of(part) if is_hidden(part) else part for part in parts if part not in ("", ".", ".."))


def _free(root: Path, path: str, sha: str, taken: Iterable[str] = (), words: str = "") -> str:
    """`path`, or one like it with `words` or the start of the hash in its name, that no other image has."""
    named = PurePosixPath(path)
    tried = [path, *(str(named.with_name(f"{named.stem} ({word}){named.suffix}")) for word in (words, sha[:SHORT])
                     if word)]  # fmt: skip
    free = (one for one in tried if one not in taken and not _has_other(root / one, sha))
    return next(free, tried[-1])


def _has_other(file: Path, sha: str) -> bool:
    return file.exists() and (not file.is_file() or sha256_of_file(file) != sha)


def _differing(judgements: Judgements, sha: str) -> Differing:
    every = judgements.of(sha)
    return Differing(every[-1].path, tuple((one.reader, said_in(one)) for one in every))


def _label(path: str) -> str:
    return labels.of_folder(path.split("/", 1)[0])
