"""The results of a night: the typed content of its summary.json. Reads and writes that file; measures nothing.

summary.json is a promise to its readers: a key keeps its name and its meaning, and a new one comes last in its part.
"""

import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.collect.gaps import Gap, in_words
from pipeline.core.log import log
from pipeline.core.text import counted, named
from pipeline.night.camera_looks import LEAST, CameraLook
from pipeline.night.event_counts import EventCounts
from pipeline.night.frame_counts import FramesFound
from pipeline.night.input_place import input_now
from pipeline.night.moments import Moment
from pipeline.night.new_files import new_files_line
from pipeline.night.scene_counts import ScenesFound
from pipeline.night.summary_faults import ForeignSummaryError, fault_in
from pipeline.night.summary_faults import SummaryError as SummaryError
from pipeline.registry.history import Finished, share_of
from pipeline.storage.folders import Folder
from pipeline.storage.left_aside import LeftAside

SUMMARY = "summary.json"
LEAST_OUTLIERS = 2  # one image never raises an alarm
LEAST_OF_A_CLASS = 10  # predictions; fewer may all be unsure by chance
NAMED_CLASSES = 5  # in one line
SURE = 0.001  # p-value: one night in a thousand raises an alarm by chance


class Part(BaseModel):
    """A part of the summary. Keys of later versions are ignored; keys that an earlier version lacks are None."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Measure(Part):
    """How far one measure of the images is from training."""

    measure: str
    statistic: float  # 0 (the same) to 1 (disjoint)
    p_value: float
    tonight: float | None = None  # the means; the labels have none
    usual: float | None = None


class Drift(Part):
    """How far the night's images are from those that the model was trained on."""

    images: int  # that were compared
    measures: tuple[Measure, ...]  # empty for too few images
    drifted: tuple[str, ...]  # measures above batch.max_drift, and beyond chance
    labels: dict[str, tuple[int, int]] | None = None  # label -> answers tonight, answers on the validation images

    @property
    def moved(self) -> list[Measure]:
        """The measures that have drifted."""
        return [one for one in self.measures if one.measure in self.drifted]


class OutlierTest(Part):
    """Whether false alarms explain a night's outliers."""

    images: int  # that have an outlier score
    expected: float  # outliers, if all of these were like the training images
    p_value: float  # of so many outliers, or more


class ReviewCounts(Part):
    """How many rows a person should look at, and why."""

    rows: int  # in review.csv
    of: int  # in all
    unreadable: int
    outlier: int
    unsure: int
    flagged: int


class Compared(Part):
    """How many answers are right, where the label is known."""

    known: int
    right: int
    known_and_ok: int
    right_and_ok: int


class ShadowFound(Part):
    """How the challenger's answers differ from the champion's."""

    model_version: str
    compared: int
    agreed: int
    pairs: tuple[tuple[str, str, int], ...]  # champion's label, challenger's label, files


class Certified(Part):
    """Whether the model's threshold is certified, as in its contract."""

    certified: bool
    lower_bound: float  # of the precision of the predictions with status ok
    more_images: int | None = None  # needed for validation to certify it
    words: str


class CameraGap(Part):
    """A time without pictures of a camera whose folder the night classified."""

    camera: str
    start: Moment  # UTC
    end: Moment | None = None  # None: it went on when the night began
    reason: str


