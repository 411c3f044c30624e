"""The commands about models and single images. Each imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def promote(
    version: Annotated[
        int | None, typer.Argument(help="A version's number; without one, the newest that passed (@challenger).")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also a version that the gate refused; your name is recorded.")
    ] = False,
) -> None:
    """Make a model version the champion: the next night uses it."""
    from pipeline.params.file import load_params
    from pipeline.registry import champions

    promoted = champions.promote(load_params().register_.model_name, version, force=force)
    typer.echo(f"{promoted.name} version {promoted.version} is the champion now.")
    if words := champions.warning(promoted):
        typer.echo(words)


@app.command()
def rollback() -> None:
    """Return to the previous champion."""
    from pipeline.params.file import load_params
    from pipeline.registry import champions

    restored = champions.rollback(load_params().register_.model_name)
    typer.echo(f"{restored.name} version {restored.version} is the champion again.")


@app.command()
def seen(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE_OR_FOLDER...", help="Images, or folders of images.")],
    version: Annotated[int | None, typer.Option(help="A model version's number; without one, the champion.")] = None,
) -> None:
    """Show which split of a model's data contains each image: train, val, test or none.

    The comparison is byte for byte: it finds another copy of a file, but not a resized or re-saved one.
    """
    from flows.show_models import print_seen
    from pipeline.params.file import load_params
    from pipeline.registry.lookup import seen as splits_of

    print_seen(*splits_of(load_params().register_.model_name, paths, version))


@app.command()
def similar(
    image: Annotated[Path, typer.Argument(help="An image.")],
    count: Annotated[int, typer.Option(min=1, max=100, help="How many training images to find.")] = 5,
    picture: Annotated[Path, typer.Option(metavar="FILE.png", help="The file to draw them into, side by side.")] = Path(
        "similar.png"
    ),
    version: Annotated[int | None, typer.Option(help="A model version's number; without one, the champion.")] = None,
) -> None:
    """Find the training images that a model finds most similar to an image, and draw them beside it."""
    from pipeline.core.text import shown
    from pipeline.params.file import load_params
    from pipeline.registry.lookup import draw
    from pipeline.registry.lookup import similar as find

    params = load_params()
    found = find(params.register_.model_name, image, count, params.compute, version)
    far = "further than" if found.outlier_score > found.outlier_above else "within"
    typer.echo(
        f"{found.model.name} version {found.model.version}: {found.label} {found.confidence:.1%}; outlier score "
        f"{found.outlier_score:.4f}, {far} the usual {found.outlier_above:.4f}"
    )
    for alike in found.nearest:
        typer.echo(f"{alike.distance:.4f}  {shown(alike.label)}  {shown(alike.path)}")
    draw(image, found, picture)
    typer.echo(picture)


@app.command()
def label(
    folder: Annotated[Path, typer.Argument(help="A folder of images without labels.")],
    table: Annotated[Path, typer.Argument(metavar="LABELS.csv", help="Where to write path, label and confidence.")],
    zero_shot: Annotated[
        str, typer.Option(help='The classes: "a cat, a dog", or "cat=a photo of a cat, dog=a photo of a dog".')
    ],
    preset: Annotated[
        str, typer.Option(help="CLIP or SigLIP: a preset of KerasHub, hf://owner/name, or a folder with one.")
    ] = "clip_vit_base_patch32",
) -> None:
    """Label images from a description of each class (CLIP, SigLIP); check the labels, then `nightshift data import`.

    Needs `pip install '.\\[hub]'`. The weights are downloaded once.
    """
    from pipeline.core.text import shown
    from pipeline.params.file import load_params
    from pipeline.sources.zero_shot import label as label_images
    from pipeline.sources.zero_shot import read_words

    for name, count in label_images(folder, table, read_words(zero_shot), preset, load_params()).items():
        typer.echo(f"{shown(name)}: {count}")
    typer.echo(f"Check the labels in {table}, then run `nightshift data import {table}`")
