"""What the page says of bringing in: in its own words, which name nothing that only a terminal has."""

import errno
from pathlib import Path

from pipeline.review.bringing_in import plan_lines, refusal
from pipeline.sources.import_plan import ImportingError
from pipeline.sources.judged import JudgedPlan
from pipeline.sources.layout import Found, Item


def test_an_import_that_failed_is_said_without_options_and_commands() -> None:
    told = refusal(ImportingError("The disk has 3 MB free. Make room.", "Or add --link."))
    assert told == "The disk has 3 MB free. Make room. Then bring the images in again: what is done is kept."
    full = refusal(OSError(errno.ENOSPC, "No space left", "/data/raw/a.jpg"))
    assert full.startswith("The disk at / ")
    assert full.endswith("Then bring the images in again: what is done is kept.")
    assert "command" not in full
    assert refusal(OSError(errno.ENOENT, "No such file", "/a.jpg")) == ""


def test_the_plan_names_new_classes_first_and_what_it_leaves() -> None:
    plan = JudgedPlan(
        Path(), new=(Item("wasp", "1.jpg", Found("1.jpg", "1.jpg")),), new_labels=("wasp",), unknown=("ants/1.jpg",)
    )
    assert plan_lines(plan)[0] == "New classes: wasp."
    assert plan_lines(plan)[-1].endswith("taken back: ants/1.jpg. Judge them again, or move them by hand.")
    assert plan_lines(JudgedPlan(Path())) == ["Nothing is judged yet."]
    assert plan_lines(JudgedPlan(Path(), judged=1)) == ["Nothing to bring in."]
