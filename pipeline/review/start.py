"""The page that a project's servers begin with: last night, next night, champion, and what waits for a person.

It reads the project's files as they are at each visit. What the other servers know it is given.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pipeline.core.errors import NightshiftError
from pipeline.core.pages import Link, render
from pipeline.core.paths import LABEL_ISSUES, PREDICTIONS, REPORTS_INDEX
from pipeline.core.text import shown
from pipeline.data.judgements import Judgements, read_judgements
from pipeline.data.suspects import read_suspects
from pipeline.night.all_nights import PAGE, Entry, entries_of
from pipeline.night.review_file import read_review
from pipeline.night.review_labels import REVIEW
from pipeline.night.scene_files import scenes_of
from pipeline.params.file import load_params
from pipeline.review.training_state import training_now
from pipeline.storage.folders import folder_at

TEMPLATE = "review/start.html"
NIGHTS, SUSPECTS = "night", "suspects"  # the first part of a review's address
ALL = "all"  # the second part of the suspects' address
LISTED = 10  # nights on the page


@dataclass(frozen=True, slots=True)
class Card:
    """One fact in large letters."""

    headline: str
    about: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the other servers say."""

    coming: Card  # the next night, by Prefect's schedule
    champion: Card  # by MLflow
    links: tuple[Link, ...]  # to their pages
    wrong: tuple[str, ...] = ()  # why the next runs would fail, and what to do


@dataclass(frozen=True, slots=True)
class Waiting:
    """A review that a person may go to."""

    title: str
    about: str
    address: str
    left: int  # images that a person should look at, and nobody has judged
    judged: int


def start_page(elsewhere: Elsewhere) -> str:
    """The page. Raises JudgementsError, ParamsError."""
    nights, _ = entries_of(load_params().batch)
    judgements = read_judgements()
    ours = [Link("All nights", f"predictions/{PAGE.name}")] if PAGE.is_file() else []
    ours += [Link("The last training", f"reports/{REPORTS_INDEX.name}")] if REPORTS_INDEX.is_file() else []
    return render(
        TEMPLATE,
        project=shown(Path.cwd().name),
        last=nights[0] if nights else None,
        training=training_now(),
        coming=elsewhere.coming,
        champion=elsewhere.champion,
        wrong=elsewhere.wrong,
        judged=len(judgements.by_image),
        links=[*ours, *elsewhere.links],
        reviews=_reviews(nights, judgements),
    )


def review_of(folder: str) -> str:
    """The address of the review of a night in predictions/, from the start page; its folder may hold any byte."""
    return f"{NIGHTS}/{quote(os.fsencode(folder), safe='')}/"


def _reviews(nights: list[Entry], judgements: Judgements) -> list[Waiting]:
    """The newest finished nights."""
    found = []
    for one in [night for night in nights if night.counts][:LISTED]:
        left, judged = _counted(PREDICTIONS / one.folder / REVIEW, judgements)
        found.append(Waiting(f"Night {one.name}", f"{one.verdict}: {one.input}", review_of(one.folder), left, judged))
    return [*found, *_suspects(judgements)]


def _suspects(judgements: Judgements) -> list[Waiting]:
    """The labels that the audit takes for wrong, where a training has looked."""
    try:
        rows = read_suspects(LABEL_ISSUES)
    except (NightshiftError, OSError):  # a person's spreadsheet holds the file
        return []
    images = {row["sha256"] for row in rows if row["sha256"]}
    judged = sum(one in judgements.by_image for one in images)
    title, about = "Labels that may be wrong", "images of data/raw, by the last training"
    return [Waiting(title, about, f"{SUSPECTS}/{ALL}/", len(images) - judged, judged)] if images else []


def _counted(review: Path, judgements: Judgements) -> tuple[int, int]:
    """Of the images that a night's review names: how many nobody has judged, and how many somebody has."""
    try:
        scenes = scenes_of(folder_at(review.parent))
        rows = [row for row in read_review(review.read_bytes(), str(review)) if row["path"] not in scenes]
    except (NightshiftError, OSError):  # a night of an earlier version, or a person's spreadsheet holds the file
        return 0, 0
    images = {row["sha256"] for row in rows if row["sha256"]}
    judged = sum(one in judgements.by_image for one in images)
    return len(images) - judged, judged
