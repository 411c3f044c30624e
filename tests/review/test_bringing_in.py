"""What the page says of bringing in: in its own words, which name nothing that only a terminal has."""

import errno

from pipeline.review.bringing_in import refusal
from pipeline.sources.import_plan import ImportingError


def test_an_import_that_failed_is_said_without_options_and_commands() -> None:
    told = refusal(ImportingError("The disk has 3 MB free. Make room.", "Or add --link."))
    assert told == "The disk has 3 MB free. Make room. Then bring the images in again: what is done is kept."
    full = refusal(OSError(errno.ENOSPC, "No space left", "/data/raw/a.jpg"))
    assert full.startswith("The disk at / ")
    assert full.endswith("Then bring the images in again: what is done is kept.")
    assert "command" not in full
    assert refusal(OSError(errno.ENOENT, "No such file", "/a.jpg")) == ""
