"""params.yaml -> the collector of each source: its address with its password, its folder, its limits. Runs none."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pipeline.collect.address import VARIABLE, Address, Kind, read_address
from pipeline.collect.choose import Wish
from pipeline.collect.clip_folder import ClipFolder
from pipeline.collect.clock import SystemClock
from pipeline.collect.collector import Collector, Tools
from pipeline.collect.frames import Frame, frames
from pipeline.collect.gaps import rules_of
from pipeline.collect.kept import Album
from pipeline.collect.room import GB, Classified, Limits, Room
from pipeline.collect.signs import Told
from pipeline.core.errors import NightshiftError
from pipeline.core.text import named
from pipeline.params.collect import Collect, Source


class CollectError(NightshiftError):
    """The sources in params.yaml cannot be collected as they are; the message names the key and what to do."""


@dataclass(frozen=True, slots=True)
class Job:
    """One source, ready to be collected by another process; its `repr` shows no password."""

    source: Source
    collect: Collect
    address: Address
    photos: Path

    @property
    def folder(self) -> Path:
        """Where its pictures go."""
        return self.photos / self.source.name


def jobs(collect: Collect, name: str | None = None, photos: Path | None = None) -> list[Job]:
    """The sources of params.yaml, or the one of that name. Raises CollectError.

    photos: instead of `collect.photos`.
    """
    chosen = [one for one in collect.sources if name in (None, one.name)]
    if not collect.sources:
        raise CollectError(
            "params.yaml: collect.sources is empty, so there is nothing to collect. Add a camera: {name: gate-2, "
            "address: rtsp://HOST/PATH}; the comments there and docs/cameras.md show how."
        )
    if not chosen:
        known = named([one.name for one in collect.sources])
        raise CollectError(f"params.yaml: collect.sources has no {name}. It has {known}.")
    return [Job(one, collect, address_of(one, os.environ), photos or Path(collect.photos)) for one in chosen]


def address_of(source: Source, environment: Mapping[str, str]) -> Address:
    """The address, with what environment variables hold in place of their names. Raises CollectError, AddressError."""

    def value(found: re.Match[str]) -> str:
        if not (text := environment.get(found[1], "")):
            raise CollectError(
                f"params.yaml: the address of {source.name} names the environment variable {found[1]}, which is not "
                f"set. Set it before `nightshift collect` or `nightshift up`: `export {found[1]}=…`."
            )
        return quote(text, safe="") if "://" in source.address else text  # a password may hold @ and /

    return read_address(VARIABLE.sub(value, source.address))


def with_plain_password(collect: Collect) -> list[str]:
    """The names of sources whose password stands in params.yaml itself."""
    plain = [VARIABLE.sub("", one.address) for one in collect.sources]
    return [one.name for one, text in zip(collect.sources, plain, strict=True) if read_address(text).password]


def collector_of(
    job: Job, clock: SystemClock, classified: Classified, tell: Callable[[Told], None]
) -> Collector | ClipFolder:
    """The collector of a source, whose folder must be there."""
    source, collect, album = job.source, job.collect, Album(job.folder, job.source.name)
    most = None if source.max_gb is None else int(source.max_gb * GB)
    room = Room(album, Limits(source.keep_days, most, int(collect.free_gb * GB)), classified)
    wish = Wish(source.every, source.change, collect.black)
    tools = Tools(album, rules_of(collect, source), wish, room, clock, tell)

    def read(address: Address) -> Iterator[Frame]:
        return frames(address, every=source.spacing, stop=clock.stop)

    if job.address.kind in (Kind.FOLDER, Kind.CLIP):
        return ClipFolder(tools, job.address, read)
    return Collector(tools, lambda: read(job.address))
