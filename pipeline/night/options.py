"""The options of a night, in one object. Opens no file."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import NightshiftError
from pipeline.night.deadline import time_of_day
from pipeline.params.file import Params
from pipeline.params.register import valid_model_name
from pipeline.storage.folders import Folder


@dataclass(frozen=True, slots=True)
class Cluster:
    """The Dask cluster that classifies the shards."""

    address: str | None = None  # of its scheduler, such as tcp://host:8786; None: a cluster on this machine
    workers: int | None = None  # processes of a cluster on this machine; None: one per core


@dataclass(frozen=True, slots=True)
class NightOptions:
    """A night over the images in `source`, whose rows go into `output`. Raises NightshiftError for a wrong time."""

    source: Folder
    output: Folder  # made absolute: a worker has another working folder
    labels: Path | None = None  # a Parquet table with columns sha256 and label, to count right answers
    since_last: bool = False  # repeat the last run's answers where a file's content and the model are the same
    until: str | None = None  # time of day, such as 06:00, after which no further shard begins
    with_shadow: bool = False  # classify with the challenger too, and compare
    model_name: str | None = None  # a registered model; None: register.model_name of params.yaml
    keep_finished: bool = False  # refuse an output with a finished night: nobody named it
    cluster: Cluster | None = None  # None: the shards are classified on this machine

    def __post_init__(self) -> None:
        """Refuse a wrong time, and a name that no model can have, before anything runs."""
        object.__setattr__(self, "output", self.output.absolute())
        if self.until:
            time_of_day(self.until)
        if self.model_name:
            try:
                valid_model_name(self.model_name)
            except ValueError as error:
                raise NightshiftError(f"{error}.") from None

    def applied_to(self, params: Params) -> Params:
        """The parameters for the model that these options name."""
        if not self.model_name:
            return params
        register = params.register_.model_copy(update={"model_name": self.model_name})
        return params.model_copy(update={"register_": register})
