"""The commands `nightshift data ...`: the images to learn from. Each imports what it needs when it runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

data = typer.Typer(no_args_is_help=True, help="The images to learn from, in data/raw/<class>/.")

LABELS = "labels"  # the word for the judged images
WIDTH = 120  # characters of a table that goes to a file or another program


@data.command("demo")
def data_demo() -> None:
    """Write the demo set: 2,624 photographs of solar cells, `functional` or `defective`."""
    from pipeline.params.file import load_params
    from pipeline.sources.demo import write_demo
    from pipeline.storage.images_lock import working_on_images
    from pipeline.versions import dvc

    load_params()  # nothing is written outside a project
    dvc.require_repository()
    with working_on_images("nightshift data demo"):
        for label, count in write_demo().items():
            typer.echo(f"{count:6d} {label}")
        dvc.add_data()


@data.command("import")
def data_import(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder (<class>/…, or train/<class>/…, val/…, test/…), a table (.csv, .tsv, .parquet) with the "
            "columns path and label, or a .zip or .tar of such a folder; or the address of one (s3://, https://, …); "
            "or a night's review.csv in which the column correct_label is filled in; or a file of Label Studio, Vertex "
            "AI, SageMaker Ground Truth, Custom Vision, Hugging Face, COCO or Camtrap DP; or the word `labels`: all "
            "images that were judged (data/labels.jsonl).",
        ),
    ],
    into: Annotated[
        str,
        typer.Option(metavar="NAME", help="Keep the source apart, in data/raw/<class>/NAME/.", show_default=False),
    ] = "",
    link: Annotated[
        bool,
        typer.Option(
            "--link",
            help="Hard links instead of copies. The files are then shared with the source until DVC stores its own "
            "copy of them: edit neither in place.",
        ),
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite images of the same name.")] = False,
    new_label: Annotated[
        bool, typer.Option("--new-label", help="A review's labels may be new classes, not only those of data/raw.")
    ] = False,
    names: Annotated[
        str, typer.Option(metavar="ENCODING", help="Of an archive's names, where it does not say it: gbk, cp437, …")
    ] = "",
    max_gb: Annotated[float, typer.Option(min=0, help="Refuse to write more than this.")] = 50.0,
    images: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="The folder of the images that a file of another tool names, where they are not beside it.",
        ),
    ] = "",
    label_field: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Which question, column or job of another tool's file has the labels, if several have."
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Of `labels`: do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Of `labels`: only say what would happen.")] = False,
) -> None:
    """Bring labelled images into data/raw/<class>/. The source is not changed.

    Run the same command again to complete an interrupted import: it copies only what is missing.
    """
    if _is_of_judgements(source):
        if into or link or replace or names or images or label_field:
            raise typer.BadParameter("Only --yes and --dry-run go with `labels`.")
        _import_judged(yes, dry_run)
        return
    if yes or dry_run:
        raise typer.BadParameter("--yes and --dry-run belong to `nightshift data import labels`.")
    from flows.show_import import print_imported
    from pipeline.night.review_labels import show_known_in_all
    from pipeline.params.file import load_params
    from pipeline.sources.copy import import_from
    from pipeline.storage.images_lock import working_on_images
    from pipeline.versions import dvc

    load_params()  # nothing is written outside a project
    dvc.require_repository()
    with working_on_images("nightshift data import"):
        done = import_from(
            source, into=into, link=link, replace=replace, new_label=new_label, names=names, max_gb=max_gb,
            images=images, field=label_field,
        )  # fmt: skip
        dvc.add_data()
    show_known_in_all()
    print_imported(done)


def _is_of_judgements(source: str) -> bool:
    """Whether an import is of the judged images. Raises BadParameter where a folder has that name, too."""
    from pipeline.core.paths import JUDGEMENTS

    if source == LABELS and Path(LABELS).exists():
        raise typer.BadParameter(
            f"There is a {LABELS} in this folder, too: `nightshift data import ./{LABELS}` imports that, and "
            f"`nightshift data import {JUDGEMENTS}` the judged images."
        )
    return source == LABELS or Path(source) == JUDGEMENTS


def _import_judged(yes: bool, dry_run: bool) -> None:
    from flows.show_judged import print_brought_in, print_plan
    from pipeline.core.errors import NightshiftError
    from pipeline.core.paths import RAW
    from pipeline.params.file import load_params
    from pipeline.sources.judged import COMMAND, bring_in, plan_judged, record
    from pipeline.versions import dvc

    load_params()  # nothing is written outside a project
    dvc.require_repository()
    plan = plan_judged()
    print_plan(plan)
    if dry_run:
        return
    if plan.is_empty:
        if plan.judged and RAW.is_dir() and record():
            typer.echo(f"{RAW} had changed since it was last recorded, as by an import that was stopped: recorded now.")
        return
    if not yes:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise NightshiftError(f"Nothing was changed. If this is right: {COMMAND} --yes")
        typer.confirm("Do this?", abort=True)
    print_brought_in(bring_in(plan))


@data.command("export")
def data_export(
    form: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="label-studio, vertex (JSON Lines), vertex-csv, ground-truth, custom-vision, hugging-face, coco or "
            "camtrap-dp.",
        ),
    ],
    out: Annotated[
        str,
        typer.Argument(
            metavar="[OUT]",
            help="The file to write (hugging-face, camtrap-dp: the folder); without it, one in exports/.",
            show_default=False,
        ),
    ] = "",
    prefix: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="What stands before each image's path below data/raw: gs://bucket/folder, s3://…, https://….",
        ),
    ] = "",
    with_images: Annotated[
        bool,
        typer.Option("--with-images", help="Copy the images beside the file (hugging-face, camtrap-dp, coco, …)."),
    ] = False,
) -> None:
    """Write the labels of data/raw, with splits and judgements, for another tool."""
    from pipeline.params.file import load_params
    from pipeline.sources.foreign.export import export
    from pipeline.storage.images_lock import working_on_images

    load_params()  # nothing is written outside a project
    with working_on_images("nightshift data export"):
        done = export(form, out, prefix, with_images=with_images)
    for line in done.notes:
        typer.echo(line)
    typer.echo(f"The labels of {done.images:,} images: {done.out}")


@data.command("holdout")
def data_holdout(
    folder: Annotated[Path, typer.Argument(help="A new folder for the copies.")],
) -> None:
    """Copy the test images, which are not used for training, into a folder, without their labels."""
    from pipeline.data.holdout_copy import copy_test_images

    typer.echo(f"{copy_test_images(folder)} images in {folder}")


@data.command("tiles")
def data_tiles(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A folder of scenes.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder for their tiles.")],
) -> None:
    """Cut scenes into tiles by images.tiles, as nights do, to label them and learn from them."""
    from pipeline.core.log import log
    from pipeline.core.text import counted, named, shown
    from pipeline.params.file import load_params
    from pipeline.sources.cut import TABLE, cut

    found = cut(source, folder, load_params())
    if found.failed:
        log.warning("Left out, as %s not be read: %s", counted(len(found.failed), "part could"), named(found.failed))
        for line in found.failed:
            typer.echo(f"left out: {shown(line)}", err=True)  # into the command's log file
    typer.echo(
        f"{counted(found.tiles, 'tile')} of {counted(found.scenes, 'scene')}, {found.ignored:,} blank ones left out, "
        f"{counted(found.whole, 'picture')} no larger than a tile: {folder}"
    )
    if found.labelled:
        typer.echo(f"The folders are their labels. Next: nightshift data import {folder / TABLE}")
    else:
        typer.echo(f"They have no labels. Next: write them into {folder / TABLE}, or: nightshift review {folder}")


@data.command("check")
def data_check() -> None:
    """Check the images and write the report on them, reports/data.html, without training a model."""
    from flows.artifacts import data_pages
    from pipeline.params.file import load_params
    from pipeline.storage.images_lock import working_on_images
    from pipeline.versions import dvc

    load_params()
    dvc.require_images()
    with working_on_images("nightshift data check"):
        dvc.add_data()
        dvc.reproduce_up_to("audit")
    for page, words in data_pages():
        typer.echo(f"{words}: {page.absolute().as_uri()}")


@data.command("diff")
def data_diff(
    revision: Annotated[str, typer.Argument(metavar="REV", help="A git revision: a tag, a branch, a commit.")] = "HEAD",
    other: Annotated[
        str | None, typer.Argument(metavar="OTHER", help="A second revision; without it, the working folder.")
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="List all files, not only the first few of each kind.")
    ] = False,
) -> None:
    """Show how the images have changed since a git revision: per label, and the files' names."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pipeline.core.paths import RAW
    from pipeline.versions import changes, snapshots

    before = snapshots.of_revision(revision)
    now = snapshots.of_revision(other) if other else snapshots.of_working_folder()
    found = changes.compare(before.files, now.files)
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    for name in changes.CHANGE_COLUMNS:
        table.add_column(name, justify="left" if name == "label" else "right", overflow="fold")
        table.columns[-1].min_width = max(map(len, name.split()))
    for row in changes.table_rows(found):
        table.add_row(*map(Text, row))
    typer.echo(f"{RAW}: from {before.name} to {now.name}")
    Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH).print(table)
    for line in changes.name_lines(found, None if names else changes.FIRST_NAMES):
        typer.echo(line)
    if line := changes.side_table_line(before, now):
        typer.echo(line)
    if before.files == now.files:
        typer.echo("Nothing has changed.")


@data.command("pull")
def data_pull(
    rev: Annotated[
        str | None,
        typer.Option(help="Only fetch this git revision's images into the cache; the working folder stays."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that no data version holds.")] = False,
) -> None:
    """Fetch the images from the DVC remote into data/raw/."""
    from pipeline.versions import remote

    if rev:
        remote.fetch_revision(rev, typer.echo)
    else:
        remote.pull(typer.echo, force=force)


@data.command("push")
def data_push() -> None:
    """Send the images, and the outputs of the stages, to the DVC remote."""
    from pipeline.versions import remote
    from pipeline.versions.dvc import VersionsError

    if not remote.push(typer.echo):
        raise VersionsError(remote.NO_REMOTE)
