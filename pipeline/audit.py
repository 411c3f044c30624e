"""Look for wrong labels with the backbone's features, and write the report on the data. Changes no label."""

import itertools
import sys
from pathlib import Path

import pandas as pd

from pipeline.checks.alike import in_words
from pipeline.checks.expectation_results import read_judgements
from pipeline.checks.label_issues import Audited, audit, read_evidence, with_corrections
from pipeline.checks.report import write_report
from pipeline.core.command import run
from pipeline.core.log import log
from pipeline.core.paths import DATA_REPORT, EXPECTATIONS, FEATURES, LABEL_ISSUES, MANIFEST, PREPARED
from pipeline.core.people_tables import TableError
from pipeline.core.text import counted
from pipeline.data.prepared import read_dataset
from pipeline.data.report_tables import write_table
from pipeline.data.suspects import ISSUE_COLUMNS, read_suspects
from pipeline.params.file import Params, load_params


def main() -> None:
    """The stage."""
    params = load_params()
    found = _audited(params)
    manifest = pd.read_parquet(MANIFEST)
    listed = pd.DataFrame(columns=list(ISSUE_COLUMNS)) if found.suspects is None else found.suspects
    write_table(LABEL_ISSUES, with_corrections(listed, _earlier(), manifest))
    version = f"data {read_dataset(PREPARED).sha256[:8]}"
    write_report(manifest, read_judgements(EXPECTATIONS), found, params, version)


def _audited(params: Params) -> Audited:
    """What was found, which the log says too."""
    if params.audit.folds == 0:
        return _not_audited("audit.folds is 0")
    if not (FEATURES / "train.npy").is_file():
        return _not_audited(f"{params.model.backbone} has no pretrained features to judge by")
    found = audit(read_evidence(), params.audit.folds, params.seed)
    if found.note:
        log.warning("%s", found.note)
    if found.suspects is not None:
        count = counted(len(found.suspects), "label is", "labels are") if len(found.suspects) else "No label is"
        log.info("%s probably wrong; see %s.", count, DATA_REPORT)
    for words in in_words(found.alike):
        log.info("%s", words)
    return found


def _not_audited(why: str) -> Audited:
    note = f"Labels are not audited: {why}."
    log.info("%s", note)
    return Audited(note=note)


def _earlier() -> list[dict[str, str]]:
    """The rows of the file that is there, with labels that a person may have typed."""
    try:
        return read_suspects(LABEL_ISSUES)
    except TableError as error:
        beside = _kept_copy(LABEL_ISSUES)
        log.warning("%s It is kept as %s.", error, beside)
        return []


def _kept_copy(file: Path) -> Path:
    """A copy of what a person wrote, beside it; copies of other texts that are there stay."""
    text = file.read_bytes()
    names = (file.with_name(f"{file.stem}-{number}{file.suffix}") for number in itertools.count(1))
    copy = next(one for one in names if not one.exists() or one.read_bytes() == text)
    copy.write_bytes(text)
    return copy


if __name__ == "__main__":
    sys.exit(run(main))
