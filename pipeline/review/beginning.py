"""Classes made of a folder of images without labels: a head after every few judgements, and the next group to judge.

What is judged is the session's to know, what is read the folder's. A thread behind the page fits and plans.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.core.cells import csv_path
from pipeline.data.judgements import folder_as_kept
from pipeline.params.file import Params
from pipeline.review import groups, head
from pipeline.review.clusters import Features
from pipeline.review.embedded_folder import EmbeddedFolder
from pipeline.review.enough import Advice, Fitted, advise
from pipeline.review.groups import Group, Member
from pipeline.review.head import Head
from pipeline.review.session import Session
from pipeline.review.waiting import Candidate, Waiting
from pipeline.storage.folders import Folder

JUDGEMENTS_A_HEAD = 20
PAUSE = 0.3  # seconds between two looks at what was judged
HELD = 120.0  # seconds in which nobody else gets a page's group
FIRST = 12  # images of a group while nothing is known of what is alike
GROWN = 1.5  # times as many images, before they are shown or grouped again


@dataclass(frozen=True, slots=True)
class State:
    """How far the classes are."""

    counts: Mapping[str, int]  # images a class
    images: int
    judged: int
    fault: str  # that ended the fitting; empty: none
    learning: bool  # a head or groups are being made, or are due
    advice: Advice


class Beginning:
    """The work behind the page. Its methods may be called by several threads."""

    def __init__(self, session: Session, folder: Folder, params: Params, hints: Mapping[str, str]) -> None:
        """hints: labels that a table proposes, by path in `folder`."""
        self._session, self._folder, self._params, self._hints = session, folder, params, hints
        self._alone, self._stopped = threading.RLock(), threading.Event()
        self._images: EmbeddedFolder | None = None
        self._head: Head | None = None
        self._fitted: list[Fitted] = []
        self._learnt: Mapping[str, str] = {}  # what the head has learnt from: SHA-256 -> label
        self._plan: list[Group] = []
        self._planned = 0  # images with features when the plan was made
        self._declined: dict[str, set[str]] = {}  # labels that an image does not have
        self._later: set[str] = set()
        self._held: dict[str, tuple[str, float]] = {}  # SHA-256 -> page, until when
        self._fault = ""  # that ended the fitting

    def start(self, images: EmbeddedFolder) -> None:
        """Learn from what is judged of these images, from now on."""
        self._images = images
        threading.Thread(target=self._learn_all, name="Learning", daemon=True).start()

    def stop(self) -> None:
        """Learn no more."""
        self._stopped.set()

    def show(self, *, at_once: bool = False) -> None:
        """Tell the session of images that have come, the more at a time the more there are."""
        paths = self._images.paths if self._images else {}
        with self._alone:
            shown = self._session.images
            new = [self._waiting(sha256, path) for sha256, path in paths.items() if sha256 not in shown]
            if new and (at_once or len(paths) >= max(FIRST, GROWN * len(shown))):
                self._session.update([*shown.values(), *new])

    def _waiting(self, sha256: str, path: str) -> Waiting:
        drawn = groups.is_drawn(sha256, self._params.seed)
        return Waiting(
            sha256, csv_path(path), str(self._folder / path), "unlabelled", chosen="random" if drawn else "",
            folder=folder_as_kept(str(self._folder)),
        )  # fmt: skip

    def _learn_all(self) -> None:
        while not self._stopped.wait(PAUSE):
            try:
                self.learn()
            except Exception as error:
                self._fault = f"The groups are not made again: {type(error).__name__}: {error}. Start the review again."
                raise

    def learn(self) -> None:
        """Fit a head where enough was judged since the last one, and plan the groups where much has changed."""
        if self._images is None:
            return
        progress = self._images.progress
        self.show(at_once=progress.read == progress.files or not progress.at_work)
        ready = [sha256 for sha256 in self._images.embedded if sha256 in self._session.images]
        labelled = self._labelled(ready)
        if fitted := self._is_due(labelled):
            self._fit(labelled, self._images)
        if fitted or len(ready) > (GROWN if progress.at_work else 1) * self._planned:
            self._make_plan(ready, self._images)

    def _labelled(self, images: Sequence[str]) -> dict[str, str]:
        """Those of `images` with one label."""
        found = {}
        for sha256 in images:
            verdict = self._session.verdict(sha256)
            if verdict and verdict.kind == "label":
                found[sha256] = self._session.spelled(verdict.label)
        return found

    def _is_due(self, labelled: Mapping[str, str]) -> bool:
        changed = sum(self._learnt.get(sha256) != label for sha256, label in labelled.items())
        changed += len(self._learnt.keys() - labelled.keys())
        at_end = len(labelled) == len(self._session.images)
        return len(set(labelled.values())) > 1 and (changed >= JUDGEMENTS_A_HEAD or (changed > 0 and at_end))

    def _fit(self, labelled: Mapping[str, str], images: EmbeddedFolder) -> None:
        names, labels = list(labelled), list(labelled.values())
        features = images.features(names)
        drawn = np.array([groups.is_drawn(sha256, self._params.seed) for sha256 in names])
        found = head.fit(features, labels)
        accuracy = head.balanced_accuracy(features, labels, drawn, self._params.seed)
        with self._alone:
            self._head, self._learnt = found, labelled
            self._fitted.append(Fitted(len(names), int(drawn.sum()), accuracy))

    def _make_plan(self, ready: Sequence[str], images: EmbeddedFolder) -> None:
        left = [one for one in ready if not self._session.verdict(one)]
        swept = [one for one in left if not groups.is_drawn(one, self._params.seed)]
        features = images.features(swept)
        if self._head is None:
            alike = groups.without_head(swept, features, self._params.seed)
            plan = [replace(group, hint=self._hint(group, images)) for group in alike]
        else:
            plan = groups.by_head(swept, features, self._head, self._declined)
            self._propose(left, images.features(left), self._head)
        with self._alone:
            self._plan, self._planned = plan, len(ready)
            self._later.clear()

    def _hint(self, group: Group, images: EmbeddedFolder) -> str:
        """What the images look like, by the person's table or in ImageNet's words."""
        paths = images.paths
        labels = (self._hints.get(paths[one.sha256], "") for one in group.members)
        if by_table := Counter(label for label in labels if label).most_common(1):
            return by_table[0][0]
        return images.looks_like([one.sha256 for one in group.members])

    def _propose(self, left: Sequence[str], features: Features, fitted: Head) -> None:
        """Say in the session what the head calls the images that wait, the least sure first."""
        said = {one.sha256: one for one in groups.proposed(left, features, fitted, self._declined)}
        sure = {one.sha256: one.confidence or 0.0 for one in said.values()}
        with self._alone:  # images may come meanwhile
            every = [_with_proposal(one, said.get(one.sha256)) for one in self._session.images.values()]
            self._session.update(sorted(every, key=lambda one: sure.get(one.sha256, 2.0)))

    def group(self, page: str) -> Group | None:
        """The next images for a page, which nobody else gets meanwhile; none where all is judged or with others."""
        with self._alone:
            now = time.monotonic()
            others = {image for image, (who, until) in self._held.items() if who != page and until > now}
            found = self._next(others)
            if found is None and self._later:
                self._later.clear()
                found = self._next(others)
            self._held = {image: held for image, held in self._held.items() if held[0] != page and held[1] > now}
            if found:
                self._held |= {one.sha256: (page, now + HELD) for one in found.members}
            return found

    def _next(self, others: set[str]) -> Group | None:
        seed, session = self._params.seed, self._session
        judged = {one for one in session.images if session.verdict(one)}
        closed = judged | others | self._later
        open_ = [one for one in session.images if one not in closed]
        drawn = groups.draws(open_, seed)[: groups.DRAWN]
        measured = sum(groups.is_drawn(one, seed) for one in judged)
        if drawn and measured < groups.SHARE_DRAWN * len(judged):
            return self._draw(drawn)
        if found := next((rest for group in self._plan if (rest := group.without(closed)).members), None):
            return found
        if not self._plan and (first := [one for one in open_ if not groups.is_drawn(one, seed)][:FIRST]):
            return Group("first", tuple(map(Member, first)))
        return self._draw(drawn) if drawn else None

    def _draw(self, images: Sequence[str]) -> Group:
        known = set(self._images.embedded) if self._images and self._head else set()
        named = [one for one in images if one in known]
        said: dict[str, Member] = {}
        if self._images and self._head and named:
            found = groups.proposed(named, self._images.features(named), self._head, self._declined)
            said = {one.sha256: one for one in found}
        return Group("draw", tuple(said.get(one, Member(one)) for one in images))

    def put_aside(self, images: Iterable[str], label: str = "") -> None:
        """Show these later; label: that they do not have, as a person has said."""
        with self._alone:
            for sha256 in images:
                self._later.add(sha256)
                if label:
                    self._declined.setdefault(sha256, set()).add(label)

    @property
    def state(self) -> State:
        """How far the classes are now."""
        with self._alone:
            verdicts = [of for one in self._session.images if (of := self._session.verdict(one))]
            counts = Counter(self._session.spelled(of.label) for of in verdicts if of.kind == "label")
            images = self._images.progress.images if self._images else 0
            still = self._images is None or self._images.progress.at_work
            advice = advise(counts, self._fitted, images - len(verdicts) + still, self._least)
            return State(counts, images, len(verdicts), self._fault, self._is_learning, advice)

    @property
    def _is_learning(self) -> bool:
        if self._images is None or self._fault:
            return not self._fault
        ready = self._images.embedded
        return len(ready) > self._planned or self._is_due(self._labelled(ready))

    @property
    def _least(self) -> int:
        """Images a class that a training needs."""
        check = self._params.validate_.checks.few_images
        return head.FOLDS if check.severity == "off" else check.at_least


def _with_proposal(image: Waiting, said: Member | None) -> Waiting:
    """The same with what the head says; an image that is judged keeps what was said then."""
    if said is None:
        return image
    candidates = [Candidate(label) for label in (said.label, said.other) if label]
    return replace(image, proposed=said.label, confidence=said.confidence, candidates=tuple(candidates))
