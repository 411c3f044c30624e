"""Look for wrong labels with the backbone's features, and write the report on the data. Changes no label."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.checks.expectation_results import read_judgements
from pipeline.checks.label_issues import label_issues, out_of_fold, read_evidence, with_corrections
from pipeline.checks.report import write_report
from pipeline.core.command import run
from pipeline.core.log import log
from pipeline.core.paths import DATA_REPORT, EXPECTATIONS, FEATURES, LABEL_ISSUES, MANIFEST, PREPARED
from pipeline.core.people_tables import TableError
from pipeline.core.text import counted
from pipeline.data.prepared import read_dataset
from pipeline.data.report_tables import write_table
from pipeline.data.suspects import ISSUE_COLUMNS, read_suspects
from pipeline.params.file import load_params


def main() -> None:
    """The stage."""
    params = load_params()
    suspects, unaudited = None, ""
    if params.audit.folds == 0:
        log.info("Labels are not audited: audit.folds is 0.")
    elif (FEATURES / "train.npy").is_file():
        evidence = read_evidence()
        answers = out_of_fold(evidence.features, evidence.labels, evidence.groups, params.audit.folds, params.seed)
        if unjudged := int(np.isnan(answers).any(axis=1).sum()):
            count = len(np.unique(evidence.groups))
            unaudited = (
                f"{unjudged} of {len(answers)} labels are not audited: an image is judged by a model that has seen two "
                f"or more classes in other groups and scenes, and there {'is' if count == 1 else 'are'} only {count} "
                f"of these{'' if count == 1 else ' in all'}."
            )
            log.warning("%s", unaudited)
        if unjudged < len(answers):
            suspects = label_issues(evidence.table, evidence.labels, answers, evidence.class_names)
            found = counted(len(suspects), "label is", "labels are") if len(suspects) else "No label is"
            log.info("%s probably wrong; see %s.", found, DATA_REPORT)
    else:
        log.info("Labels are not audited: %s has no pretrained features to judge by.", params.model.backbone)
    manifest = pd.read_parquet(MANIFEST)
    listed = pd.DataFrame(columns=list(ISSUE_COLUMNS)) if suspects is None else suspects
    write_table(LABEL_ISSUES, with_corrections(listed, _earlier(), manifest))
    version = f"data {read_dataset(PREPARED).sha256[:8]}"
    write_report(manifest, read_judgements(EXPECTATIONS), suspects, params, unaudited, version)


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
