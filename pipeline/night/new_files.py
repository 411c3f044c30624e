"""Files that came after a night began, which was interrupted and goes on with its own list: they have no row in it."""

from collections.abc import Iterable, Iterator

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.text import counted
from pipeline.night.ledger import Run
from pipeline.storage.folders import Folder
from pipeline.storage.listing import order_of


def came_since(run: Run, source: Folder) -> int:
    """How many files of a resumed run's input are not in its list, with a warning if there are any.

    An input that cannot be listed is a warning too, and none are counted: the night has what it needs to go on.
    """
    try:
        count = sum(1 for _ in missing_from(run.listed(), (file.path for file in source.list_images())))
    except (NightshiftError, OSError) as error:
        log.warning("Could not see whether files came after this night began: %s", error)
        return 0
    if count:
        log.warning("%s", new_files_line(count))
    return count


def missing_from(listed: Iterable[str], now: Iterable[str]) -> Iterator[str]:
    """The paths of `now` that are not in `listed`. Both are in the order of a listing; neither is held in memory."""
    before = map(order_of, listed)
    reached = next(before, None)
    for path in now:
        place = order_of(path)
        while reached is not None and reached < place:
            reached = next(before, None)
        if reached != place:
            yield path


def new_files_line(count: int) -> str:
    """What a person must know of so many files without a row."""
    return (
        f"{counted(count, 'file')} came after this night began, and {'has' if count == 1 else 'have'} no row in it: it "
        "was interrupted, and went on with its own list of files. The same command again classifies "
        f"{'it' if count == 1 else 'them'}; so does the next night over this input."
    )
