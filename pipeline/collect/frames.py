"""An address -> its frames. Connects once: whoever collects decides whether and when to connect again."""

from collections.abc import Iterator
from threading import Event

from pipeline.collect.address import Address, Kind
from pipeline.collect.frame import Frame as Frame  # whoever takes frames finds all of this here
from pipeline.collect.frame import SourceLost as SourceLost
from pipeline.collect.frame import Timeouts as Timeouts
from pipeline.collect.frame import Why as Why

DEFAULT = Timeouts()


def frames(
    address: Address, *, every: float = 0.0, timeouts: Timeouts = DEFAULT, stop: Event | None = None
) -> Iterator[Frame]:
    """The frames of a source, at least `every` seconds apart; 0: all that this machine can decode.

    A live source gives its newest frame, and what came since the last one is dropped: it never falls behind. A clip
    gives its frames by their own time, then ends. Frames that are damaged are left out. Ends when `stop` is set.
    Raises SourceLost when there will be no more, and a source that hangs within its timeouts. A folder is read clip by
    clip: see `clips_in`.
    """
    # Imported here: the web needs httpx, the others av, and most sources need one of them.
    match address.kind:
        case Kind.WEB:
            from pipeline.collect.web import web_frames

            return web_frames(address, every, timeouts, stop)
        case Kind.RTSP | Kind.DEVICE:
            from pipeline.collect.video import video_frames

            return video_frames(address, every, timeouts, stop)
        case Kind.CLIP:
            from pipeline.collect.clips import clip_frames

            return clip_frames(address, every, stop)
        case Kind.FOLDER:
            raise ValueError(f"{address} is a folder: read its clips one by one.")
