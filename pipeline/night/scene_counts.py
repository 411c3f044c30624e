"""What summary.json says of a night's scenes (images.tiles), and a line for people. Counts nothing."""

from pydantic import BaseModel, ConfigDict


class ScenesFound(BaseModel):
    """The scenes of a night, and their tiles by status."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    files: int
    ok: int
    unsure: int
    ignored: int
    unreadable: int

    @property
    def line(self) -> str:
        """How many pictures were cut into tiles, and what came of these."""
        kinds = {"ok": self.ok, "unsure": self.unsure, "blank": self.ignored, "damaged": self.unreadable}
        words = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
        return f"{self.files} larger than a tile, cut into {sum(kinds.values()):,} tiles: {words}"
