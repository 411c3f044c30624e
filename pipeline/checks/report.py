"""The report on the data that people look at: one HTML page that needs no other file. Measures and judges nothing."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from pipeline.checks.alike import in_words
from pipeline.checks.expectation_results import Judgement
from pipeline.checks.expectations import TableName
from pipeline.checks.label_issues import Audited
from pipeline.core.figures import Words, numbered
from pipeline.core.pages import Picture, address_of, as_figure, data_uri, figure_uri, render
from pipeline.core.parallel import ordered_map
from pipeline.core.paths import DATA_DOCS, DATA_REPORT, LABEL_ISSUES, RAW
from pipeline.core.terminal import progress_bar
from pipeline.core.text import counted
from pipeline.data.partners import joined_by, partners_in_words
from pipeline.images.decode import UnreadableImage, decode, without_enhancement
from pipeline.params.file import Params
from pipeline.storage.report_pages import links_to, write_page

TEMPLATE = "checks/report.html"
THUMBNAIL = 112  # pixels
PER_CLASS = 12  # images of each contact sheet
CLASSES = 60  # classes with a contact sheet, the rarest first: they are the ones that need a look
CLUSTERS, PER_CLUSTER = 24, 6  # clusters of near-duplicates, and images of each
WORST = 8  # images by each measure
SUSPECTS = 48  # suspected label errors
LISTED = 200  # rows of a table of files
NAMED = 5  # rows that miss an expectation
WORST_FIRST = ("error", "warning", "met")
ICONS = {"met": "✓", "warning": "!", "error": "✗"}
TITLES: dict[TableName, str] = {
    "files": "Files", "classes": "Classes", "dataset": "The data set as a whole", "drift": "Drift since the baseline",
}  # fmt: skip
WORST_BY = (  # title, column, whether the smallest values are the worst
    ("Darkest", "brightness", True),
    ("Brightest", "brightness", False),
    ("Least contrast", "contrast", True),
    ("Least sharp", "sharpness", True),
    ("Least detail (entropy)", "entropy", True),
    ("Smallest", "pixels", True),
    ("Narrowest", "aspect", True),
    ("Widest", "aspect", False),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """An image on the page, by its path, and what stands below it."""

    path: str
    caption: str
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A row of images with a title."""

    title: str
    images: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Validation:
    """One table that was judged: its expectations, the worst first."""

    table: TableName
    title: str
    expectations: tuple[Judgement, ...]

    @property
    def judged(self) -> list[Judgement]:
        """The expectations, the worst first."""
        return sorted(self.expectations, key=lambda one: WORST_FIRST.index(one.status))

    @property
    def worst(self) -> str:
        """The status of the worst."""
        return self.judged[0].status

    @property
    def rows(self) -> int:
        """How many rows the table has."""
        return self.expectations[0].rows

    @property
    def met(self) -> int:
        """How many expectations are met."""
        return sum(one.met for one in self.expectations)