class NightSummary(Part):
    """A finished night."""

    model_name: str
    model_version: str
    contract_hash: str
    started_at: Moment  # UTC
    shards: int
    input: str  # as a path in the CSV
    finished_at: Moment
    seconds: float
    repeated: int | None = None  # rows that repeat an answer of an earlier run
    listed: int
    ok: int
    unsure: int
    unreadable: int
    reconciled: bool  # one row for every listed file, in their order
    outliers: int | None = None
    flagged: int | None = None
    labels: dict[str, int]  # answers
    drift: Drift | None = None  # None: the model has no reference
    review: ReviewCounts | None = None
    compared: Compared | None = None  # None: without --labels
    shadow: ShadowFound | None = None  # None: no shadow ran
    outlier_test: OutlierTest | None = None  # None: the model has no reference
    certificate: Certified | None = None  # None: the model has none
    refused: str | None = None  # that the gate refused the model, and why; None: it did not
    left_aside: LeftAside | None = None  # what of the folder has no row; None: nothing
    no_shadow: str | None = None  # why a shadow that was asked for did not run
    labels_ok: dict[str, int] | None = None  # every label of `labels` -> answers with status ok
    events: EventCounts | None = None  # None: no image has a time
    cameras: dict[str, CameraLook] | None = None  # those with enough new images; None: none
    only_cameras: bool | None = None  # whether the night without the cameras that changed is as in training
    scenes: ScenesFound | None = None  # None: no file was larger than a tile
    camera_gaps: tuple[CameraGap, ...] | None = None  # since the night before; None: there were none
    few_pictures: dict[str, int] | None = None  # cameras that `cameras` leaves out -> new images; None: none
    input_from_here: str | None = None  # the input from the night's folder; None: not both are in the project
    frames: FramesFound | None = None  # beside the rows of files, which all other counts are of; None: there were none
    came_since: int = 0  # files that came after it began and have no row, as it was interrupted and resumed
    gone: int = 0  # of `unreadable`, the files that were gone at their turn

    @property
    def has_strangers(self) -> bool:
        """Whether it has outliers that false alarms do not explain, or outliers are most of its images."""
        test, outliers = self.outlier_test, self.outliers or 0
        if test is None or outliers < LEAST_OUTLIERS:
            return False
        return test.p_value < SURE or 2 * outliers > test.images

    @property
    def never_sure(self) -> dict[str, int]:
        """Label -> answers, the most first, of classes with LEAST_OF_A_CLASS answers or more and none `ok`."""
        sure = self.labels_ok or {}
        found = {label: n for label, n in self.labels.items() if n >= LEAST_OF_A_CLASS and sure.get(label) == 0}
        return dict(sorted(found.items(), key=lambda one: -one[1]))

    @property
    def not_certified(self) -> str:
        """Why the model's threshold promises nothing, and what would help; empty for a certified one."""
        return "" if self.certificate is None or self.certificate.certified else self.certificate.words

    @property
    def changed_cameras(self) -> dict[str, str]:
        """Each camera that changed -> how, and what to do."""
        return {name: look.words for name, look in (self.cameras or {}).items() if look.words}

    @property
    def few_line(self) -> str:
        """The cameras that have too few images to compare."""
        few = (f"{name} ({images})" for name, images in (self.few_pictures or {}).items())
        return f"Too few pictures to compare, under {LEAST}: {named(few)}."

    @property
    def counts(self) -> dict[str, int]:
        """Status -> rows."""
        return {"ok": self.ok, "unsure": self.unsure, "unreadable": self.unreadable}

    @property
    def for_history(self) -> Finished:
        """What MLflow records of the night."""
        answered, drift = sum(self.labels.values()), self.drift
        counts = ("listed", "ok", "unsure", "unreadable", "outliers", "flagged", "repeated", "seconds")
        numbers = {name: float(value) for name in counts if (value := getattr(self, name)) is not None}
        numbers |= {share_of(label): count / answered for label, count in self.labels.items()}
        numbers |= {f"drift.{one.measure}": one.statistic for one in (drift.measures if drift else ())}
        return Finished(
            self.model_name, self.model_version, self.contract_hash, self.input, self.started_at, self.finished_at,
            drift.drifted if drift else (), numbers, "\n\n".join(summary_lines(self)),
        )  # fmt: skip

    def write(self, output: Folder) -> None:
        """Write summary.json into `output`."""
        output.write_json(SUMMARY, self.model_dump(exclude_none=True))


def read_summary(output: Folder) -> NightSummary | None:
    """The summary of the finished night in `output`; None when there is none. Raises SummaryError, StoreError.

    An input in the project is where it is now: the project may have been moved or copied since.
    """
    try:
        found = NightSummary.model_validate_json(output.read(SUMMARY))
        return found.model_copy(update={"input": input_now(found.input, found.input_from_here, output)})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SummaryError(f"{output / SUMMARY} cannot be read: {error.strerror or error}.") from error
    except ValidationError as error:
        required = [name for name, field in NightSummary.model_fields.items() if field.is_required()]
        raise fault_in(output / SUMMARY, error, required) from error


def summary_if_any(output: Folder) -> NightSummary | None:
    """The summary of the finished night in `output`; None when there is none that can be read, with a line in the log.

    For whoever looks through many folders: a damaged file must not stop them. That of another program is passed over
    without a word. Raises StoreError.
    """
    try:
        return read_summary(output)
    except ForeignSummaryError as error:
        log.debug("Passed over: %s", error)
        return None
    except (SummaryError, OSError) as error:  # OSError: a folder without rights
        log.warning("Passed over: %s", error)
        return None


