"""What summary.json says of a night's files of several frames (images.frame: all). Counts nothing."""

from pydantic import BaseModel, ConfigDict

from pipeline.core.text import counted


class FramesFound(BaseModel):
    """The files of several frames, and the rows of these frames by status."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    files: int
    ok: int
    unsure: int
    unreadable: int
    words: str = ""  # on what is certain of the answers; empty: nobody asked

    @property
    def in_all(self) -> int:
        """The rows of frames."""
        return self.ok + self.unsure + self.unreadable

    @property
    def line(self) -> str:
        """The counts in words."""
        kinds = {"ok": self.ok, "unsure": self.unsure, "unreadable": self.unreadable}
        words = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
        return f"{counted(self.files, 'file has', 'files have')} {counted(self.in_all, 'row')} of frames: {words}"
