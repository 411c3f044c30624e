"""What is expected of the data, as one list of checks; their faults; and their judgement by Great Expectations.

Every check is a range of one column of one table: `files` (a row a file), `classes`, `dataset` (one row) or `drift`
(a row a measure). So one definition serves the expectation, its words, and the list of files that miss it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from pipeline.checks.data_docs import make_offline
from pipeline.data.prepared import SPLITS
from pipeline.params.data import Severity, Validate

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationSuiteValidationResult

TableName = Literal["files", "classes", "dataset", "drift"]
EXAMPLES = 20  # faulty rows that a report names
KEYS: dict[TableName, str] = {"files": "path", "classes": "label", "dataset": "dataset", "drift": "measure"}


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation: `column` of `table` lies between `low` and `high`, but for a share of the rows."""

    fault: str  # what a row that misses it suffers from; the key in params.yaml
    table: TableName
    column: str
    severity: Severity  # never `off`: such a check is not made
    words: str  # what is expected, and what to do
    low: float | None = None
    high: float | None = None
    max_share: float = 0.0

    def faulty(self, table: pd.DataFrame) -> pd.Series:
        """Which rows miss it; a value that is not known misses nothing."""
        values = table[self.column].astype("Float64")
        faulty = pd.Series(False, index=table.index)
        if self.low is not None:
            faulty |= (values < self.low).fillna(False).astype(bool)
        if self.high is not None:
            faulty |= (values > self.high).fillna(False).astype(bool)
        return faulty


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a check went."""

    check: Check
    met: bool
    rows: int
    faulty: tuple[str, ...]  # keys of the rows that miss it: paths, labels, measures
    observed: str  # for a table of one row, its value
    error: str  # why it could not be judged

    @property
    def status(self) -> str:
        """`met`, else the severity."""
        return "met" if self.met else self.check.severity

    @property
    def found(self) -> str:
        """What was found, in a word or two."""
        return self.observed or f"{len(self.faulty)} of {self.rows}"

    def as_row(self) -> dict[str, Any]:
        """What a report says of it; of many faulty rows the first."""
        return {
            "fault": self.check.fault,
            "words": self.check.words,
            "status": self.status,
            "found": self.found,
            "examples": list(self.faulty[:EXAMPLES]),
            "error": self.error,
        }


def checks(limits: Validate) -> list[Check]:
    """Every check that params.yaml does not switch off."""
    of = limits.checks

    def share(fault: str, column: str, words: str, low: float | None = None, high: float | None = None) -> Check:
        section = getattr(of, fault)
        return Check(fault, "files", column, section.severity, words, low, high, section.max_share)

    every = [
        share("unreadable", "readable", "Files can be decoded. Repair, replace or delete the others.", low=1),
        share("small", "shorter_side", "Images are large enough to judge (pixels).", low=of.small.below),
        share(
            "odd_size", "size_ratio",
            "Images are of like size (times larger or smaller than the median). Others are often no photographs.",
            high=of.odd_size.above,
        ),
        share("wrong_extension", "extension_matches", "A file is what its name says. Rename the others.", low=1),
        share(
            "unknown_label", "label_is_known",
            "Every folder is a known class. Move or delete the folder, or add it to validate.class_names.", low=1,
        ),
        share("blank", "contrast", "Images show something (contrast).", low=of.blank.below),
        share("dark", "brightness", "Images are not too dark (mean of 0..255).", low=of.dark.below),
        share("blurred", "sharpness", "Images are in focus (variance of the Laplacian).", low=of.blurred.below),
        share("duplicate", "copy", "No image is there twice in its class. Delete the copies.", high=0),
        share(
            "conflicting_duplicate", "labels_of_content",
            "No identical file carries two labels. Decide which is right and delete the other copy.", high=1,
        ),
        share(
            "conflicting_near_duplicate", "labels_of_cluster",
            "No two nearly identical images carry two labels. Look at them side by side in the report.", high=1,
        ),
        share(
            "leaking_duplicate", "less_held_out",
            "No image of a given split is (nearly) repeated in another: it would be learnt and then examined. "
            "Delete one of them, or quarantine them.", high=0,
        ),
        Check(
            "few_images", "classes", "images", of.few_images.severity,
            "Every known class has enough images. Add some, or remove the class.", low=of.few_images.at_least,
        ),
        Check(
            "imbalance", "classes", "rarity", of.imbalance.severity,
            "No class is far rarer than the largest. Add images of it; class weights help only so far.",
            high=of.imbalance.at_most,
        ),
        Check("few_classes", "dataset", "classes", "error", "There are at least two classes to tell apart.", low=2),
        Check(
            "orphaned_metadata", "dataset", "metadata_without_image", of.orphaned_metadata.severity,
            "Rows of metadata.csv belong to an image. Mend their paths, or delete them.",
            high=of.orphaned_metadata.at_most,
        ),
        Check(
            "too_many_quarantined", "dataset", "quarantined", "error",
            "Few files are left out (share, validate.max_quarantined). Many bad files have a common cause: find it.",
            high=limits.max_quarantined,
        ),
        Check(
            "drift", "drift", "statistic", of.drift.severity,
            f"Images are like those of {limits.baseline} (0: same distribution, 1: disjoint). Is a new camera or site "
            "wanted?", high=of.drift.at_most,
        ),
    ]  # fmt: skip
    return [check for check in every if check.severity != "off"]


def files_table(manifest: pd.DataFrame, limits: Validate) -> pd.DataFrame:
    """The manifest with the columns that its checks look at; of files that are left out nothing counts."""
    kept = manifest[manifest["quarantined"] == ""]
    shorter = kept[["width", "height"]].min(axis="columns").astype("Float64")
    ratio = pd.concat([kept[side].astype("Float64") / kept[side].median() for side in ("width", "height")], axis=1)
    known = limits.class_names if limits.class_names is not None else kept["label"].unique()
    content, cluster = (kept.groupby(key, dropna=True) for key in ("sha256", "cluster"))
    return kept.assign(
        readable=kept["readable"].astype("Int64"),
        extension_matches=kept["extension_matches"].astype("Int64"),
        shorter_side=shorter,
        size_ratio=ratio.where(ratio >= 1, 1 / ratio).max(axis="columns"),
        label_is_known=kept["label"].isin(known).astype("Int64"),
        copy=kept.groupby(["sha256", "label"], dropna=True).cumcount().where(kept["sha256"].notna()).astype("Int64"),
        labels_of_content=content["label"].transform("nunique").astype("Int64"),
        labels_of_cluster=cluster["label"].transform("nunique").astype("Int64"),
        less_held_out=_less_held_out(kept).astype("Int64"),
    )


def _less_held_out(images: pd.DataFrame) -> pd.Series:
    """1 for an image with a given split whose cluster is also in a split further from training: test, val, train."""
    if "split" not in images:
        return pd.Series(0, index=images.index)
    rank = images["split"].map({name: float(place) for place, name in enumerate(SPLITS)})
    return (rank < rank.groupby(images["cluster"]).transform("max")).astype(int)


def classes_table(manifest: pd.DataFrame, limits: Validate) -> pd.DataFrame:
    """A row a known class: how many images it has, and how many times more the largest has."""
    images = manifest[manifest["readable"] & (manifest["quarantined"] == "")]["label"].value_counts()
    names = sorted(manifest["label"].unique() if limits.class_names is None else limits.class_names)
    count = images.reindex(names, fill_value=0).astype("int64")
    rarity = count.max() / count.clip(lower=1)
    return pd.DataFrame({"label": names, "images": count.to_numpy(), "rarity": rarity.to_numpy(dtype="float64")})


def tables(
    manifest: pd.DataFrame, drift: pd.DataFrame, metadata_without_image: int, limits: Validate
) -> dict[TableName, pd.DataFrame]:
    """What the checks look at."""
    classes = classes_table(manifest, limits)
    dataset = {
        "dataset": "images",
        "classes": int((classes["images"] > 0).sum()),
        "metadata_without_image": metadata_without_image,
        "quarantined": float((manifest["quarantined"] != "").mean()),
    }
    found: dict[TableName, pd.DataFrame] = {
        "files": files_table(manifest, limits), "classes": classes, "dataset": pd.DataFrame([dataset]),
    }  # fmt: skip
    return found | ({"drift": drift} if len(drift) else {})


def quarantine(manifest: pd.DataFrame, limits: Validate) -> pd.Series:
    """For each file the first fault of `validate.quarantine` that it suffers from, else an empty string."""
    reasons = pd.Series("", index=manifest.index, dtype="str")
    if not limits.quarantine:
        return reasons
    table = files_table(manifest.assign(quarantined=""), limits)
    # An image whose check is switched off in params.yaml is not looked at for it either.
    for check in checks(limits):
        if check.fault in limits.quarantine:
            reasons = reasons.mask(check.faulty(table) & (reasons == ""), check.fault)
    return reasons.astype("str")


def judge(found: dict[TableName, pd.DataFrame], every: list[Check], data_docs: Path) -> list[Outcome]:
    """Let Great Expectations judge the tables and write its Data Docs into the folder `data_docs`."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    for site in list(context.list_data_docs_sites()):
        context.delete_data_docs_site(site)
    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(data_docs.absolute())}
    context.add_data_docs_site(
        "nightshift",
        {
            "class_name": "SiteBuilder",
            "store_backend": backend,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )
    source = context.data_sources.add_pandas("raw")
    outcomes: list[Outcome] = []
    for name, frame in found.items():
        asked = [check for check in every if check.table == name]
        columns = [KEYS[name], *dict.fromkeys(check.column for check in asked)]
        judged = frame[columns].astype(dict.fromkeys(columns[1:], "float64"))
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
        suite = context.suites.add(_suite(name, asked))
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
        checkpoint = gx.Checkpoint(
            name=name,
            validation_definitions=[definition],
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [KEYS[name]]},
        )
        run = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": judged})
        (result,) = run.run_results.values()
        outcomes.extend(_outcomes(result, asked, frame))
    context.build_data_docs()
    by_table = [[outcome for outcome in outcomes if outcome.check.table == name] for name in found]
    make_offline(
        data_docs,
        [(name, sum(one.met for one in these), len(these)) for name, these in zip(found, by_table, strict=True)],
    )
    return outcomes


