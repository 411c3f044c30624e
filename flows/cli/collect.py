"""The command `nightshift collect`: pictures of the cameras in params.yaml, as they come."""

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.core.errors import NightshiftError

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.collect.start import Job
    from pipeline.night.live import Live
    from pipeline.params.collect import Collect
    from pipeline.params.file import Params

app = typer.Typer()

CLIPS_ONLY = "Install the extra for streams, devices and clips: `pip install 'nightshift[cameras]'`."


@app.command()
def collect(
    source: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="One source of collect.sources; without it, all.", show_default=False),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Take one picture of each, or all clips that are there, and end.")
    ] = False,
    until: Annotated[
        str | None, typer.Option(metavar="HH:MM", help="End when the clock shows this; without it, at Ctrl-C.")
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(help="The folder for pictures; without it, collect.photos.", show_default=False),
    ] = None,
    classify: Annotated[
        bool | None,
        typer.Option(
            "--classify/--no-classify",
            help="Also classify each by the champion at once, into predictions/collect-DATE/predictions.csv; without "
            "it, as collect.classify says.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Keep pictures of cameras and clips as they come: photos/CAMERA/DATE/CAMERA_TIME.jpg, for the next night.

    gaps.csv beside them has every time without a picture. What stops at Ctrl-C or is killed goes on with the same
    command. `nightshift up` runs it in the background.
    """
    from pipeline.collect.start import jobs
    from pipeline.night.deadline import deadline_at
    from pipeline.params.file import load_params

    if once and until:
        raise NightshiftError("--once takes one picture and ends, so --until has no meaning with it. Leave one out.")
    params = load_params()
    rules = params.collect
    wanted = jobs(rules, source, photos)
    _require_packages(wanted)
    _warn_of_passwords(rules)
    if classify:
        from pipeline.registry import champions

        champions.require_champion(params.register_.model_name)  # a mistake at the keyboard is said at once
    to_classify = params if (rules.classify if classify is None else classify) else None
    if once:
        _once(wanted, to_classify)
    else:
        _for_ever(wanted, deadline_at(until), to_classify)


def _require_packages(wanted: "list[Job]") -> None:
    from importlib.util import find_spec

    from pipeline.collect.address import Kind

    if any(job.address.kind is not Kind.WEB for job in wanted) and find_spec("av") is None:
        raise NightshiftError(f"PyAV, which reads streams, devices and clips, is not installed. {CLIPS_ONLY}")


def _warn_of_passwords(rules: "Collect") -> None:
    from pipeline.collect.start import with_plain_password
    from pipeline.core.log import log
    from pipeline.core.text import named

    if plain := with_plain_password(rules):
        log.warning(
            "params.yaml holds the password of %s, and git keeps it for ever. Write ${NAME} in its place, and set the "
            "environment variable NAME.", named(plain),
        )  # fmt: skip


def _once(wanted: "list[Job]", to_classify: "Params | None") -> None:
    from functools import partial

    from pipeline.collect.signs import Told
    from pipeline.collect.supervise import Failed, Said, take_one_each
    from pipeline.core.log import log
    from pipeline.night.classified import classified

    failed, new = list[str](), list[str]()
    for job, event in take_one_each(wanted, partial(classified, wanted[0].photos)):
        match event:
            case Told(kept=kept) if kept:
                typer.echo(job.folder / kept.path)
                new.append(f"{job.source.name}/{kept.path}")
            case Said(level, text):
                log.log(level, "%s: %s", job.source.name, text)
            case Failed(error):
                failed.append(f"{job.source.name}: {error}")
    if to_classify and new:
        _classify_now(wanted[0].photos, new, to_classify)
    if failed:
        raise NightshiftError("\n".join(failed))


def _classify_now(photos: Path, paths: list[str], params: "Params") -> None:
    from pipeline.core.text import shown
    from pipeline.notices.by_label import classify_and_tell

    for row in classify_and_tell(photos, paths, params):
        answer = [row["label"], row["confidence"], row["status"], row["error"]]
        typer.echo(shown(f"{row['path']}: {' '.join(filter(None, answer))}"))


def _for_ever(wanted: "list[Job]", until: "datetime | None", to_classify: "Params | None") -> None:
    from functools import partial

    from flows.show_collect import Display
    from pipeline.collect.signs import Told
    from pipeline.collect.supervise import Failed, Said
    from pipeline.collect.supervise import collect as collect_all
    from pipeline.core.log import log
    from pipeline.night.classified import classified
    from pipeline.notices.when_a_camera_fails import Watchman

    stop, watchman = threading.Event(), Watchman()
    live = _classifier(wanted, to_classify) if to_classify else None
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    names = ", ".join(job.source.name for job in wanted)
    log.info("Collecting from %s into %s. Ctrl-C ends it.", names, wanted[0].photos)
    try:
        with Display([job.source.name for job in wanted]) as display:
            for job, event in collect_all(wanted, partial(classified, wanted[0].photos), stop, until):
                match event:
                    case Told(state, kept, begun):
                        display.show(job.source.name, state)
                        if kept and live:
                            live.add(f"{job.source.name}/{kept.path}")
                        if begun:
                            watchman.gap(job.source.name, begun)
                    case Said(level, text):
                        log.log(level, "%s: %s", job.source.name, text)
                    case Failed(error):
                        log.warning("%s: %s", job.source.name, error)
    finally:
        if live:
            live.end()
        for number, handler in before.items():
            signal.signal(number, handler)
    log.info("Ended. What was collected is in %s; the same command goes on.", wanted[0].photos)


def _classifier(wanted: "list[Job]", params: "Params") -> "Live":
    """Classifies in another thread. Without a champion it says so, and looks again: pictures are kept all the same."""
    from pipeline.night.live import Live
    from pipeline.notices.by_label import Watch
    from pipeline.storage.folders import folder_at

    photos = wanted[0].photos
    watch = Watch(params.notify.when, folder_at(photos))
    live = Live(photos, [job.source.name for job in wanted], params, watch.see)
    live.start()
    return live
