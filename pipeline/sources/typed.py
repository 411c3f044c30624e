"""What a person has typed into a table of images, as judgements. Opens no table and no image."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from pipeline.core.paths import JUDGEMENTS
from pipeline.core.text import counted
from pipeline.data.judgements import Judgement, keep, read_judgements, this_reader
from pipeline.data.labels import sameness
from pipeline.night.review_labels import CANNOT_TELL, REJECT

Kind = Literal["label", "reject", "cannot_tell"]
WORDS: dict[str, Kind] = {
    "-": "reject", REJECT: "reject", "rejected": "reject",
    "?": "cannot_tell", CANNOT_TELL: "cannot_tell", "cannot_tell": "cannot_tell",
}  # fmt: skip


def kind_of(text: str, classes: Collection[str]) -> Kind:
    """What a person means by the text of a cell: a label, also one that is named as one of WORDS."""
    same = sameness(text)
    return "label" if same in {*map(sameness, classes)} else WORDS.get(same, "label")


def judgement_of(
    sha256: str, path: str, folder: str, text: str, kind: Kind, *, proposed: str = "", model_version: str = ""
) -> Judgement | None:
    """The judgement of whoever runs this program; None where the row does not say which image it is of.

    path, folder: as a judgement keeps them.
    """
    said: dict[str, str | bool] = {"label": text} if kind == "label" else {kind: True}
    about = {"sha256": sha256, "path": path, "folder": folder, "proposed": proposed, "model_version": model_version}
    try:
        return Judgement.model_validate(about | said | {"reader": this_reader(), "source": "import"})
    except ValidationError:
        return None


def keep_typed(judgements: Sequence[Judgement], raw: Path) -> list[str]:
    """Append what the same reader has not said of the image before, and say in lines what was kept."""
    if not judgements:
        return []
    file = raw.parent / JUDGEMENTS.name
    known = read_judgements(file).by_image
    new = []
    for one in judgements:
        before = known.get(one.sha256, {}).get(one.reader)
        if before is None or before.said != one.said:
            new.append(one)
    keep(new, file)
    lines = [f"Kept {counted(len(new), 'judgement')} of {new[0].reader} in {JUDGEMENTS}."] if new else []
    if any(one.reject for one in judgements):
        lines.append("`nightshift data import labels` takes the rejected images out of data/raw.")
    return lines
