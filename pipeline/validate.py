"""Look at every image once -> the manifest, and a judgement of it (Great Expectations). Neither splits nor trains."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from tqdm import tqdm

from pipeline.errors import NightshiftError
from pipeline.files import replacing, sha256, write_json
from pipeline.images import UnreadableImage, decode
from pipeline.listing import list_images
from pipeline.params import Images, Validate, load_params
from pipeline.paths import DATA_DOCS, MANIFEST, RAW, VALIDATION
from pipeline.stage import log, run

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult

EXAMPLES = 5  # files named in a message; the Data Docs and the manifest have them all


class InvalidData(NightshiftError):  # noqa: N818 - a judgement, not a fault of the program
    """The data miss an expectation that training needs; names the files."""


def read_image(raw: Path, path: str, rules: Images) -> dict[str, Any]:
    """One row of the manifest: what the file at `raw`/`path` is, or why it cannot be read."""
    row: dict[str, Any] = {"path": path, "label": path.split("/", 1)[0], "readable": False, "error": ""}
    try:
        data = (raw / path).read_bytes()
        row |= {"bytes": len(data), "sha256": sha256(data)}
        picture = decode(data, rules)
    except OSError as error:
        return row | {"error": error.strerror or str(error)}
    except UnreadableImage as error:
        return row | {"error": str(error)}
    return row | {
        "readable": True, "format": picture.format, "mode": picture.mode,
        "width": picture.width, "height": picture.height,
    }  # fmt: skip


def build_manifest(raw: Path, rules: Images, workers: int) -> pd.DataFrame:
    """One row an image below `raw`, in listing order, read by `workers` threads. Raises InvalidData without images.

    Columns: path, label (the first folder), readable, error, bytes, sha256, format, mode, width, height (pixels).
    """
    paths = [listed.path for listed in list_images(raw)]
    if stray := [path for path in paths if "/" not in path]:
        raise InvalidData(f"{_named(stray)} lie directly in {raw}. Move each into a folder named for its label.")
    as_text = (os.fsencode(path).decode("utf-8", "backslashreplace") for path in paths)
    if odd := [text for path, text in zip(paths, as_text, strict=True) if path != text]:
        raise InvalidData(f"The names of {_named(odd)} are no UTF-8, which tables cannot hold. Rename them.")
    if not paths:
        raise InvalidData(f"{raw} holds no images. Put yours into {raw}/<class>/, or run `nightshift data demo`.")
    with ThreadPoolExecutor(workers) as pool:
        rows = list(
            tqdm(pool.map(lambda path: read_image(raw, path, rules), paths), "validate", len(paths), unit="image")
        )
    columns = {
        "path": "str", "label": "str", "readable": "bool", "error": "str", "bytes": "Int64", "sha256": "str",
        "format": "str", "mode": "str", "width": "Int64", "height": "Int64",
    }  # fmt: skip
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def judged_tables(manifest: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The two tables that expectations look at: every image, and every class."""
    content = manifest.assign(
        shorter_side=manifest[["width", "height"]].min(axis="columns").astype("float"),
        labels_of_content=manifest.groupby("sha256", dropna=True)["label"].transform("nunique").astype("float"),
    )
    classes = manifest[manifest["readable"]].groupby("label").size().rename("images").reset_index()
    every = pd.DataFrame({"label": sorted(manifest["label"].unique())})
    return {"images": content, "classes": every.merge(classes, how="left").fillna({"images": 0})}


