"""The classes that a person makes while looking: their names, and how one becomes another. Keeps nothing.

A class has a new name, or is merged with another, by further judgements: those before stay in the file.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from pipeline.core.text import shown
from pipeline.data.judgements import Judgement, Judgements
from pipeline.data.label_folders import LabelError, folder_of
from pipeline.data.labels import clean, sameness

LONGEST = 200  # characters, as a click has


def valid_name(typed: str) -> str:
    """The label that a person meant by what they typed. Raises LabelError where it cannot name a folder of images."""
    label = clean(typed)
    if not label or not sameness(label):
        raise LabelError("A class needs a name of at least one character that can be seen.")
    if len(label) > LONGEST:
        raise LabelError(f"The name {shown(label[:40])}… is longer than {LONGEST} characters. Shorten it.")
    if any(not char.isprintable() for char in label if char not in "\u200c\u200d"):  # joiners: Persian, emoji
        raise LabelError(f"The name {shown(label)} has characters that cannot be shown. Type it again without them.")
    folder_of(label)
    return label


def why_not(typed: str) -> str | None:
    """Why a typed text cannot be a label; None: it can."""
    try:
        valid_name(typed)
    except LabelError as error:
        return str(error)
    return None


def renamed(judgements: Judgements, images: Iterable[str], old: str, new: str, by: str) -> list[Judgement]:
    """Judgements that give every image of `old` the label `new`, each in the name of the reader who had judged it.

    Their further field `renamed_by` says who did it: a reader's opinion of the image is as before.
    """
    key, now = sameness(old), datetime.now(UTC)
    return [
        Judgement.model_validate(
            one.model_dump(exclude={"at", "seconds", "click"}) | {"label": new, "renamed_by": by, "at": now}
        )
        for sha256 in images
        for one in judgements.of(sha256)
        if one.label and sameness(one.label) == key
    ]
