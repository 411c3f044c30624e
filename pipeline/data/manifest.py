"""The manifest: one row per image of `data/raw`; each file is read once. Judges nothing.

The measurements of each file are cached beside the manifest, so an unchanged file is not read again.
"""

import dataclasses
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from pipeline.core.code import code_of, versions_of
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.parallel import ordered_map
from pipeline.core.paths import METADATA, PATIENT_KEY
from pipeline.core.terminal import progress_bar
from pipeline.core.text import named
from pipeline.data import labels
from pipeline.data.patient_key import fingerprint, patient_key
from pipeline.data.prepared import SPLITS
from pipeline.images.decode import Picture, UnreadableImage, decode, without_enhancement
from pipeline.images.formats import extension_matches
from pipeline.images.measures import SIDE, measure
from pipeline.images.taken import read_taken
from pipeline.params.data import Images
from pipeline.storage.files import replacing, sha256
from pipeline.storage.left_aside import LeftAside, Tally
from pipeline.storage.listing import Listed, in_dvc_cache, list_files

LIBRARIES = (  # that decode and measure; another version may give other pixels
    "ImageHash", "imagecodecs", "numpy", "opencv-python-headless", "Pillow", "pillow-heif", "pydicom", "tifffile",
)  # fmt: skip
CHUNK = 4096  # files to measure, cache and turn into a compact table at a time
MEASURED = {
    "readable": "bool", "error": "str", "sha256": "str", "format": "str", "extension_matches": "boolean",
    "mode": "str", "bits": "Int64", "orientation": "Int64", "width": "Int64", "height": "Int64", "aspect": "Float64",
    "brightness": "Float64", "contrast": "Float64", "sharpness": "Float64", "entropy": "Float64", "phash": "str",
    "taken_at": "str", "camera": "str", "patient": "str", "study": "str",
}  # fmt: skip
IDENTITY = {"path": "str", "bytes": "int64", "changed_ns": "int64"}  # a file is unchanged while these are the same


class InvalidData(NightshiftError):  # noqa: N818 - a judgement, not a fault of the program
    """The data are not valid for training; the message names the files."""


def read_file(raw: Path, path: str, rules: Images) -> dict[str, Any]:
    """The columns MEASURED of the file at `raw`/`path`, or why it cannot be read."""
    row: dict[str, Any] = {"readable": False, "error": ""}
    try:
        data = (raw / path).read_bytes()
        row["sha256"] = sha256(data)
        picture = decode(data, without_enhancement(rules, SIDE))
    except OSError as error:
        return row | {"error": error.strerror or str(error)}
    except UnreadableImage as error:
        return row | {"error": str(error)}
    return row | {
        "readable": True,
        "format": picture.format,
        "extension_matches": extension_matches(path, picture.format),
        "mode": picture.mode,
        "bits": picture.bits,
        "orientation": picture.orientation,
        "width": picture.width,
        "height": picture.height,
        "aspect": picture.width / picture.height,
        **dataclasses.asdict(measure(picture.pixels)),
        "taken_at": picture.taken.at_text,
        "camera": picture.taken.camera,
        **_whose(data, picture),
    }


def _whose(data: bytes, picture: Picture) -> dict[str, str]:
    """Hashes of a DICOM file's patient and study. Where a picture was taken, no manifest holds."""
    taken = read_taken(data, patient_key(PATIENT_KEY)) if picture.format == "DICOM" else picture.taken
    return {"patient": taken.patient, "study": taken.study}


def build_manifest(raw: Path, rules: Images, workers: int, memory: Path) -> pd.DataFrame:
    """One row per image below `raw`, in listing order: path, label (the first folder), bytes, and MEASURED.

    Unchanged files that are cached in the folder `memory` are not read again. New measurements are cached every CHUNK
    files, so a killed pass resumes where it stopped. Raises InvalidData without images.
    """
    tally = Tally()
    files = list(tally.images(list_files(raw, in_dvc_cache)))
    left_aside = tally.found()
    _refuse_odd_places(raw, [listed.path for listed in files], left_aside)
    for line in (*left_aside.unread_lines, *left_aside.link_lines):
        log.warning("%s: %s", raw, line)
    known = Memory(memory, rules)
    with progress_bar(desc="validate", total=len(files), unit="image") as progress:
        tables = [known.complete(raw, chunk, rules, workers, progress) for chunk in _chunks(files)]
    table = pd.concat(tables, ignore_index=True)
    known.keep(table)
    label_of = {folder: labels.of_folder(folder) for folder in {path.split("/", 1)[0] for path in table["path"]}}
    of_files = [label_of[path.split("/", 1)[0]] for path in table["path"]]
    return table.drop(columns="changed_ns").assign(label=pd.array(of_files, dtype="str"))[
        ["path", "label", "bytes", *MEASURED]
    ]


def measure_files(files: Mapping[str, Path], rules: Images, workers: int) -> pd.DataFrame:
    """Path, label and MEASURED of images that are not in data/raw: path there -> file with its content."""

    def measured(path: str) -> dict[str, Any]:
        row = read_file(files[path].parent, files[path].name, rules)
        return row | ({"extension_matches": extension_matches(path, row["format"])} if row["readable"] else {})

    rows = ordered_map(measured, [*files], workers)
    table = pd.DataFrame([*rows], columns=list(MEASURED)).astype(MEASURED)
    found = [(path, labels.of_folder(path.split("/", 1)[0]), files[path].stat().st_size) for path in files]
    return pd.concat([pd.DataFrame(found, columns=["path", "label", "bytes"]), table], axis="columns")


