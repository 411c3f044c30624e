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
    from pipeline.registry.registration_page import write_page

    name = load_params().register_.model_name
    if version is None and (newest := champions.already_champion(name)):
        typer.echo(f"{name} version {newest} is already the champion; there is no newer version that passed.")
        return
    promoted = champions.promote(name, version, force=force)
    write_page(promoted.version)
    typer.echo(f"{promoted.name} version {promoted.version} is the champion now.")
    if words := champions.warning(promoted, champions.previous(name)):
        typer.echo(words)


@app.command()
def rollback() -> None:
    """Return to the champion before the present one; run again, to the one before that."""
    from pipeline.params.file import load_params
    from pipeline.registry import champions
    from pipeline.registry.registration_page import write_page

    done = champions.rollback(load_params().register_.model_name)
    write_page(done.model.version)
    instead = f", instead of version {done.replaced}" if done.replaced else ""
    typer.echo(f"{done.model.name} version {done.model.version} is the champion again{instead}.")
    if done.earlier:
        typer.echo(f"Before it: version {', '.join(map(str, done.earlier))}. `nightshift rollback` goes on there.")
    else:
        typer.echo("It was the first champion: there is no earlier one to return to.")
    if done.replaced:
        typer.echo(f"`nightshift promote {done.replaced}` takes this back.")
    if words := champions.warning(done.model, done.earlier[0] if done.earlier else None):
        typer.echo(words)


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
    why = ", ".join(flag.replace("_", " ") for flag in found.unsure)
    typer.echo(
        f"{found.model.name} version {found.model.version}: {found.label} {found.confidence:.1%}, "
        f"{f'unsure ({why})' if why else 'ok'}; outlier score {found.outlier_score:.4f}, above "
        f"{found.outlier_above:.4f} it is an outlier"
    )
    for alike in found.nearest:
        typer.echo(f"{alike.distance:.4f}  {shown(alike.label)}  {shown(alike.path)}")
    draw(image, found, picture)
    typer.echo(picture)


@app.command()
def label(
    folder: Annotated[Path, typer.Argument(help="A folder of images without labels.")],
    table: Annotated[
        Path, typer.Argument(metavar="LABELS.csv", help="The new file for path, label and confidence.")
    ] = Path("labels.csv"),
    zero_shot: Annotated[
        str | None,
        typer.Option(help='The classes: "a cat, a dog", or "cat=a photo of a cat, dog=a photo of a dog".'),
    ] = None,
    imagenet: Annotated[bool, typer.Option("--imagenet", help="The classes: the 1,000 of ImageNet.")] = False,
    preset: Annotated[
        str,
        typer.Option(help="For --zero-shot, CLIP or SigLIP: a preset of KerasHub, hf://owner/name, or its folder."),
    ] = "clip_vit_base_patch32",
) -> None:
    """Suggest labels for images; check them, then `nightshift data import`.

    --imagenet works offline. --zero-shot needs `pip install '.\\[hub]'`, and downloads CLIP or SigLIP once.
    """
    from pipeline.core.text import shown
    from pipeline.params.file import load_params

    if imagenet == (zero_shot is not None):
        raise typer.BadParameter('give one of the two: --imagenet, or --zero-shot "a cat, a dog".')
    params = load_params()
    if zero_shot is None:
        from pipeline.sources import imagenet as of_imagenet

        counts = of_imagenet.label(folder, table, params)
        typer.echo(most_frequent(counts))
    else:
        from pipeline.sources import zero_shot as by_words

        counts = by_words.label(folder, table, by_words.read_words(zero_shot), preset, params)
        for name, count in counts.items():
            typer.echo(f"{shown(name)}: {count}")
    typer.echo(f"Check the labels in {table}, then run `nightshift data import {table}`")


def most_frequent(counts: dict[str, int]) -> str:
    """One line: how many images were named, and the most frequent of the names."""
    from pipeline.core.text import named

    found = sorted(((count, name) for name, count in counts.items() if count), key=lambda one: (-one[0], one[1]))
    words = named(f"{name} {count:,}" for count, name in found)
    return f"{sum(counts.values()):,} images, {len(found):,} names: {words}"
