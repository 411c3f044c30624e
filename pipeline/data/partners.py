"""Images that belong together though they need not look alike: bursts of a camera, a patient's. Opens no file.

What a split tears apart, the model knows from training: camera, background, animal, patient.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.core.text import counted
from pipeline.data.bursts import bursts_of
from pipeline.data.duplicates import components, joined
from pipeline.data.split_units import UNITS_TO_SPLIT, units_of_classes

HALVINGS = 6  # of a gap, in search of one that leaves enough bursts


@dataclass(frozen=True, slots=True)
class Partners:
    """The bursts and subjects that splits keep together, by name; missing: no other image belongs with this one."""

    burst: pd.Series  # Int64
    subject: pd.Series  # str: a hash
    notes: tuple[str, ...] = ()  # what a person should know, where they are not all that were found


def partners(manifest: pd.DataFrame, gap: float) -> Partners:
    """The bursts with gaps under `gap` seconds (0: none), and the patients and studies of DICOM files.

    Where these would leave a class too few separate units to split, fewer of them: all files of one `ANONYMOUS`, or of
    a camera that never pauses, are no burst and no patient. manifest: columns label, sha256, cluster and, where known,
    group, taken_at, camera, patient, study.
    """
    subject, burst = subjects(manifest, ["patient", "study"]), _bursts(manifest, gap)
    if not (subject.notna().any() or burst.notna().any()):
        return Partners(burst, subject)
    possible = units_of_classes(manifest).clip(upper=UNITS_TO_SPLIT)

    def first_short(**columns: pd.Series) -> tuple[str, int] | None:
        counts = units_of_classes(manifest.assign(**columns))
        short = counts[counts < possible]
        return (str(short.index[0]), int(short.iloc[0])) if len(short) else None

    notes = []
    if wrong := first_short(subject=subject):
        of_studies = subjects(manifest, ["study"])
        subject = _none(subject) if first_short(subject=of_studies) else of_studies
        notes.append(
            f"By the patients of the DICOM files the images of class {wrong[0]} are only "
            f"{counted(wrong[1], 'separate unit')}, too few for training, validation and test images. "
            "Do anonymised files share one number? Now "
            f"{'only images of one study are' if subject is of_studies else 'neither patients nor studies are'} kept "
            "in one split. Name the real groups in data/raw/metadata.csv (preprocess.group_column)."
        )
    if wrong := first_short(subject=subject, burst=burst):
        gaps = (gap / 2**times for times in range(1, HALVINGS))
        works = next((one for one in gaps if not first_short(subject=subject, burst=_bursts(manifest, one))), 0)
        burst = _bursts(manifest, 0)
        notes.append(
            f"With preprocess.burst_seconds {gap:g} the images of class {wrong[0]} are only "
            f"{counted(wrong[1], 'burst')}, too few for training, validation and test images. "
            "A camera that never pauses? No bursts are kept in one split "
            f"now. To settle it, set preprocess.burst_seconds in params.yaml to 0{f' or {works:g}' if works else ''}."
        )
    return Partners(burst, subject, tuple(notes))


def _bursts(manifest: pd.DataFrame, gap: float) -> pd.Series:
    """The number of each image's burst; missing where it has no other image."""
    numbers = pd.Series(bursts_of(manifest, gap), index=manifest.index, dtype="Int64")
    return numbers.mask((numbers < 0) | ~numbers.duplicated(keep=False))


def subjects(manifest: pd.DataFrame, names: list[str]) -> pd.Series:
    """The smallest hash of each image's patient or study, whichever join it to others; missing where it names none."""
    known = [manifest[name].replace("", pd.NA) for name in names if name in manifest]
    if not any(one.notna().any() for one in known):
        return _none(manifest["label"])
    groups = components(len(manifest), np.concatenate([joined(one) for one in known]))
    smallest = pd.concat([one.dropna() for one in known]).groupby(level=0).min().reindex(manifest.index)
    named: pd.Series = smallest.groupby(groups).transform("min").astype("str")
    return named


def _none(like: pd.Series) -> pd.Series:
    return pd.Series(pd.NA, index=like.index, dtype="str")


@dataclass(frozen=True, slots=True)
class Joined:
    """What the partners among these images come to."""

    in_bursts: int  # images whose burst has another one
    of_subjects: int  # images whose patient or study has another one
    leak: float  # share of the test images of a random split that would have a partner in training, 0 to 1


def joined_by(manifest: pd.DataFrame, train: float) -> Joined:
    """Count the images with partners; train: the share of training images, 0 to 1.

    A test image has none of its m - 1 partners in training with probability (1 - train)^(m - 1).
    """
    keys = [manifest[name] for name in ("burst", "subject") if name in manifest]
    several = [int(key.duplicated(keep=False)[key.notna()].sum()) for key in keys] or [0, 0]
    if not keys or not len(manifest):
        return Joined(0, 0, 0.0)
    together = components(len(manifest), np.concatenate([joined(key) for key in keys]))
    others = np.bincount(together)[together] - 1
    return Joined(several[0], several[1], float(np.mean(1 - (1 - train) ** others)))


def partners_in_words(found: Joined, gap: float) -> Iterator[str]:
    """What was found, for the log and the report; nothing where no image has a partner."""
    kinds = [
        f"{found.in_bursts:,} images are in bursts (one camera, gaps under {gap:g} s)" if found.in_bursts else "",
        f"{found.of_subjects:,} images share a patient or a study" if found.of_subjects else "",
    ]
    if said := " and ".join(filter(None, kinds)):
        yield (
            f"{said}: a split keeps those of each together. A split by chance would have put partners of "
            f"{found.leak:.0%} of the test images into training."
        )
