"""What an import of the judged images will do, in words, for a terminal and for a page. Plans nothing."""

from collections import Counter
from collections.abc import Sequence

from pipeline.core.paths import JUDGEMENTS, RAW, REJECTED
from pipeline.core.text import counted, named, shown
from pipeline.sources.judged import JudgedPlan
from pipeline.sources.judged_bytes import Lost


def plan_lines(plan: JudgedPlan) -> list[str]:
    """A line for each kind of image, for a person who decides; new classes first, as one may be a slip."""
    lines = [*_new_lines(plan), *_rejected_lines(plan), *_taken_back_lines(plan), *_left_lines(plan)]
    if not plan.is_empty:
        return lines
    if not plan.judged:
        return [*lines, "Nothing is judged yet."]
    if not plan.there:
        return [*lines, "Nothing to bring in."]
    have = "has its label" if plan.there == 1 else "have their labels"
    images = counted(plan.there, "image")
    return [*lines, f"Nothing to bring in: {images} with a judgement in {JUDGEMENTS} {have} in {RAW}."]


def _new_lines(plan: JudgedPlan) -> list[str]:
    """Images that get a label."""
    lines = []
    if plan.new_labels:
        counts = Counter(item.label for item in (*plan.new, *plan.moved))
        classes = named(f"{label} ({counted(counts[label], 'image')})" for label in plan.new_labels)
        lines.append(
            f"New classes, which {RAW} does not have yet: {classes}. If one is a slip, judge its images again."
        )
    for label, count in sorted(Counter(item.label for item in plan.new).items()):
        names = named(item.file.path for item in plan.new if item.label == label)
        lines.append(f"{counted(count, 'image')} will be copied into {RAW} as {shown(label)}: {names}")
    if plan.moved:
        moves = named(f"{item.file.path} -> {item.label}" for item in plan.moved)
        lines.append(f"{counted(len(plan.moved), 'image')} of {RAW} will move to another label: {moves}")
    return lines


def _rejected_lines(plan: JudgedPlan) -> list[str]:
    """Images that no model learns from any more."""
    if not plan.rejected:
        return []
    return [
        f"{counted(len(plan.rejected), 'rejected image')} will be taken out of {RAW} to {REJECTED}, where nothing "
        f"deletes them and no training sees them: {named(taken.path for taken in plan.rejected)}"
    ]


def _taken_back_lines(plan: JudgedPlan) -> list[str]:
    """Images whose judgement was taken back."""
    lines = []
    if plan.put_back:
        lines.append(
            f"Of these, {counted(len(plan.put_back), 'image')} will have the label from before the judgement, which "
            f"was taken back: {named(plan.put_back)}"
        )
    if plan.unknown:
        have = "has" if len(plan.unknown) == 1 else "have"
        lines.append(
            f"{counted(len(plan.unknown), 'image')} in {RAW} {have} a label whose judgement was taken back: "
            f"{named(plan.unknown)}. Move them by hand or judge them again."
        )
    return lines


def _left_lines(plan: JudgedPlan) -> list[str]:
    """Images that stay as they are."""
    lines = []
    if plan.there and not plan.is_empty:
        lines.append(f"{counted(plan.there, 'image has', 'images have')} the judged label already.")
    if plan.differing:
        lines.append(
            f"The readers of {counted(len(plan.differing), 'image')} differ, so these stay as they are: "
            f"{named(map(str, plan.differing))}"
        )
    lines += _lost_lines(plan.lost)
    if plan.scenes:
        lines.append(
            f"Left out, as a model learns from tiles of a scene: {counted(len(plan.scenes), 'scene')}: "
            f"{named(plan.scenes)}. Cut scenes into tiles to label: `nightshift data tiles SCENES FOLDER`."
        )
    if plan.impossible:
        lines.append(
            f"Left out, as their label cannot name a folder: {counted(len(plan.impossible), 'image')}: "
            f"{named(map(str, plan.impossible))} Judge them again."
        )
    return lines


def _lost_lines(lost: Sequence[Lost]) -> list[str]:
    lines = []
    for why, words in (
        ("gone", "are not where they were judged, nor in any night's folder"),
        ("changed", "have changed since they were judged"),
    ):
        if places := [one.place for one in lost if one.why == why]:
            lines.append(
                f"Not brought in, as they {words}: {counted(len(places), 'image')}: {named(places)}. Put the files "
                "back, then bring in again; their judgements are kept."
            )
    return lines
