"""Where a night's input is from the night's own folder, so that a project can be moved or copied with both in it."""

import os
from pathlib import Path

from pipeline.core.cells import csv_path, listed_path
from pipeline.storage.folders import Folder, folder_at


def from_output(source: str, output: Folder) -> str | None:
    """The path of `source` from `output`, as in a CSV; None unless both are in the project."""
    there, here, project = folder_at(source).local, output.local, Path.cwd()
    if there is None or here is None:
        return None
    there, here = there.absolute(), here.absolute()
    if not (there.is_relative_to(project) and here.is_relative_to(project)):
        return None
    return csv_path(os.path.relpath(there, here))


def input_now(source: str, from_here: str | None, output: Folder) -> str:
    """The input as in a CSV: what lies at `from_here` from `output`; else `source`, where it was during the night."""
    if from_here is None or output.local is None:
        return source
    # Not through the folders: where predictions/ is a link, its parent is another one.
    found = Path(os.path.normpath(output.local.absolute() / listed_path(from_here)))
    return csv_path(str(found)) if found.is_dir() else source
