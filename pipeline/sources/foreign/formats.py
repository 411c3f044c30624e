"""The one table of formats: what each is called, how it is recognised, read and written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.sources.foreign import camtrap_dp, coco, custom_vision, ground_truth, hugging_face, label_studio, vertex
from pipeline.sources.foreign.content import Content
from pipeline.sources.foreign.entries import Told
from pipeline.sources.foreign.exported import Exported, Output


@dataclass(frozen=True, slots=True)
class Format:
    """A format that other tools write and read."""

    name: str  # in `nightshift data export NAME`
    title: str
    file: str  # what it is called when nobody says; ends in `/` for a folder
    recognise: Callable[[Content], bool]
    read: Callable[[Content, str], Told]  # the second: which of several questions, columns or jobs has the labels
    write: Callable[[Sequence[Exported]], Output]
    prefix: str  # what stands before each path; with no more than a protocol a person must name the rest


_VERTEX_CSV = Format(
    vertex.CSV_NAME, vertex.CSV_TITLE, vertex.CSV_FILE, vertex.recognise_csv, vertex.read_csv, vertex.write_csv,
    vertex.PREFIX,
)  # fmt: skip
FORMATS = (
    *(
        Format(module.NAME, module.TITLE, module.FILE, module.recognise, module.read, module.write, module.PREFIX)
        for module in (label_studio, vertex, ground_truth, custom_vision, hugging_face, coco, camtrap_dp)
    ),
    _VERTEX_CSV,
)


def format_of(content: Content) -> Format | None:
    """The format of a file; None when it is none of them."""
    return next((one for one in FORMATS if one.recognise(content)), None)
