"""What a night's summary says of its events: the typed counts, and a line for people. Counts nothing."""

from pydantic import BaseModel, ConfigDict

from pipeline.core.text import counted


class EventCounts(BaseModel):
    """The events of a night, the rows of its events.csv."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    events: int
    images: int  # in them
    without_time: int  # images in none, as nothing says when they were taken
    burst_seconds: float  # pictures of one camera with smaller gaps are an event
    ok: int
    unsure: int
    not_certified: int  # with a label and no promise
    unreadable: int
    labels: dict[str, int]  # label -> events
    words: str = ""  # what is certain of those with several images; empty: there are none

    @property
    def line(self) -> str:
        """How many events there are, by status."""
        statuses = {name: getattr(self, name) for name in ("ok", "unsure", "not_certified", "unreadable")}
        kinds = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in statuses.items() if count)
        left = f"; {counted(self.without_time, 'image')} without a time in none" if self.without_time else ""
        return f"{counted(self.events, 'event')} of {counted(self.images, 'image')}: {kinds}{left}"
