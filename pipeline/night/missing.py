"""The times without pictures of the cameras whose folders a night classified. Takes no picture, and ends no gap."""

import datetime
from pathlib import Path

from pipeline.collect.gaps import rules_of
from pipeline.collect.state import gaps_between
from pipeline.core.paths import PREDICTIONS
from pipeline.night.repeats import last_finished
from pipeline.night.summary import CameraGap, read_summary
from pipeline.params.collect import Collect
from pipeline.storage.folders import Folder, folder_at

USUAL = datetime.timedelta(days=1)  # that the first night over a folder looks back


def camera_gaps(
    source: Folder, output: Folder, began: datetime.datetime, collect: Collect, now: datetime.datetime
) -> tuple[CameraGap, ...]:
    """The gaps of the cameras below `source` since the last night over it, until this one into `output` began."""
    photos = Path(collect.photos)
    cameras = [one for one in collect.sources if source.local and source.contains(folder_at(photos / one.name))]
    if not cameras:
        return ()
    since = _last_began(source, output, began)
    return tuple(
        CameraGap(
            camera=one.name,
            start=gap.start.isoformat(timespec="seconds"),
            end=gap.end.isoformat(timespec="seconds") if gap.end else None,
            reason=gap.reason,
        )
        for one in cameras
        for gap in gaps_between(photos / one.name, rules_of(collect, one), since, began, now)
    )


def _last_began(source: Folder, output: Folder, began: datetime.datetime) -> datetime.datetime:
    folders = {*PREDICTIONS.absolute().glob("*"), *(output.local.absolute().parent.glob("*") if output.local else ())}
    last = last_finished(source, folders - {output.local and output.local.absolute()})
    summary = read_summary(folder_at(last)) if last else None
    return min(datetime.datetime.fromisoformat(summary.started_at), began) if summary else began - USUAL