@dataclass(frozen=True)
class Findings:
    """What the page shows, chosen from the tables; reads no image.

    manifest: as `validate` writes it.
    """

    manifest: pd.DataFrame
    expectations: list[Judgement]
    audited: Audited
    seed: int

    @property
    def suspects(self) -> pd.DataFrame | None:
        """Labels that are probably wrong; None where they were not looked for."""
        return self.audited.suspects

    @property
    def untold(self) -> list[str]:
        """What the audit cannot judge, in sentences."""
        return in_words(self.audited.alike)

    @property
    def validations(self) -> list[Validation]:
        """Each table that was judged, with its expectations."""
        of = {table: [one for one in self.expectations if one.table == table] for table in TITLES}
        return [Validation(table, TITLES[table], tuple(judged)) for table, judged in of.items() if judged]

    @property
    def kind(self) -> str:
        """The verdict's kind: `stop`, `look`, or nothing where all is well."""
        found = {one.status for one in self.expectations}
        return "stop" if "error" in found else "look" if "warning" in found or self.suspected else ""

    @property
    def verdict(self) -> list[str]:
        """The result in sentences, the most important first."""
        errors, warnings = (
            [one.finding for one in self.expectations if one.status == status] for status in ("error", "warning")
        )
        first = [f"Training stopped: {errors[0]}", *errors[1:]] if errors else ["These images can be trained on."]
        if count := 0 if self.suspects is None else len(self.suspects):
            first.append(f"{counted(count, 'label is', 'labels are')} probably wrong.")
        if not errors and (count := self.left_out_count):
            first.append(f"{counted(count, 'file is', 'files are')} left out.")
        return [*first, *self.untold, *warnings]

    @property
    def todo(self) -> list[str]:
        """What to do, one sentence each, the most important first."""
        missed = sorted((one for one in self.expectations if not one.met), key=lambda one: one.status)
        words = [one.remedy or one.words for one in missed]
        if self.suspected:
            words.append(
                f"Look at the labels that are probably wrong, below. Where one is, write the right label into the "
                f"column `correct_label` of `{LABEL_ISSUES}`, then run `nightshift data import {LABEL_ISSUES}`."
            )
        return [*words, "Then run `nightshift train` again."] if words else ["Nothing."]

    @cached_property
    def images(self) -> pd.DataFrame:
        """What can be looked at."""
        readable = self.manifest[self.manifest["readable"]]
        return readable.assign(pixels=readable["width"] * readable["height"])

    @cached_property
    def classes(self) -> list[tuple[str, int, float]]:
        """Label, images, share of the largest class."""
        count = self.manifest.groupby("label").size().sort_values(ascending=False)
        return [(str(label), int(images), images / count.max()) for label, images in count.items()]

    @cached_property
    def contact_sheets(self) -> list[Row]:
        """Some images of each class, drawn by the seed."""
        rng, rows = np.random.default_rng(self.seed), []
        for label, images, _ in reversed(self.classes[-CLASSES:]):
            paths = self.images.loc[self.images["label"] == label, "path"].to_numpy()
            chosen = rng.choice(paths, min(PER_CLASS, len(paths)), replace=False)
            rows.append(Row(f"{label} ({images:,})", tuple(Shown(path, _name(path)) for path in sorted(chosen))))
        return rows

    @cached_property
    def clusters(self) -> list[Row]:
        """Near-duplicates side by side: those across classes first, then across given splits, then the largest."""
        several = self.images[self.images.groupby("cluster")["path"].transform("size") > 1]
        found = []
        for name, images in several.groupby("cluster"):
            labels = images["label"].nunique()
            splits = images["split"].nunique() if "split" in images else 0
            found.append((-(labels > 1), -(splits > 1), -len(images), str(name), images))
        rows = []
        for across_labels, across_splits, size, _, images in sorted(found, key=lambda one: one[:4])[:CLUSTERS]:
            where = [words for words, is_so in (("two labels", across_labels), ("two splits", across_splits)) if is_so]
            # Of each label some, so that a contradiction is seen.
            shown = images.groupby("label").head(-(-PER_CLUSTER // images["label"].nunique())).head(PER_CLUSTER)
            captions = [self._caption(row) for row in shown.to_dict("records")]
            rows.append(
                Row(
                    ", ".join([counted(-size, "image"), *where]),
                    tuple(
                        Shown(path, caption, bool(where)) for path, caption in zip(shown["path"], captions, strict=True)
                    ),
                )
            )
        return rows

    @property
    def cluster_count(self) -> int:
        """How many clusters of two or more there are."""
        return int((self.manifest.groupby("cluster").size() > 1).sum())

    @staticmethod
    def _caption(row: Mapping[Any, Any]) -> str:
        split = f", {row['split']}" if pd.notna(row.get("split")) else ""
        return f"{row['label']}{split}: {_name(row['path'])}"

    @cached_property
    def worst(self) -> list[Row]:
        """The extremes of each measure."""
        rows = []
        for title, column, smallest in WORST_BY:
            extreme = self.images.sort_values([column, "path"], ascending=[smallest, True]).head(WORST)
            shown = zip(extreme["path"], extreme[column].astype("float64"), strict=True)
            rows.append(Row(title, tuple(Shown(path, f"{as_figure(value)}: {_name(path)}") for path, value in shown)))
        return rows

    @cached_property
    def suspected(self) -> tuple[Shown, ...]:
        """The likeliest label errors, the worst first."""
        rows = [] if self.suspects is None else self.suspects.head(SUSPECTS).to_dict("records")
        return tuple(
            Shown(
                row["path"],
                f"{row['label']} → {row['suggested']} ({row['suggested_confidence']:.0%}): {row['path']}",
                alarm=True,
            )
            for row in rows
        )

    @cached_property
    def left_out(self) -> list[dict[str, Any]]:
        """Files that no model sees: unreadable ones and those in quarantine."""
        return [
            {"path": row["path"], "reason": row["quarantined"] or "unreadable", "error": row["error"]}
            for row in self._out.head(LISTED).to_dict("records")
        ]

    @property
    def left_out_count(self) -> int:
        """How many they are in all."""
        return len(self._out)

    @cached_property
    def _out(self) -> pd.DataFrame:
        return self.manifest[~self.manifest["readable"] | (self.manifest["quarantined"] != "")]

    @property
    def shown(self) -> list[str]:
        """Every image of the page, once."""
        rows = [*self.contact_sheets, *self.clusters, *self.worst, Row("", self.suspected)]
        return list(dict.fromkeys(image.path for row in rows for image in row.images))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def write_report(
    manifest: pd.DataFrame, expectations: list[Judgement], audited: Audited, params: Params, identity: str = ""
) -> None:
    """Write the page to DATA_REPORT. identity: the data version that a training goes on with; empty: it stops here."""
    findings = Findings(manifest, expectations, audited, params.seed)
    together = joined_by(manifest, params.preprocess.fractions.train)
    page = render(
        TEMPLATE,
        found=findings,
        thumbnails=thumbnails(RAW, findings.shown, params),
        sizes=figure_uri(draw_sizes(findings.images)),
        numbered=numbered(sorted(map(str, findings.images["label"].unique()))),
        icons=ICONS,
        named=NAMED,
        files=len(manifest),
        together=[*partners_in_words(together, params.preprocess.burst_seconds)],
        identity=identity,
        links=links_to(),
        data_docs=(DATA_DOCS / "index.html").relative_to(DATA_REPORT.parent).as_posix(),
    )
    write_page(DATA_REPORT, page)


def thumbnails(raw: Path, paths: Iterable[str], params: Params) -> dict[str, Picture | None]:
    """A small picture for each path, which leads to the file; None where that can no longer be read."""
    rules = without_enhancement(params.images, THUMBNAIL).model_copy(update={"fit": "pad"})

    def thumbnail(path: str) -> Picture | None:
        try:
            pixels = decode((raw / path).read_bytes(), rules).pixels
        except (OSError, UnreadableImage):
            return None
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "WEBP", quality=75)
        return Picture(data_uri(buffer.getvalue(), "webp"), address_of(raw / path, DATA_REPORT.parent))

    paths = list(paths)
    found = ordered_map(thumbnail, paths, params.compute.threads)
    return dict(zip(paths, progress_bar(found, "report", len(paths), unit="image"), strict=True))


def draw_sizes(images: pd.DataFrame) -> Figure:
    """Width against height of every image, in pixels, a colour a class."""
    names = [str(name) for name in sorted(images["label"].unique())]
    words = Words.of(names)
    with words.drawing():
        return _draw_sizes(images, dict(zip(names, words.labels(names), strict=True)))


def _draw_sizes(images: pd.DataFrame, shown: Mapping[str, str]) -> Figure:
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    sizes = images.groupby(["label", "width", "height"]).size().rename("images").reset_index()
    for place, (label, points) in enumerate(sizes.groupby("label")):
        # Many images of one size are one larger point: a cloud of equal ones would look like a single image.
        area = 12 + 6 * np.sqrt(points["images"].to_numpy(dtype="float64"))
        axes.scatter(
            points["width"].astype("float64"), points["height"].astype("float64"), s=area, alpha=0.5,
            color=f"C{place % 10}", label=shown[str(label)] if place < 10 else None,
        )  # fmt: skip
    axes.set(xlabel="width (pixels)", ylabel="height (pixels)", xscale="log", yscale="log")
    if len(sizes):
        axes.legend(fontsize=8)
    return figure
