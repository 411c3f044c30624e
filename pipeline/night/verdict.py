"""Whether a finished night needs a person, and why. Reads no file."""

from typing import NamedTuple

from pipeline.core.text import beside
from pipeline.night.summary import NightSummary, gap_lines, never_sure_lines, new_files_lines, stranger_lines
from pipeline.params.night import Batch


class Alarm(NamedTuple):
    """One thing that a person must look into."""

    about: str  # in a word or two
    words: str


def alarms(summary: NightSummary, batch: Batch) -> list[str]:
    """What a person must look into, one sentence each; none: all is well."""
    return [alarm.words for alarm in raised(summary, batch)]


def raised(summary: NightSummary, batch: Batch) -> list[Alarm]:
    """All alarms of a night. batch: the limits.

    A class with at least LEAST_OF_A_CLASS predictions (10) and not one `ok` is an alarm, whatever the limits; all such
    classes together are one.
    """
    listed, found = summary.listed, []
    if not summary.reconciled:
        words = "The rows are not those of the listed files: do not use them; see summary.json."
        found.append(Alarm("rows are missing", words))
    if summary.refused:
        words = f"{summary.refused} Look at its answers before you use them, or promote another version."
        found.append(Alarm("a refused model", words))
    found += [Alarm("new files", words) for words in new_files_lines(summary)]
    found += [Alarm(f"camera {name} changed", words) for name, words in summary.changed_cameras.items()]
    found += [Alarm("outliers", words) for words in stranger_lines(summary)]
    found += [Alarm("a class is never sure", words) for words in never_sure_lines(summary)]
    if summary.left_aside:
        found += [Alarm("folders not read", words) for words in summary.left_aside.unread_lines]
    if summary.unreadable > batch.max_unreadable * listed:
        words = (
            f"{summary.unreadable} of {listed} files are unreadable, more than batch.max_unreadable "
            f"({batch.max_unreadable:g}) allows."
        )
        found.append(Alarm("unreadable files", words))
    moved = summary.drift.moved if summary.drift else []
    if moved and not summary.only_cameras:
        most = batch.max_drift
        sizes = ", ".join(f"{one.measure.replace('_', ' ')} {beside(one.statistic, most, '.2f')}" for one in moved)
        words = (
            f"The images are not as in training (0 the same, 1 disjoint; batch.max_drift {most:g}): {sizes}."
            " Another camera, another light, other subjects? The model's figures may no longer hold."
        )
        found.append(Alarm("not as in training", words))
    if summary.unsure > batch.max_unsure * listed:
        words = (
            f"The model is unsure of {summary.unsure} of {listed} images, more than batch.max_unsure "
            f"({batch.max_unsure:g}) allows."
        )
        found.append(Alarm("many unsure", words))
    found += [Alarm("no pictures", words) for words in gap_lines(summary)]
    return found
