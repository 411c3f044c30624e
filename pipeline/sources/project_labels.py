"""A source's labels beside those that the project has: which are new, which are slips. Copies nothing."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.hidden import is_hidden
from pipeline.core.text import named, shown
from pipeline.data import labels
from pipeline.data.label_folders import LabelError
from pipeline.sources.layout import Item


@dataclass(frozen=True, slots=True)
class ProjectLabels:
    """The labels that have a folder in data/raw."""

    folders: Mapping[str, str]  # label -> the name of its folder

    def missing(self, items: Sequence[Item]) -> list[str]:
        """The labels of `items` that the project does not have. Raises LabelError for one in another spelling."""
        ours = {labels.sameness(label): label for label in self.folders}
        new = sorted({item.label for item in items} - set(self.folders))
        if spelt := [(label, ours[labels.sameness(label)]) for label in new if labels.sameness(label) in ours]:
            found = " ".join(_spelt(theirs, known, items) for theirs, known in spelt)
            raise LabelError(
                f"The source spells a label of the project differently: {found} Write the project's label in the "
                "source, and run the same command again; nothing was copied."
            )
        return new

    def refuse_unknown(self, new: Sequence[str], items: Sequence[Item], place: str) -> None:
        """Raise LabelError when the labels `new`, which a person typed, are new to a project that has labels."""
        if self.folders and new:
            raise LabelError(
                f"{place} has labels that the project does not have: "
                f"{self._named(item for item in items if item.label in new)}. The project's are "
                f"{named(sorted(self.folders))}. Correct them, or add --new-label if they are new classes; nothing was "
                "copied."
            )

    def said_of_new(self, new: Sequence[str], items: Sequence[Item]) -> list[str]:
        """A line on the labels that the project has from now on; none for the project's first import."""
        if not self.folders or not new:
            return []
        found = self._named(item for item in items if item.label in new)
        return [f"New to this project: {found}. If that is a slip, move the images in data/raw."]

    def _named(self, items: Iterable[Item]) -> str:
        counts = Counter(item.label for item in items)
        return "; ".join(
            f"{shown(label)} ({count} image{'s' * (count != 1)}{f', did you mean {shown(near)}?' if near else ''})"
            for label, count in sorted(counts.items())
            for near in [labels.meant(label, self.folders)]
        )


def _spelt(theirs: str, ours: str, items: Sequence[Item]) -> str:
    """A label of the source, its images, and how the project spells it."""
    alike = unicodedata.normalize("NFC", theirs) == unicodedata.normalize("NFC", ours)  # only code points tell them
    written, known = (labels.with_code_points(one) if alike else f"'{shown(one)}'" for one in (theirs, ours))
    return f"{written} of {named([item.below for item in items if item.label == theirs])}; did you mean {known}?"


def labels_in(raw: Path) -> ProjectLabels:
    """The labels of the folders of `raw`. Raises LabelError when two folders are one label."""
    folders = (
        sorted(entry.name for entry in raw.iterdir() if entry.is_dir() and not is_hidden(entry.name))
        if raw.is_dir()
        else []
    )
    labels.refuse_same_folders(folders, raw)
    return ProjectLabels({labels.of_folder(folder): folder for folder in folders})
