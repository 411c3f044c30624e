"""The button that brings what is judged into data/raw: the plan in words, and the deed. Plans nothing itself."""

from collections import Counter
from http import HTTPStatus

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from starlette.responses import Response

from pipeline.core.paths import RAW, REJECTED
from pipeline.core.text import counted
from pipeline.review.answers import as_json
from pipeline.sources.judged import BroughtIn, JudgedPlan, bring_in, plan_judged
from pipeline.storage.files import sha256


class Agreed(BaseModel):
    """The plan that a person has read and agrees to."""

    plan: str


def routes() -> APIRouter:
    """What a plan says, and carrying it out."""
    router = APIRouter(prefix="/api/import")

    @router.get("")
    def plan() -> Response:
        """What bringing in would do. Changes nothing."""
        found = plan_judged()
        return as_json({"plan": name_of(found), "lines": plan_lines(found), "empty": found.is_empty})

    @router.post("")
    def carry_out(agreed: Agreed) -> Response:
        """Do it, if it is still what the person has read."""
        found = plan_judged()
        if name_of(found) != agreed.plan:
            raise HTTPException(HTTPStatus.CONFLICT, "Somebody has judged images meanwhile: read the plan again.")
        return as_json({"lines": done_lines(bring_in(found))})

    return router


def name_of(plan: JudgedPlan) -> str:
    """Equal for equal plans."""
    items = [(item.file.place, item.label) for item in (*plan.new, *plan.moved)]
    return sha256(repr((items, plan.rejected)).encode())


def plan_lines(plan: JudgedPlan) -> list[str]:
    """What a plan does and leaves, in words."""
    lines = [f"Copy {_by_label(Counter(item.label for item in plan.new))} into {RAW}." if plan.new else ""]
    lines += [f"Move to their judged label: {_by_label(Counter(item.label for item in plan.moved))}."] * bool(
        plan.moved
    )
    lines += [f"Take {counted(len(plan.rejected), 'rejected image')} out, to {REJECTED}."] * bool(plan.rejected)
    lines += [f"New classes: {', '.join(plan.new_labels)}."] * bool(plan.new_labels)
    lines += [f"{counted(plan.there, 'image has', 'images have')} the judged label already."] * bool(plan.there)
    lines += [f"Readers differ on {counted(len(plan.differing), 'image')}: they stay as they are."] * bool(
        plan.differing
    )
    lines += [
        f"{counted(len(plan.lost), 'image is', 'images are')} not where they were judged, or have changed."
    ] * bool(plan.lost)
    return [line for line in lines if line] or ["Nothing is judged yet."]


def done_lines(done: BroughtIn) -> list[str]:
    """What has been done, in words."""
    parts = {"new": done.new, "moved": done.moved, "rejected": done.rejected}
    lines = [f"{words}: {_by_label(of)}." for words, of in parts.items() if of]
    return [*lines, *done.notes, "`nightshift train` learns from them."]


def _by_label(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {label}" for label, count in sorted(counts.items()))
