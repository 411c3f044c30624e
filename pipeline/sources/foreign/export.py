"""Write the project's labels for another tool: data/raw with its splits, and what people have judged. Reads no pixel.

The same project gives the same bytes. A file is replaced whole, and only one that an export has written, as it was.
"""

import filecmp
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pipeline.core.disk_errors import WRITING
from pipeline.core.parallel import ordered_map
from pipeline.core.paths import FROZEN_SPLITS, JUDGEMENTS, METADATA, RAW
from pipeline.core.terminal import progress_bar
from pipeline.core.text import counted, named, shown
from pipeline.data import labels
from pipeline.data.judgements import Judgements, read_judgements
from pipeline.data.side_table import as_named, read_metadata
from pipeline.sources.foreign.exported import Exported, address_of
from pipeline.sources.foreign.formats import FORMATS, Format
from pipeline.sources.foreign.written import ExportError, write_files
from pipeline.storage.addresses import is_address
from pipeline.storage.files import read_json, replacing, sha256_of_file
from pipeline.storage.listing import in_dvc_cache, list_images

EXPORTS = Path("exports")
THREADS = 8


@dataclass(frozen=True, slots=True)
class Done:
    """The result of an export."""

    out: Path
    images: int
    notes: tuple[str, ...]


def format_named(name: str) -> Format:
    """The format of a name. Raises ExportError for an unknown one."""
    found = next((one for one in FORMATS if one.name == name.casefold()), None)
    if found is None:
        raise ExportError(
            f"{shown(name)} is not a format that Nightshift writes. Use one of: "
            f"{', '.join(sorted(one.name for one in FORMATS))}."
        )
    return found


def export(
    name: str, out: str = "", prefix: str = "", project: Path = Path(), *, with_images: bool = False
) -> Done:  # fmt: skip
    """Write the labels of `project` in the format of that name to `out`, or below EXPORTS.

    prefix: what stands before the path of each image, such as `gs://bucket/folder`. with_images: copy the images beside
    the file, where the format names them by their path. Raises ExportError, SourceError.
    """
    form = format_named(name)
    if with_images and (prefix or form.prefix):
        raise ExportError(
            f"--with-images puts the images beside the file, but {form.title} would look for them at "
            f"{shown(prefix or form.prefix)}. Omit {'--prefix' if prefix else '--with-images'}."
        )
    target = Path(out).expanduser() if out else project / EXPORTS / form.file
    if is_address(out):
        raise ExportError(f"{shown(out)} is not on this machine. Export to a file here, and upload that.")
    images, notes = project_images(project, _before(form, prefix))
    files = {target / file if file else target: pieces for file, pieces in form.write(images).items()}
    if target.exists() and target.is_dir() is not form.file.endswith("/"):
        kind = "a folder" if target.is_dir() else "a file"
        raise ExportError(f"{shown(str(target))} is {kind}, which {form.title} is not. Name another place.")
    if with_images:
        _copy_images(images, project / RAW, target if form.file.endswith("/") else target.parent)
    write_files(files, project)
    return Done(target, len(images), tuple(notes))


def _before(form: Format, prefix: str) -> str:
    """What stands before each path."""
    protocol = form.prefix if form.prefix.endswith("://") else ""
    if protocol and not (prefix.startswith(protocol) and len(prefix) > len(protocol)):
        raise ExportError(
            f"{form.title} takes images at {protocol} addresses only. Upload the folder {RAW}, and name where it is: "
            f"--prefix {protocol}bucket/folder."
        )
    before = prefix or form.prefix
    return before if before.endswith(("/", "=")) or not before else f"{before}/"


def project_images(project: Path, before: str) -> tuple[list[Exported], list[str]]:
    """The images of data/raw in a fixed order, and what a person should know. Raises ExportError without any."""
    raw = project / RAW
    paths = [one.path for one in list_images(raw, in_dvc_cache)] if raw.is_dir() else []
    paths = sorted(path for path in paths if "/" in path)
    if not paths:
        raise ExportError(f"{raw} has no images. Bring some in with `nightshift data import`.")
    if odd := [path for path in paths if not _is_text(path)]:
        raise ExportError(f"The names of {named(odd)} are not valid UTF-8. Rename them.")
    judgements = read_judgements(project / JUDGEMENTS)
    splits = _splits(project / FROZEN_SPLITS)
    needed = paths if splits or judgements.by_image else []
    digests = dict(zip(needed, ordered_map(lambda path: sha256_of_file(raw / path), needed, THREADS), strict=True))
    facts = _facts(raw, paths)
    images = []
    for path in paths:
        known = facts.get(path, {})
        sha256 = digests.get(path, "")
        split = splits.get(sha256) or known.get("split", "")
        columns = tuple((column, value) for column, value in known.items() if value and column != "split")
        of = labels.of_folder(path.split("/", 1)[0])
        said = tuple(judgements.of(sha256))
        images.append(Exported(path, address_of(before, path), of, split, columns, said))
    return images, _notes(images, digests, judgements)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _splits(file: Path) -> Mapping[str, str]:
    """The split of each image that a training has drawn, by SHA-256."""
    from pipeline.data.splits import FrozenSplits

    try:
        return FrozenSplits.model_validate(read_json(file)).by_content()
    except FileNotFoundError:
        return {}
    except (ValueError, ValidationError) as error:
        raise ExportError(f"{file} is not a valid split: {error}. Fetch it again with `dvc checkout {file}`.") from None


def _facts(raw: Path, paths: Sequence[str]) -> dict[str, dict[str, str]]:
    """The rows of the side table by path."""
    table = as_named(read_metadata(raw / METADATA.name), paths)
    rows = [{str(key): str(value) for key, value in row.items()} for row in table.to_dict("records")]
    return {row.pop("path"): row for row in rows}


def _notes(images: Sequence[Exported], digests: Mapping[str, str], judgements: Judgements) -> list[str]:
    agreed = [(image, judgements.agreed(digests.get(image.path, ""))) for image in images]
    other = [image.path for image, one in agreed if one and not one.cannot_tell and _differs(one.label, image.label)]
    if not other:
        return []
    return [
        f"{counted(len(other), 'image')} {'is' if len(other) == 1 else 'are'} judged otherwise than {RAW} has "
        f"{'it' if len(other) == 1 else 'them'}: {named(other)}. The export has the labels of {RAW}; bring in the "
        "judgements with `nightshift data import labels`, then export again."
    ]


def _differs(said: str, label: str) -> bool:
    return labels.sameness(said) != labels.sameness(label)


def _copy_images(images: Sequence[Exported], raw: Path, folder: Path) -> None:
    """Copy the images below `folder`; those that are there already stay. Raises ExportError for another's file."""
    todo = [image.path for image in images if not (folder / image.path).exists()]
    there = [image.path for image in images if (folder / image.path).exists()]
    if other := [path for path in there if not filecmp.cmp(raw / path, folder / path, shallow=False)]:
        raise ExportError(
            f"{shown(str(folder))} has other files where images would go: {named(other)}. Move them away, or name "
            "another place; nothing was written."
        )
    for path in progress_bar(todo, "copy", unit="image", disable=not todo):
        with replacing(folder / path) as beside:
            try:
                shutil.copyfile(raw / path, beside)
            except OSError as error:
                if error.errno in WRITING:  # it names the image that was read first
                    error.filename, error.filename2 = str(folder / path), None
                raise
