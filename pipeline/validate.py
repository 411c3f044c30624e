"""Look at every image once -> the manifest, and a judgement of it (Great Expectations). Neither splits nor trains."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.checks.dataset_drift import compare
from pipeline.checks.expectation_results import Judgement, judge
from pipeline.checks.expectations import checks, quarantine, tables
from pipeline.checks.faults import spelled
from pipeline.checks.hints import group_hints, hints
from pipeline.checks.label_issues import Audited
from pipeline.checks.report import write_report
from pipeline.core.command import run
from pipeline.core.log import log
from pipeline.core.paths import (
    DATA_DOCS,
    DATA_REPORT,
    EXPECTATIONS,
    MANIFEST,
    MEASURED,
    METADATA,
    QUARANTINE,
    RAW,
    VALIDATION,
)
from pipeline.data.manifest import InvalidData, build_manifest, measure_files, with_metadata
from pipeline.data.partners import Joined, joined_by, partners, partners_in_words
from pipeline.data.report_tables import write_table
from pipeline.data.side_table import as_named, orphans_of, read_metadata
from pipeline.data.split_units import scenes
from pipeline.params.file import Params, load_params
from pipeline.storage.files import replacing, write_json
from pipeline.versions.snapshots import manifest_at

LARGER = "larger than a tile of images.tiles"  # in the manifest's reason for a scene


def look(params: Params, side: pd.DataFrame) -> pd.DataFrame:
    """The whole manifest: what was measured, what is known besides, clusters of near-duplicates, what is left out."""
    limits = params.validate_
    measured = build_manifest(RAW, params.images, params.compute.threads, MEASURED)
    manifest = with_metadata(measured, as_named(side, measured["path"]), params.preprocess.group_column)
    found = scenes(manifest, limits.near_duplicate_bits, limits.checks.blank.below)
    if found.note:
        log.warning("%s", found.note)
    manifest["cluster"] = found.cluster
    together = partners(manifest, params.preprocess.burst_seconds)
    for note in together.notes:
        log.warning("%s", note)
    manifest = manifest.assign(burst=together.burst, subject=together.subject)
    manifest["quarantined"] = quarantine(manifest, limits)
    return manifest


def numbers(manifest: pd.DataFrame, judged: list[Judgement], together: Joined) -> dict[str, Any]:
    """What reports/validation.json says of the data."""
    copies = manifest.groupby("cluster")["path"].transform("size")
    return {
        "images": len(manifest),
        "classes": manifest["label"].nunique(),
        "unreadable": int((~manifest["readable"]).sum()),
        "quarantined": int((manifest["quarantined"] != "").sum()),
        "images_with_near_duplicates": int((copies > 1).sum()),
        "images_in_bursts": together.in_bursts,
        "images_of_shared_patients": together.of_subjects,
        "random_split_leak": round(together.leak, 4),
        "expectations": len(judged),
        "expectations_met": sum(one.met for one in judged),
        "faults": {one.fault: one.missed for one in judged},
    }


def with_scenes(judged: Judgement, manifest: pd.DataFrame) -> Judgement:
    """The judgement; of files that cannot be decoded it says first what to do with those larger than a tile."""
    large = int(manifest["error"].str.contains(LARGER, regex=False).sum())
    if judged.fault != "unreadable" or not large:
        return judged
    cut = "cut [it|them] with `nightshift data tiles SOURCE FOLDER`, import the tiles and delete [it|them] here."
    said = spelled(f"[is|are] {LARGER}: {cut}", large)
    if large == judged.missed:
        return judged.model_copy(update={"remedy": f"{spelled('[It|They]', large)} {said}"})
    return judged.model_copy(update={"remedy": f"{large:,} of them {said} {judged.remedy}"})


def _measured(params: Params, files: Mapping[str, Path]) -> pd.DataFrame:
    return measure_files(files, params.images, params.compute.threads)


def main() -> None:
    """The stage."""
    params = load_params()
    limits = params.validate_
    side = read_metadata(METADATA)
    manifest = look(params, side)
    with replacing(MANIFEST) as beside:
        manifest.to_parquet(beside, index=False)
    write_table(QUARANTINE, manifest.loc[manifest["quarantined"] != "", ["path", "label", "quarantined", "error"]])
    before = manifest_at(limits.baseline, manifest, partial(_measured, params)) if limits.baseline else None
    drift = compare(manifest, before) if before is not None else pd.DataFrame()
    orphans = len(orphans_of(side, manifest["path"]))
    with replacing(DATA_DOCS) as beside:
        found = judge(tables(manifest, drift, orphans, limits), checks(limits), beside)
    judged = [with_scenes(one, manifest) for one in found]
    write_json(EXPECTATIONS, [one.model_dump() for one in judged])
    together = joined_by(manifest, params.preprocess.fractions.train)
    summary = numbers(manifest, judged, together)
    write_json(VALIDATION, summary)
    for one in judged:
        if one.status == "warning":
            log.warning("%s: %s", one.fault, one.sentence)
    for words in partners_in_words(together, params.preprocess.burst_seconds):
        log.info("%s", words)
    for words in [*hints(manifest, RAW, params.images), *group_hints(side, params.preprocess.group_column)]:
        log.warning("%s", words)
    if errors := [f"{one.fault}: {one.sentence}" for one in judged if one.status == "error"]:
        write_report(manifest, judged, Audited(), params)
        seen = f"Look at {DATA_REPORT}."
        raise InvalidData("\n  ".join(["These images cannot be used for training:", *errors, seen]))
    log.info(
        "%(images)d images, %(classes)d classes; %(expectations_met)d of %(expectations)d expectations met.", summary
    )


if __name__ == "__main__":
    sys.exit(run(main))
