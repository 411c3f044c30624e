"""The parameters of the night: no training depends on them. Reads nothing."""

from pydantic import Field

from pipeline.params.data import Section


class Batch(Section):
    """The nightly run."""

    shard_size: int = Field(ge=1, le=100_000)
    batch_size: int = Field(ge=1, le=4096)
    file_timeout: float = Field(gt=0)  # seconds
    max_unreadable: float = Field(ge=0, le=1)  # share of the listed files
    parquet: bool = False
    max_drift: float = Field(default=0.2, ge=0, le=1)
    max_unsure: float = Field(default=1.0, ge=0, le=1)  # share of the listed files
    track: bool = True
    review: int = Field(ge=0, le=1_000_000)  # rows