def summary_lines(summary: NightSummary) -> list[str]:
    """The night in a few lines, for a terminal and for messages."""
    counts = ", ".join(f"{count} {status}" for status, count in summary.counts.items())
    lines = [*first_lines(summary), f"{counted(summary.listed, 'image')}: {counts}"]
    lines += summary.left_aside.lines if summary.left_aside else []
    lines += [summary.events.line] if summary.events else []
    lines += gap_lines(summary)
    lines += [summary.scenes.line] if summary.scenes else []
    lines += [summary.frames.line] if summary.frames else []
    lines += [*review_lines(summary), *drift_lines(summary)]
    lines += shadow_lines(summary)
    lines += [summary.not_certified] if summary.not_certified else []
    if compared := summary.compared:
        lines.append(
            f"{compared.right} of the {compared.known} whose label is known are right; of the "
            f"{compared.known_and_ok} that the model is sure of, {compared.right_and_ok}"
        )
    return lines


def stranger_lines(summary: NightSummary) -> list[str]:
    """How many images are unlike the training images and what to do, if false alarms do not explain them."""
    if not summary.has_strangers or not (test := summary.outlier_test):
        return []
    return [
        f"{summary.outliers} of {test.images} images are unlike the training images (false alarms explain about "
        f"{test.expected:.0f}), and are unsure at any confidence. Look at them in review.html: another subject, "
        "another camera, damaged? Take out what does not belong; label some of the others, import them and train again."
    ]


def first_lines(summary: NightSummary) -> list[str]:
    """What a person must know before any number of a night."""
    return [
        *new_files_lines(summary),
        *summary.changed_cameras.values(),
        *stranger_lines(summary),
        *never_sure_lines(summary),
    ]


def new_files_lines(summary: NightSummary) -> list[str]:
    """How many files came after the night began, and what classifies them."""
    return [new_files_line(summary.came_since)] if summary.came_since else []


def gap_lines(summary: NightSummary) -> list[str]:
    """When each camera gave no pictures, in local time."""
    cameras: dict[str, list[Gap]] = {}
    for one in summary.camera_gaps or ():
        end = datetime.datetime.fromisoformat(one.end) if one.end else None
        cameras.setdefault(one.camera, []).append(Gap(datetime.datetime.fromisoformat(one.start), end, one.reason))
    return [f"{in_words(camera, gaps)}." for camera, gaps in cameras.items()]


def never_sure_lines(summary: NightSummary) -> list[str]:
    """Which classes have not one sure answer, and what to do; empty for a night by an earlier version."""
    if not (found := summary.never_sure):
        return []
    classes = ", ".join(f"{label}: 0 of {count} sure" for label, count in [*found.items()][:NAMED_CLASSES])
    more = f", and {len(found) - NAMED_CLASSES} more classes" if len(found) > NAMED_CLASSES else ""
    one = len(found) == 1
    return [
        f"{classes}{more}: a person must look at every one. Look at the unsure ones in review.html; label more images "
        f"of {'this class' if one else 'these classes'} and of what {'it is' if one else 'they are'} confused with, "
        "import them and train again."
    ]


def review_lines(summary: NightSummary) -> list[str]:
    """How many images a person should look at, and why; empty for a night by an earlier version."""
    if not (review := summary.review):
        return []
    found = review.model_dump(exclude={"rows", "of"})
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.items() if count)
    return [f"{review.of} to look at{f': {kinds}' if kinds else ''}"]


def shadow_lines(summary: NightSummary) -> list[str]:
    """How far the challenger agrees, or why a shadow that was asked for did not run."""
    if not (found := summary.shadow):
        return [f"--shadow compared nothing: {summary.no_shadow}"] if summary.no_shadow else []
    return [
        f"version {found.model_version} as a shadow agrees on {found.agreed} of {found.compared} files; the "
        "others are in shadow/disagreements.csv"
    ]


def drift_lines(summary: NightSummary) -> list[str]:
    """Which measures have moved away from training, if any."""
    if not summary.drift or not summary.drift.drifted:
        return []
    sizes = {one.measure: one.statistic for one in summary.drift.measures}
    moved = ", ".join(f"{name} {sizes[name]:.2f}" for name in summary.drift.drifted)
    return [f"not as in training (0 the same, 1 disjoint): {moved}"]
