"""The command `nightshift review`: a person looks at images in a browser, and judges them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.params.file import Params
    from pipeline.review.opened import Opened

app = typer.Typer()


@app.command()
def review(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="NIGHT|FOLDER",
            help="A finished night's folder, or its address; without one, the newest below predictions/. Or a folder "
            "of images without labels.",
            show_default=False,
        ),
    ] = None,
    suspects: Annotated[
        bool, typer.Option("--suspects", help="Images of data/raw whose labels may be wrong, instead of a night.")
    ] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Begin with the random draw: 30 images say how accurate the night was.")
    ] = False,
    proposals: Annotated[
        Path | None,
        typer.Option(
            metavar="LABELS.csv", help="For a FOLDER: first proposals, from `nightshift label`.", show_default=False
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Of this machine; without it, the last one, or any.", show_default=False),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
) -> None:
    """Look at images in the browser, and judge them. Every click is kept in data/labels.jsonl.

    The page is for this machine only, and needs no account. Ctrl-C ends it.
    """
    from flows.cli.interrupt import interruptible
    from flows.train_apart import TRAIN
    from pipeline.core.paths import JUDGEMENTS
    from pipeline.params.file import load_params
    from pipeline.review.serve import serve
    from pipeline.review.training_process import Trainer

    params = load_params()  # outside a project nothing begins
    if not (port or measure or proposals) and (address := _served(what, suspects)):
        typer.echo(f"`nightshift up` serves it already:\n{address}")
        if browser:
            _browse(address)
        return
    opened = _suspects(what) if suspects else _opened(what, params, proposals, measure)

    def tell(address: str) -> None:
        typer.echo(f"{opened.title}: {opened.about}")
        typer.echo(address)
        typer.echo("Ctrl-C ends it; nothing is lost.")
        if browser:
            _browse(address)

    with interruptible(lambda: f"Every judgement is in {JUDGEMENTS}; the same command goes on."):
        serve(opened, params.compute, port, tell, trainer=Trainer(TRAIN))


def _browse(address: str) -> None:
    import webbrowser

    webbrowser.open(address)


def _served(what: str | None, suspects: bool) -> str:
    """Where `nightshift up` serves this review now, with the token; empty where it does not."""
    from flows.services import configuration, listening, processes
    from pipeline.core.paths import PREDICTIONS
    from pipeline.night.outputs import latest_night
    from pipeline.night.summary import SUMMARY
    from pipeline.review.address import last_address
    from pipeline.review.front import HEALTH
    from pipeline.review.start import ALL, SUSPECTS, review_of

    if not processes.is_up():
        return ""
    if suspects:
        path = "" if what else f"{SUSPECTS}/{ALL}/"
    else:
        night = Path(what) if what else latest_night()
        is_listed = night and night.parent.absolute() == PREDICTIONS.absolute() and (night / SUMMARY).is_file()
        path = review_of(night.name) if night and is_listed else ""
    address = last_address(configuration.START)
    is_there = path and listening.answers(f"http://{configuration.LOOPBACK}:{address.port}{HEALTH}")
    return address.page_at(path) if is_there else ""


def _opened(what: str | None, params: "Params", proposals: Path | None, measure: bool) -> "Opened":
    """What the command's words name."""
    from pipeline.core.paths import PREDICTIONS
    from pipeline.night.rows import PREDICTIONS_CSV
    from pipeline.night.summary import SUMMARY
    from pipeline.review import of_night
    from pipeline.storage.folders import folder_at

    if what and not any(map(folder_at(what).exists, (SUMMARY, PREDICTIONS_CSV))):
        from pipeline.review.of_folder import open_folder, read_hints

        folder = folder_at(what)
        return open_folder(folder, params, read_hints(proposals, folder) if proposals else None)
    night = folder_at(what or of_night.newest_night(PREDICTIONS))
    return of_night.open_night(night, 1.0 if measure else of_night.DRAWN)


def _suspects(what: str | None) -> "Opened":
    from pipeline.core.errors import NightshiftError
    from pipeline.review.of_suspects import open_suspects

    if what:
        raise NightshiftError("--suspects are images of data/raw, NIGHT is a folder of answers. Give one of the two.")
    return open_suspects()