def expectation_suites(limits: Validate, labels: list[str]) -> dict[str, "ExpectationSuite"]:
    """The expectations on each of `judged_tables`; `critical` ones stop the pipeline."""
    from great_expectations import ExpectationSuite
    from great_expectations import expectations as gxe
    from great_expectations.expectations.metadata_types import FailureSeverity

    known = limits.class_names or labels
    images = [
        gxe.ExpectColumnValuesToBeInSet(
            column="readable", value_set=[True], severity=FailureSeverity.CRITICAL,
            notes="Every file can be decoded. Repair, replace or delete the others.",
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="label", value_set=known, severity=FailureSeverity.CRITICAL,
            notes="Every folder is a known class (validate.class_names in params.yaml).",
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="shorter_side", min_value=limits.min_side, severity=FailureSeverity.CRITICAL,
            notes="No image is too small to judge (validate.min_side in params.yaml, pixels).",
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="labels_of_content", max_value=1, severity=FailureSeverity.CRITICAL,
            notes="No identical file carries two labels. Decide which label is right and delete the other copy.",
        ),
    ]  # fmt: skip
    classes = [
        gxe.ExpectTableRowCountToBeBetween(
            min_value=2, severity=FailureSeverity.CRITICAL, notes="There are at least two classes to tell apart."
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="images", min_value=limits.min_per_class, severity=FailureSeverity.CRITICAL,
            notes="Every class has enough images (validate.min_per_class in params.yaml).",
        ),
        gxe.ExpectColumnDistinctValuesToContainSet(
            column="label", value_set=known, severity=FailureSeverity.CRITICAL, notes="Every known class has images."
        ),
    ]  # fmt: skip
    return {
        "images": ExpectationSuite(name="images", expectations=images),
        "classes": ExpectationSuite(name="classes", expectations=classes),
    }


def judge(manifest: pd.DataFrame, limits: Validate, data_docs: Path) -> list["ExpectationSuiteValidationResult"]:
    """Check every expectation and write the Data Docs to the folder `data_docs`; one result a table."""
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
    suites = expectation_suites(limits, sorted(manifest["label"].unique()))
    source = context.data_sources.add_pandas("raw")
    results: list[ExpectationSuiteValidationResult] = []
    for name, frame in judged_tables(manifest).items():
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
        suite = context.suites.add(suites[name])
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
        index = ["path"] if "path" in frame else ["label"]
        checkpoint = gx.Checkpoint(
            name=name,
            validation_definitions=[definition],
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": index},
        )
        run = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": frame})
        results.extend(run.run_results.values())
    context.build_data_docs()
    return results


def failures(results: list["ExpectationSuiteValidationResult"]) -> Iterator[str]:
    """One line for each missed critical expectation: what was expected, how many miss it, the first of them."""
    for result in results:
        for outcome in result.results:
            if outcome.success or outcome.expectation_config is None:
                continue
            note = outcome.expectation_config.notes
            faulty = [next(iter(_keys(row))) for row in outcome.result.get("unexpected_index_list") or []]
            if outcome.exception_info.get("exception_message"):
                yield f"{note} It could not be checked: {outcome.exception_info['exception_message']}"
            elif missing := outcome.result.get("partial_missing_list"):
                yield f"{note} Missing: {_named([str(label) for label in missing])}."
            elif faulty:
                yield f"{note} {len(faulty)} miss this: {_named(faulty)}."
            else:
                yield f"{note} Found: {outcome.result.get('observed_value')}."


def _keys(row: dict[str, Any]) -> Iterator[str]:
    return (str(row[key]) for key in ("path", "label") if key in row)


def _named(paths: list[str]) -> str:
    more = f" and {len(paths) - EXAMPLES} more" if len(paths) > EXAMPLES else ""
    return ", ".join(paths[:EXAMPLES]) + more


def main() -> None:
    """The stage."""
    params = load_params()
    manifest = build_manifest(RAW, params.images, params.compute.reading_threads)
    with replacing(MANIFEST) as beside:
        manifest.to_parquet(beside, index=False)
    with replacing(DATA_DOCS) as beside:
        results = judge(manifest, params.validate_, beside)
    checks = [outcome.success for result in results for outcome in result.results]
    summary = {
        "images": len(manifest),
        "classes": manifest["label"].nunique(),
        "unreadable": int((~manifest["readable"]).sum()),
        "expectations": len(checks),
        "expectations_met": sum(bool(check) for check in checks),
    }
    write_json(VALIDATION, summary)
    if missed := list(failures(results)):
        docs = DATA_DOCS / "index.html"
        raise InvalidData("\n  ".join(["The images are not fit to learn from:", *missed, f"All of it: {docs}"]))
    log.info("%(images)d images, %(classes)d classes; %(expectations_met)d expectations met.", summary)


if __name__ == "__main__":
    sys.exit(run(main))
