"""Which files of a folder a server shows: nothing that is hidden, and nothing outside of it."""

from pathlib import Path


def shown_file(folder: Path, path: str) -> Path | None:
    """The file at `path` in `folder`; None where there is none to show."""
    place = folder / path
    is_hidden = any(part.startswith(".") for part in Path(path).parts)
    try:
        if is_hidden or not place.is_file() or not place.resolve().is_relative_to(folder.resolve()):
            return None
    except (OSError, ValueError):  # a name that no disk can have
        return None
    return place
