"""What is wrong with a model and what to do about it, in sentences for the person who decides. Measures nothing."""

from collections.abc import Mapping

from pipeline.core.paths import LABEL_ISSUES
from pipeline.core.text import counted
from pipeline.evaluation.findings import Findings
from pipeline.evaluation.model_card import fragile
from pipeline.evaluation.results import ClassScores
from pipeline.model.contract import Contract

NAMED = 3  # worse slices in the sentences; the page lists all
GOOD_RECALL = 0.95  # a class that finds more of its images is not named as a weakness


def wrong_words(findings: Findings, contract: Contract) -> list[str]:
    """The weaknesses, the most important first; none: nothing stands out."""
    evaluation = findings.evaluation
    words = list(findings.mislabelled)
    if weak := weakest(evaluation.classes):
        label, scores = weak
        found = round(scores.recall * scores.images)
        words.append(
            f"Weakest on {label}: of {counted(scores.images, 'test image')} of it, the model names {found:,} right."
        )
    words += [
        f"Worse than elsewhere on {one['column']}: {one['value']} ({100 * one['accuracy']:.0f} % of "
        f"{counted(one['images'], 'image')} right)."
        for one in findings.worse_slices[:NAMED]
    ]
    if bad := [one["corruption"] for one in fragile(findings.robustness)]:
        words.append(f"Much worse on images with {', '.join(bad)}.")
    if contract.certificate and not contract.certificate.certified:
        words.append(contract.certificate.words)
    return words


def weakest(classes: Mapping[str, ClassScores]) -> tuple[str, ClassScores] | None:
    """The class that finds the least of its images, if that is worth a word."""
    known = {label: one for label, one in classes.items() if one.images}
    if not known:
        return None
    label = min(known, key=lambda label: known[label].recall)
    return (label, known[label]) if known[label].recall < GOOD_RECALL else None


def todo(findings: Findings, contract: Contract) -> list[str]:
    """What to do next, one sentence each."""
    words = []
    if findings.mistakes:
        words.append("Look at the mistakes below: a wrong label, a second object, a bad image?")
    if findings.suspects:
        words.append(
            f"Where a label is wrong, write the right one into the column `correct_label` of `{LABEL_ISSUES}`, then "
            f"run `nightshift data import {LABEL_ISSUES}` and `nightshift train`."
        )
    if weak := weakest(findings.evaluation.classes):
        words.append(f"More labelled images of {weak[0]} help most.")
    if contract.certificate and not contract.certificate.certified:
        words.append("Add labelled images and train again: with few, little can be promised.")
    if findings.worse_slices:
        words.append("More images of the kinds that are worse help as well.")
    return words or ["Nothing stands out: use it. `nightshift classify FOLDER` answers for a folder of images."]
