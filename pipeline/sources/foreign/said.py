"""Keep what people have said in another tool as judgements of this project.

One rule: an answer counts that says who gave it and when, of an image that was found. It is kept once, and only if it
is newer than what the same reader has said of the image before.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pipeline.core.cells import csv_path
from pipeline.core.paths import JUDGEMENTS
from pipeline.core.text import counted
from pipeline.data.judgements import Judgement, every_judgement, folder_as_kept, keep
from pipeline.sources.layout import Found
from pipeline.sources.relabelled import sha256_of
from pipeline.sources.source import Source

NEVER = datetime.min.replace(tzinfo=UTC)


def judgements_of(source: Source) -> list[Judgement]:
    """What people have said of the images of a source, the oldest first; reads those images."""
    items = [item for item in (*source.items, *source.differing) if item.said]
    found = [
        Judgement(
            sha256=sha256, path=csv_path(item.file.path), folder=_folder(item.file), label=said.label,
            reader=said.reader, at=said.at, source="import", seconds=said.seconds,
        )
        for item, sha256 in source.visit(items, sha256_of)
        for said in item.said
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.at, one.sha256, one.reader))


def _folder(file: Found) -> str:
    """The folder of an image, as a judgement has it; empty for one in an archive."""
    folder = file.place.removesuffix(f"/{file.path}")
    return "" if folder == file.place else folder_as_kept(folder)


def keep_new(judgements: Sequence[Judgement], raw: Path) -> list[str]:
    """Append those that are new to data/labels.jsonl, and say in a line how many."""
    file = raw.parent / JUDGEMENTS.name
    last: dict[tuple[str, str], datetime] = {}
    answers: set[tuple[str, datetime, str]] = set()  # one that went out and comes back has another reader's name
    for one in every_judgement(file) if judgements else ():
        last[one.sha256, one.reader] = max(one.at, last.get((one.sha256, one.reader), one.at))
        answers.add((one.sha256, one.at, one.label))
    new = [
        one
        for one in judgements
        if _kept_at(one) > last.get((one.sha256, one.reader), NEVER)
        and (one.sha256, _kept_at(one), one.label) not in answers
    ]
    keep(new, file)
    if not new:
        return []
    readers = {one.reader for one in new}
    return [f"Kept {counted(len(new), 'judgement')} of {counted(len(readers), 'reader')} in {JUDGEMENTS}."]


def _kept_at(judgement: Judgement) -> datetime:
    """The time as the file has it: in milliseconds."""
    return judgement.at.replace(microsecond=judgement.at.microsecond // 1000 * 1000)
