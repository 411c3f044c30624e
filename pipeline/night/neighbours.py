"""What stands beside a page of a night: its other pages, its model's card, all nights, the newest reports."""

import shlex
from pathlib import Path

from pipeline.core.pages import Link, links_from
from pipeline.core.paths import DATA_REPORT, EVALUATION_REPORT
from pipeline.night.outputs import is_in_predictions
from pipeline.storage.folders import Folder

MORNING, CARD = "morning.html", "model_card.html"  # beside predictions.csv, as the others
OWN = (
    ("Night", MORNING), ("Review", "review.html"), ("All answers (CSV)", "predictions.csv"),
    ("To correct (CSV)", "review.csv"),
)  # fmt: skip
# A page of a night is not written again when the next model is trained: these words stay right.
NEWEST = (("Newest training: evaluation", EVALUATION_REPORT), ("Newest training: data", DATA_REPORT))
ALL_NIGHTS = "index.html"  # in predictions/


def neighbours(output: Folder, page: str, version: str) -> list[Link]:
    """The links of the page `page` of the night in `output`. version: of the model that answered."""
    found = [Link(words, name) for words, name in OWN if name != page]
    if output.exists(CARD):
        found.append(Link(f"Model card of version {version}", CARD))
    if is_in_predictions(output):
        found.append(Link("All nights", f"../{ALL_NIGHTS}"))
    return found + (links_from(output.local, NEWEST) if output.local else [])


def as_typed(output: Folder) -> str:
    """The night's folder as a person in the project's folder would name it in a command."""
    local, project = output.local, Path.cwd()
    if local and local.absolute().is_relative_to(project):
        return shlex.quote(str(local.absolute().relative_to(project)))
    return shlex.quote(str(output))
