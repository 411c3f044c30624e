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
        measured = f"measured: {_percent(self.precision)} of {self.images:,} validation images"
        if self.certified:
            return (
                f"Certified with {_percent(self.confidence)} confidence: at least {_percent(self.target_precision)} of "
                f"the predictions with status ok are right, on images like those of validation ({measured})."
            )
        known = math.floor(1000 * self.lower_bound) / 1000  # rounded down: 0.8996 is not 90 %
        found = (
            f"Not certified: with {_percent(self.confidence)} confidence we only know that at least {_percent(known)} "
            f"of the predictions with status ok are right ({measured}); train.target_precision asks for "
            f"{_percent(self.target_precision)}."
        )
        if self.more_images is None:
            return (
                f"{found} No threshold did better than that on validation images, so more images alone will not do: "
                "improve the model, or lower the target."
            )
        return f"{found} About {self.more_images:,} more labelled images would be needed for validation."


def _percent(share: float) -> str:
    return f"{round(100 * share, 1):g} %"