def _suite(name: str, asked: Iterable[Check]) -> "ExpectationSuite":
    from great_expectations import ExpectationSuite
    from great_expectations import expectations as gxe
    from great_expectations.expectations.metadata_types import FailureSeverity

    severities = {"error": FailureSeverity.CRITICAL, "warning": FailureSeverity.WARNING}
    expectations = [
        gxe.ExpectColumnValuesToBeBetween(
            column=check.column, min_value=check.low, max_value=check.high, mostly=1 - check.max_share,
            severity=severities[check.severity], notes=check.words,
        )
        for check in asked
    ]  # fmt: skip
    return ExpectationSuite(name=name, expectations=expectations)


def _outcomes(result: "ExpectationSuiteValidationResult", asked: list[Check], frame: pd.DataFrame) -> Iterator[Outcome]:
    by_column = {
        config.kwargs["column"]: outcome for outcome in result.results if (config := outcome.expectation_config)
    }
    for check in asked:
        outcome = by_column[check.column]
        keys = frame.loc[check.faulty(frame), KEYS[check.table]].astype(str)
        observed = f"{frame[check.column].iloc[0]:g}" if check.table == "dataset" else ""
        error = _exception(outcome.exception_info)
        yield Outcome(check, bool(outcome.success), len(frame), tuple(keys), observed, error)


def _exception(info: dict[str, Any]) -> str:
    """Great Expectations' own failure, wherever it hides it."""
    inner = [info, *(value for value in info.values() if isinstance(value, dict))]
    return next((str(part["exception_message"]) for part in inner if part.get("exception_message")), "")
