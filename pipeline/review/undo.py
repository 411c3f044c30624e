"""What a reader had said of an image before an action of theirs that is taken back. Keeps nothing."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from pipeline.data.judgements import Judgement

History = Mapping[str, Sequence[Judgement]]  # SHA-256 -> what a reader said of it, the latest last


def history(every: Iterable[Judgement], reader: str, images: Collection[str]) -> History:
    """All that a reader said of these images, taken back or not."""
    found: defaultdict[str, list[Judgement]] = defaultdict(list)
    for one in every:
        if one.reader == reader and one.sha256 in images:
            found[one.sha256].append(one)
    return {sha256: sorted(said, key=lambda one: one.at) for sha256, said in found.items()}


def restored(said: Sequence[Judgement], undone: str, click: str, at: datetime) -> Judgement | None:
    """The judgement that takes the click `undone` back: the one before it, said again, or that there is none.

    said: of one image by one reader, the latest last. None: nothing to do, as the click was never kept, or says the
    same as what counts.
    """
    names = [name_of(one) for one in said]
    if undone not in names:
        return None
    place = names.index(undone)
    before = said[place - 1] if place else None
    if before is None or before.withdrawn:
        nothing = {"label": "", "reject": False, "cannot_tell": False, "withdrawn": True}
        return None if said[-1].withdrawn else _again(said[place], {**nothing, "click": click, "at": at})
    return _again(before, {"click": click, "at": at})


def name_of(one: Judgement) -> str:
    """The name of the click that a judgement comes from; empty where it comes from none."""
    return str((one.model_extra or {}).get("click", ""))


def _again(one: Judgement, changes: Mapping[str, object]) -> Judgement:
    return Judgement.model_validate({**one.model_dump(exclude={"seconds"}), **changes})
