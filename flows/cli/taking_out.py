"""The commands that take a finished night out: as a data package or a map, as sidecars, as folders by label."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

WHICH = "A finished night: its folder, its address, its name in predictions/, or `latest`"
Night = Annotated[str, typer.Argument(metavar="NIGHT", help=f"{WHICH}.", show_default=False)]
AnyNight = Annotated[str, typer.Argument(metavar="NIGHT", help=f"{WHICH}; without it, the latest.", show_default=False)]


class Format(StrEnum):
    """What a night is written as."""

    CAMTRAP_DP = "camtrap-dp"
    GEOJSON = "geojson"


class Status(StrEnum):
    """Rows with a label."""

    OK = "ok"
    UNSURE = "unsure"


class SidecarNames(StrEnum):
    """What a sidecar is called."""

    BOTH = "both"
    STEM = "photo.xmp"
    FULL = "photo.jpg.xmp"


@app.command()
def export(
    form: Annotated[Format, typer.Argument(metavar="FORMAT", help="camtrap-dp or geojson.")],
    night: AnyNight = "latest",
    out: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help="The file to write (camtrap-dp: the folder); without it, one in exports/, below the night's name.",
            show_default=False,
        ),
    ] = "",
    prefix: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Of camtrap-dp: what stands before each photograph's path, such as https://example.org/photos; "
            "without it, paths are as in predictions.csv, below the folder of the package.",
        ),
    ] = "",
    deployments: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Of camtrap-dp: a CSV of where cameras stood whose photographs do not say it: deploymentID (the "
            "camera), latitude, longitude, and other columns of Camtrap DP's deployments.",
        ),
    ] = None,
    utc_offset: Annotated[
        str,
        typer.Option(
            metavar="OFFSET",
            help="Of camtrap-dp: the offset from UTC of cameras that do not write it, such as +01:00 or Z.",
        ),
    ] = "",
) -> None:
    """Write a night's answers for others: Camtrap DP 1.0, or GeoJSON for maps. Both say where images were taken.

    The same night gives the same bytes. Other people's files are not replaced.
    """
    from pipeline.exports.night_export import Asked, export_night, offset_of
    from pipeline.params.file import load_params

    params = load_params()
    asked = Asked(prefix, offset_of(utc_offset), deployments)
    done = export_night(form.value, night, out, params.privacy, asked)
    for line in done.notes:
        typer.echo(line)
    typer.echo(f"{done.what}: {done.out}")


@app.command()
def tag(
    night: AnyNight = "latest",
    status: Annotated[list[Status], typer.Option(help="Rows whose labels become keywords; may be given twice.")] = [  # noqa: B006
        Status.OK
    ],
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="No keywords of rows with less.")] = 0.0,
    beside: Annotated[
        bool, typer.Option("--beside", help="Write each sidecar beside its photograph; so it is without --into.")
    ] = False,
    into: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write the sidecars below this folder, in the folders of the photographs."),
    ] = None,
    names: Annotated[
        SidecarNames,
        typer.Option(
            help="both: what Lightroom and digiKam read: photo.xmp, or a photo.jpg.xmp that is there; darktable and "
            "Immich read photo.jpg.xmp."
        ),
    ] = SidecarNames.BOTH,
) -> None:
    """Write a night's labels into XMP sidecars, as keywords that photo managers show. Photographs are not changed.

    What a sidecar has stays; only keywords of an earlier `nightshift tag` are replaced.
    """
    from pipeline.core.terminal import progress_bar
    from pipeline.core.text import counted, named
    from pipeline.exports import sidecars
    from pipeline.exports.finished import finished_night
    from pipeline.params.file import load_params

    if beside and into:
        raise typer.BadParameter("Sidecars are written beside the photographs, or --into a folder: not both.")
    params, found = load_params(), finished_night(night)
    wanted = sidecars.Wanted(
        frozenset(one.value for one in status), min_confidence, into, sidecars.Names(names.value),
        params.privacy.keeps_location,
    )  # fmt: skip
    with progress_bar(desc="sidecars", total=found.summary.listed, unit="image") as bar:
        done = sidecars.tag(found, wanted, bar.update)
    for words, count in done.done.items():
        typer.echo(f"{count:6,d} {words}")
    for file, why in done.refused[: sidecars.SHOWN]:
        typer.echo(f"Left as it is: {file}: {why}.")
    if len(done.refused) > sidecars.SHOWN:
        typer.echo(f"Left as they are: {counted(len(done.refused) - sidecars.SHOWN, 'more sidecar')}.")
    if done.changed:
        typer.echo(f"Gone or changed since the night, so not tagged: {named(done.changed)}. Classify the folder again.")
    if done.refused:
        raise typer.Exit(1)


@app.command()
def sort(
    night: Night,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="A new folder, or one that `nightshift sort` has written, whose night this one then replaces.",
        ),
    ],
    hard: Annotated[bool, typer.Option("--hard", help="Hard links, on one disk, instead of symbolic ones.")] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Copies of the photographs, whole, instead of links.")] = False,
) -> None:
    """Sort a night's photographs into folders by label, as links, and into `unsure` and `unreadable`."""
    from pipeline.core.terminal import progress_bar
    from pipeline.core.text import named, shown
    from pipeline.exports import sorting
    from pipeline.exports.finished import finished_night
    from pipeline.params.file import load_params

    if hard and copy:
        raise typer.BadParameter("Use --hard or --copy, not both.")
    load_params()  # only in a project
    found = finished_night(night)
    how = sorting.How.HARD if hard else sorting.How.COPY if copy else sorting.How.LINK
    with progress_bar(desc="sort", total=found.summary.listed, unit="image") as bar:
        done = sorting.sort(found, folder, how, bar.update)
    if done.replaced:
        typer.echo(f"Took the place of night {shown(done.replaced)}, which was sorted there before.")
    for name, count in done.folders.items():
        typer.echo(f"{count:6,d} {name}")
    if done.changed:
        typer.echo(f"Gone or changed since the night, so left out: {named(done.changed)}. Classify the folder again.")
    typer.echo(folder)
