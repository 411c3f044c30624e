"""What a model promises about its predictions with status ok, and whether that is certified. Computes nothing."""

import math

from pydantic import BaseModel, ConfigDict, Field


class Certificate(BaseModel):
    """How certain the precision of the answers at or above a contract's threshold is, judged by validation images."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target_precision: float  # the share of right answers that is asked for
    confidence: float  # the share of trainings whose certified threshold keeps that
    certified: bool
    lower_bound: float = Field(ge=0, le=1)  # of the precision, at this confidence
    precision: float = Field(ge=0, le=1)  # as measured on validation images
    images: int  # validation images with a confidence at or above the threshold
    more_images: int | None = None  # needed for validation; None: certified, or no number of images would do

    @property
    def words(self) -> str:
        """The certificate for a reader: what holds, and what to do where it does not."""
        return self.words_of("predictions", "images")

    def words_of(self, answers: str, units: str) -> str:
        """The same, for answers and validated units of these names."""
        measured = f"measured: {_percent(self.precision)} of {self.images:,} validation {units}"
        if self.certified:
            return (
                f"Certified with {_percent(self.confidence)} confidence: at least {_percent(self.target_precision)} of "
                f"the {answers} with status ok are right, on {units} like those of validation ({measured})."
            )
        known = math.floor(1000 * self.lower_bound) / 1000  # rounded down: 0.8996 is not 90 %
        found = (
            f"Not certified: with {_percent(self.confidence)} confidence we only know that at least {_percent(known)} "
            f"of the {answers} with status ok are right ({measured}); train.target_precision asks for "
            f"{_percent(self.target_precision)}."
        )
        if self.more_images is None:
            return (
                f"{found} No threshold did better than that on validation {units}, so more {units} alone will not do: "
                "improve the model, or lower the target."
            )
        return f"{found} About {self.more_images:,} more labelled {units} would be needed for validation."


class EventRule(BaseModel):
    """When the mean answer of an event with several images is certain enough; an event with one has that image's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    burst_seconds: float  # pictures of one camera with smaller gaps are an event, as on the validation images
    unsure_below: float = Field(ge=0, le=1)  # a smaller mean is "unsure"
    certificate: Certificate  # of `unsure_below`: its images are events

    @property
    def words(self) -> str:
        """The certificate for a reader."""
        return self.certificate.words_of("events with several images", "events")


class Promise(BaseModel):
    """From which confidence on answers of one kind are `ok`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unsure_below: float = Field(ge=0, le=1)
    certificate: Certificate  # of `unsure_below`


class FramesRule(BaseModel):
    """When answers about files of several frames are certain enough (images.frame: all)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    frame: Promise  # of a frame: that it shows the label of its file
    file: Promise  # of a file, by the mean of its frames' probabilities

    @property
    def words(self) -> str:
        """Both certificates for a reader."""
        of_frame, of_file = self.frame.certificate, self.file.certificate
        return f"{of_file.words_of('files of several frames', 'files')} {of_frame.words_of('frames', 'frames')}"


def _percent(share: float) -> str:
    return f"{round(100 * share, 1):g} %"
