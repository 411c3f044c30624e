"""The findings of an evaluation, and its headline numbers in words. Measures nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np
import pandas as pd

from pipeline.core.text import counted
from pipeline.evaluation import headlines
from pipeline.evaluation.headlines import About, Form, as_number, in_percent
from pipeline.evaluation.results import TOO_FEW, Evaluation, Interval
from pipeline.evaluation.saliency import Evidence
from pipeline.model.answers import Judged
from pipeline.model.contract import Contract


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the report and the model card show."""

    evaluation: Evaluation
    slices: pd.DataFrame  # from slices.measure_slices
    robustness: pd.DataFrame | None  # from robustness.measure_robustness; None: not measured
    evidence: Evidence | None
    suspects: Mapping[str, str] = field(default_factory=dict)  # path of a mistake with a probably wrong label -> other
    mistakes: int = 0  # in all

    @property
    def mislabelled(self) -> list[str]:
        """How many mistakes may be the label's and not the model's, in a sentence; none where no label is suspected."""
        if not (count := len(self.suspects)):
            return []
        has = "has" if count == 1 else "have"
        return [f"Of {counted(self.mistakes, 'mistake')} {count} {has} a label that is probably wrong."]

    @property
    def worse_slices(self) -> list[dict[str, Any]]:
        """The slices that are significantly worse."""
        return [{str(name): value for name, value in row.items()} for row in self._worse.to_dict("records")]

    @property
    def _worse(self) -> pd.DataFrame:
        return self.slices[self.slices["worse"].astype(bool)]


def with_suspects(
    findings: Findings, judged: Judged, paths: Sequence[str], suspects: Iterable[Mapping[str, str]]
) -> Findings:
    """The findings with what `audit` suspects of the labels; paths: of the test images, as `judged` has them."""
    other = {row["path"]: row["suggested"] for row in suspects if row["suggested"] != row["label"]}
    wrong = [path for path, right in zip(paths, judged.answers.correct, strict=True) if not right]
    return replace(findings, suspects={path: other[path] for path in wrong if path in other}, mistakes=len(wrong))


@dataclass(frozen=True, slots=True)
class Headline:
    """A metric as text for a reader."""

    title: str
    value: str
    interval: str  # both ends
    meaning: str


def headline_rows(evaluation: Evaluation) -> list[Headline]:
    """The defined metrics of the table, ordered by what they are about, each with its meaning."""
    classes = len(evaluation.classes)
    guesses = {
        "guess_share": in_percent(1 / classes),
        "guess_loss": as_number(float(np.log(classes))),
        "guess_brier": as_number(1 - 1 / classes),
    }
    rows = []
    for one in sorted(headlines.METRICS, key=lambda one: get_args(About).index(one.about)):
        if found := evaluation.metrics.get(one.name):
            meaning = one.meaning.format(**guesses)
            rows.append(Headline(one.title, one.form(found.value), between(found, one.form), meaning))
    return rows


def identity(contract: Contract) -> str:
    """Which model and data a page is of, by the first digits of their hashes."""
    return f"model {contract.hash[:8]}, data {contract.dataset_sha256[:8]}"


def certificate_words(contract: Contract) -> list[str]:
    """Whether the model's threshold is certified, in a sentence or two; none where nobody asked for it."""
    return [contract.certificate.words] if contract.certificate else []


def when_sure(evaluation: Evaluation) -> Headline:
    """The accuracy of the answers that are not unsure."""
    found, title, meaning = (
        evaluation.accuracy_when_sure,
        "Accuracy when sure",
        "The accuracy of all other predictions.",
    )
    if found is None:
        return Headline(title, "", "", meaning)
    return Headline(title, in_percent(found.value), between(found, in_percent), meaning)


def event_rows(evaluation: Evaluation) -> list[Headline]:
    """Accuracy and balanced accuracy of events, each with that of the same images; none without such events."""
    if not (found := evaluation.events):
        return []
    about = f"{counted(found.events, 'event')} of several images: one camera, gaps under {found.burst_seconds:g} s"
    meaning = f"By the mean over the images of an event; {about}."
    same, alone = "The same images one by one.", (found.accuracy_of_images, found.balanced_accuracy_of_images)
    rows = (
        ("Accuracy of events", found.accuracy, meaning), ("Their images' accuracy", alone[0], same),
        ("Balanced accuracy of events", found.balanced_accuracy, meaning),
        ("Their images' balanced accuracy", alone[1], same),
    )  # fmt: skip
    return [Headline(title, in_percent(one.value), between(one, in_percent), words) for title, one, words in rows]


def between(found: Interval, form: Form) -> str:
    """The interval's ends for a reader, or that there are too few images."""
    return f"{form(found.ends[0])} to {form(found.ends[1])}" if found.ends else TOO_FEW


def in_words(evaluation: Evaluation, level: float) -> list[str]:
    """The evaluation in a few sentences for a reader who does not know the metrics."""
    accuracy, images = evaluation.of("accuracy"), evaluation.images
    largest = max(one.images for one in evaluation.classes.values())
    unsure, when_sure = evaluation.unsure_share, evaluation.accuracy_when_sure
    value, low, high = (f"{100 * end:.0f}" for end in (accuracy.value, *(accuracy.ends or (0, 1))))
    words = [
        f"Of 100 new images like these, expect the model to classify about {value} correctly; with {level:.0%} "
        f"confidence between {low} and {high}, measured on {images:,} test images. "
        f"Always answering with the most frequent class would get {100 * largest / images:.0f} right."
    ]
    if when_sure is None:
        words.append("It is unsure of every image: no confidence reaches the threshold.")
    elif unsure == 0:
        words.append("It is sure of every image.")
    else:
        words.append(
            f"It marks {100 * unsure:.0f} of 100 as unsure; of the others {100 * when_sure.value:.1f} % are right"
            f"{f' ({level:.0%} interval {between(when_sure, in_percent)})' if when_sure.ends else ''}."
        )
    return words
