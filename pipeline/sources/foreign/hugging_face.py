"""Hugging Face: metadata.csv or metadata.jsonl of an ImageFolder. https://huggingface.co/docs/datasets/image_dataset

`file_name` is relative to the file; one of the other columns is the label. A folder may have one such file, or one in
each folder of a split (`train/`, `validation/`, `test/`).
"""

from collections.abc import Iterator, Mapping, Sequence

from pipeline.core.text import shown
from pipeline.sources.foreign.content import Content
from pipeline.sources.foreign.entries import At, Entry, Told, chosen_field, columns_of, split_of
from pipeline.sources.foreign.exported import Exported, Output, csv_rows
from pipeline.sources.layout import SourceError

NAME, TITLE, FILE = "hugging-face", "Hugging Face ImageFolder (metadata.csv, .jsonl)", "hugging-face/"
PREFIX = ""  # addresses of any kind
METADATA = ("metadata.csv", "metadata.jsonl")
FILE_NAME, LABEL = "file_name", "label"
LABELS = (LABEL, "labels")  # the columns that are taken without asking


def recognise(content: Content) -> bool:
    """Whether there is a column `file_name`."""
    rows = content.first_rows()
    return content.has(FILE_NAME) or bool(rows and FILE_NAME in [cell.strip() for cell in rows[0]])


def has_label(content: Content) -> bool:
    """Whether one of its columns is the label; without one, the folders around the images say it."""
    rows = content.first_rows()
    columns = [cell.strip() for cell in rows[0]] if rows else [*content.head] if isinstance(content.head, dict) else []
    return bool(set(LABELS) & set(columns))


def read(content: Content, field: str) -> Told:
    """The images of all rows. A split comes from a column `split`, else from the first folder of `file_name`."""
    rows = [*_rows(content)]
    columns = {column for _, row in rows for column in row} - {FILE_NAME}
    usual = [name for name in LABELS if name in columns]
    if not field and not usual:
        raise SourceError(
            f"{content.name} has no column {LABEL}; it has {', '.join(map(shown, sorted(columns))) or 'no others'}. "
            "Name the one that has the labels with --label-field; nothing was copied."
        )
    label = chosen_field([field] if field in columns else usual or columns, field, content.name, "column")
    paths = [at.text(row.get(FILE_NAME), FILE_NAME) for at, row in rows]
    by_folder = {path: split_of(path.split("/")[0]) if "/" in path else "" for path in paths}
    in_folders = all(by_folder.values())
    entries = []
    for (at, row), path in zip(rows, paths, strict=True):
        given = at.label(row.get(label), label)
        split = split_of(row.get("split")) or (by_folder[path] if in_folders else "")
        entries.append(Entry(path, (given,) if given else (), split, columns_of(row, [FILE_NAME, label])))
    return Told(entries)


def _rows(content: Content) -> Iterator[tuple[At, Mapping[str, object]]]:
    if content.kind != "csv":
        yield from content.records()
        return
    table = content.table((FILE_NAME, LABEL, "split"))
    for number, cells in table.rows:
        yield At(f"{content.name}, row {number:,}"), dict(zip(table.columns, cells, strict=True))


def write(images: Sequence[Exported]) -> Output:
    """metadata.csv, for a folder that has the images below it as data/raw has."""
    others = [*dict.fromkeys(key for image in images for key, _ in image.known if key not in (FILE_NAME, *LABELS))]
    with_splits = ["split"] if any(image.split for image in images) else []

    def row(image: Exported) -> list[str]:
        known = dict(image.known)
        splits = [image.split] if with_splits else []
        return [image.address, image.label, *splits, *(known.get(key, "") for key in others)]

    return {METADATA[0]: csv_rows([[FILE_NAME, LABEL, *with_splits, *others], *map(row, images)])}
