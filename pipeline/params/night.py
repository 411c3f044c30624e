"""The parameters of the night: no training depends on them. Reads nothing."""

from typing import Literal

from pydantic import Field

from pipeline.params.data import Section


class Batch(Section):
    """The nightly run."""

    shard_size: int = Field(ge=1, le=100_000)
    batch_size: int = Field(ge=1, le=4096)
    file_timeout: float = Field(gt=0, le=86_400)  # seconds
    max_unreadable: float = Field(ge=0, le=1)  # share of the listed files
    parquet: bool = False
    max_drift: float = Field(default=0.2, ge=0, le=1)
    max_unsure: float = Field(default=1.0, ge=0, le=1)  # share of the listed files
    track: bool = True
    review: int = Field(ge=0, le=1_000_000)  # rows


class Privacy(Section):
    """What may leave a picture's bytes: the section may be missing, and then nothing does."""

    location: Literal["drop", "keep"] = "drop"  # latitude and longitude, in predictions.csv and what is made of it

    @property
    def keeps_location(self) -> bool:
        """Whether rows say where pictures were taken."""
        return self.location == "keep"
