"""Look for wrong labels with the backbone's features, and write the report on the data. Changes no label."""

import sys

import pandas as pd

from pipeline.checks.expectation_results import read_judgements
from pipeline.checks.label_issues import ISSUE_COLUMNS, label_issues, out_of_fold, read_evidence
from pipeline.checks.report import write_report
from pipeline.core.command import run
from pipeline.core.log import log
from pipeline.core.paths import DATA_REPORT, EXPECTATIONS, FEATURES, LABEL_ISSUES, MANIFEST
from pipeline.params.file import load_params
from pipeline.storage.files import replacing


def main() -> None:
    """The stage."""
    params = load_params()
    suspects = None
    if params.audit.folds == 0:
        log.info("Labels are not audited: audit.folds is 0.")
    elif (FEATURES / "train.npy").is_file():
        found = read_evidence()
        answers = out_of_fold(found.features, found.labels, found.groups, params.audit.folds, params.seed)
        suspects = label_issues(found.table, found.labels, answers, found.class_names)
        log.info("%d labels are probably wrong; see %s.", len(suspects), DATA_REPORT)
    else:
        log.info("Labels are not audited: %s has no pretrained features to judge by.", params.model.backbone)
    with replacing(LABEL_ISSUES) as beside:
        (pd.DataFrame(columns=list(ISSUE_COLUMNS)) if suspects is None else suspects).to_csv(beside, index=False)
    write_report(pd.read_parquet(MANIFEST), read_judgements(EXPECTATIONS), suspects, params)


if __name__ == "__main__":
    sys.exit(run(main))
