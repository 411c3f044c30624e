"""Rows of an earlier night whose files are gone: a night into the same output keeps the whole of the earlier CSV.

It stays beside the new one as predictions-1.csv, predictions-2.csv, ... One that says where pictures were taken does
not, where `privacy.location` no longer keeps that.
"""

import itertools
import shutil
from collections.abc import Iterable

from pipeline.core.cells import listed_path
from pipeline.core.log import log
from pipeline.core.text import counted
from pipeline.night.new_files import missing_from
from pipeline.night.rows import LOCATION, PREDICTIONS_CSV, RowsError, of_files, read_rows
from pipeline.night.summary import summary_if_any
from pipeline.storage.folders import Folder


def keep_rows(output: Folder, listed: Iterable[str], *, location: bool = False) -> None:
    """Keep the finished night's CSV in `output`, and log a warning, if it has files that are not `listed` now.

    listed: paths in a listing's order; location: whether a night may write where pictures were taken.
    """
    if summary_if_any(output) is None or not output.exists(PREDICTIONS_CSV):
        return
    file = output.path / PREDICTIONS_CSV
    try:
        before = (listed_path(row["path"]) for row in of_files(read_rows(file)))
        gone = sum(1 for _ in missing_from(listed, before))
        is_kept = location or not {*LOCATION} & next(read_rows(file), {}).keys()
    except RowsError:  # damaged, or another program's
        return
    if not gone:
        return
    kept = f"it is kept as {_keep(output)}" if is_kept else "it is not kept, as it says where pictures were taken"
    log.warning(
        "%s has the rows of %s no longer in the input, and this night writes it again without them: %s. "
        "Leave OUTPUT out, and each night has its own folder.",
        file, f"{counted(gone, 'file')} that {'is' if gone == 1 else 'are'}", kept,
    )  # fmt: skip


def _keep(output: Folder) -> str:
    """Copy the CSV to the next free name, which is returned."""
    names = output.names()
    name = next(name for number in itertools.count(1) if (name := f"predictions-{number}.csv") not in names)
    with output.file_at_hand(PREDICTIONS_CSV) as there, output.replacing(name) as beside:
        shutil.copyfile(there, beside)
    return name
