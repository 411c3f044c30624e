"""The button that brings what is judged into data/raw: the plan in words, and the deed. Plans nothing itself."""

from collections import Counter
from http import HTTPStatus

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from starlette.responses import Response

from pipeline.core.disk_errors import AGAIN as ON_TERMINAL
from pipeline.core.disk_errors import DiskError, disk_error
from pipeline.review.answers import as_json
from pipeline.sources.import_plan import ImportingError
from pipeline.sources.judged import BroughtIn, JudgedPlan, bring_in, plan_judged
from pipeline.sources.judged_words import plan_lines
from pipeline.storage.files import sha256

AGAIN = "Then bring the images in again: what is done is kept."


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
        try:
            return as_json({"lines": done_lines(bring_in(found))})
        except (ImportingError, DiskError, OSError) as error:
            if words := refusal(error):
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, words) from None
            raise

    return router


def refusal(error: Exception) -> str:
    """What a page says of an import that failed, without what only a terminal can do; empty where it has no words."""
    if isinstance(error, ImportingError):
        return f"{error.what} {AGAIN}"
    meant = disk_error(error) if isinstance(error, OSError) else error
    return f"{str(meant).removesuffix(f' {ON_TERMINAL}')}. {AGAIN}" if meant else ""


def name_of(plan: JudgedPlan) -> str:
    """Equal for equal plans."""
    items = [(item.file.place, item.label) for item in (*plan.new, *plan.moved)]
    return sha256(repr((items, plan.rejected)).encode())


def done_lines(done: BroughtIn) -> list[str]:
    """What has been done, in words."""
    parts = {"Copied": done.new, "Moved to another label": done.moved, "Rejected": done.rejected}
    lines = [f"{words}: {_by_label(of)}." for words, of in parts.items() if of]
    return [*lines, *done.notes, "The next training learns from them."]


def _by_label(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {label}" for label, count in sorted(counts.items()))