def with_metadata(manifest: pd.DataFrame, side: pd.DataFrame, group_column: str | None) -> pd.DataFrame:
    """The manifest with the side table's columns, by path: `split` as given, `group`, and all others.

    A column that the manifest also has gets the suffix `_metadata`. Raises InvalidData for a path with two rows, an
    unknown split, and a missing group column.
    """
    if len(twice := side["path"][side["path"].duplicated()]):
        raise InvalidData(f"{METADATA} has more than one row for {named([*twice.unique()])}. Keep one of each.")
    side = side.astype("str").mask(side == "", pd.NA)
    if "split" in side and len(odd := side[side["split"].notna() & ~side["split"].isin(SPLITS)]):
        raise InvalidData(
            f"{METADATA}: split is {odd['split'].iloc[0]!r} for {named([*odd['path']])}; allowed: {', '.join(SPLITS)}, "
            "or nothing."
        )
    if group_column not in (None, *side.columns, "group"):
        raise InvalidData(
            f"params.yaml: preprocess.group_column is {group_column!r}, which is not a column of {METADATA} "
            f"({', '.join(side.columns)}). Choose one of these, or null."
        )
    if group_column in side.columns:
        side = side.assign(group=side[str(group_column)])
    elif "group" in side:  # null: ignore the known groups
        side = side.drop(columns="group")
    return manifest.merge(side, how="left", on="path", suffixes=("", "_metadata"))


def _refuse_odd_places(raw: Path, paths: list[str], left_aside: LeftAside) -> None:
    if stray := [path for path in paths if "/" not in path]:
        raise InvalidData(f"{named(stray)} are directly in {raw}. Move each into a folder named after its label.")
    as_text = (os.fsencode(path).decode("utf-8", "backslashreplace") for path in paths)
    if odd := [text for path, text in zip(paths, as_text, strict=True) if path != text]:
        raise InvalidData(f"The names of {named(odd)} are not valid UTF-8. Rename them.")
    labels.refuse_same_folders({path.split("/", 1)[0] for path in paths}, raw)
    if not paths:
        raise InvalidData(
            " ".join([f"{raw} contains no images.", *left_aside.lines])
            + " Import yours with `nightshift data import FOLDER`, or try `nightshift data demo`."
        )


def _chunks(files: list[Listed]) -> Iterator[list[Listed]]:
    rest = iter(files)
    while chunk := list(itertools.islice(rest, CHUNK)):
        yield chunk


class Memory:
    """The measurements of earlier passes, by path."""

    def __init__(self, folder: Path, rules: Images) -> None:
        """Read them from `folder`: one table, and the parts of an interrupted pass."""
        self.rules, self.folder = rules, folder / recipe(rules)
        tables = [*_tables(self.folder)]
        columns = IDENTITY | MEASURED
        table = pd.concat(tables) if tables else pd.DataFrame(columns=list(columns)).astype(columns)
        self.table = table.drop_duplicates("path", keep="last").set_index("path")

    def complete(
        self, raw: Path, chunk: list[Listed], rules: Images, workers: int, progress: "tqdm[Any]"
    ) -> pd.DataFrame:
        """The rows of `chunk`, in order: cached if the file has not changed, otherwise measured and cached now."""
        found = pd.DataFrame([(file.path, file.bytes, file.changed_ns) for file in chunk], columns=list(IDENTITY))
        found = found.astype(IDENTITY)
        before = self.table.reindex(found["path"])
        same = (before["bytes"].to_numpy() == found["bytes"]) & (before["changed_ns"].to_numpy() == found["changed_ns"])
        # An unreadable file may be readable now: a mount is back, an extra is installed.
        same &= before["readable"].eq(True).to_numpy(dtype=bool, na_value=False)
        progress.update(int(same.sum()))
        new = found[~same].reset_index(drop=True)
        rows = []
        for row in ordered_map(lambda path: read_file(raw, path, rules), new["path"], workers):
            rows.append(row)
            progress.update()
        measured = pd.concat([new, pd.DataFrame(rows, columns=list(MEASURED)).astype(MEASURED)], axis="columns")
        if len(measured):
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self.folder / f"part-{hashlib.sha256(chunk[0].path.encode()).hexdigest()}.parquet") as part:
                measured.to_parquet(part, index=False)
        old = found[same].merge(before[same.to_numpy()].reset_index()[["path", *MEASURED]], on="path")
        whole: pd.DataFrame = pd.concat([table for table in (old, measured) if len(table)]).set_index("path")
        return whole.loc[found["path"]].reset_index().astype(IDENTITY | MEASURED)

    def keep(self, table: pd.DataFrame) -> None:
        """End the pass: `table` replaces the whole cache, of this recipe and of others."""
        self.folder = self.folder.with_name(recipe(self.rules))  # this pass may have made the key of the hashes
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / "whole.parquet") as beside:
            table.to_parquet(beside, index=False)
        for part in self.folder.glob("part-*.parquet"):
            part.unlink()
        for other in self.folder.parent.iterdir():
            if other != self.folder:
                shutil.rmtree(other, ignore_errors=True)


def _tables(folder: Path) -> Iterator[pd.DataFrame]:
    for file in sorted(folder.glob("*.parquet")):
        try:
            yield pd.read_parquet(file)
        except (OSError, ValueError) as error:  # files without a cache entry are measured again
            log.warning("%s cannot be used: %s", file, " ".join(str(error).split()))


def recipe(rules: Images) -> str:
    """A hash of how files are measured: rules, code and libraries. If it changes, all files are measured again."""
    follows_from = {
        "rules": without_enhancement(rules, SIDE).model_dump(mode="json"),
        "code": code_of("pipeline.data.manifest"),
        "versions": versions_of(*LIBRARIES),
        "key": fingerprint(PATIENT_KEY),
    }
    return sha256(json.dumps(follows_from, sort_keys=True).encode())[:16]
