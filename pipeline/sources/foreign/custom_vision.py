"""Azure Custom Vision: images with their tags, as the training API's GetImages and GetTaggedImages return them.

https://learn.microsoft.com/rest/api/customvision/get-tagged-images: a list of `id`, `originalImageUri`, `tags` with
`tagName`, `regions`. The service keeps no file names: an image's file is called by its `id`, as scripts that fetch them
call it.
"""

import uuid
from collections.abc import Sequence

from pipeline.core.text import counted
from pipeline.sources.foreign.content import Content
from pipeline.sources.foreign.entries import At, Entry, Told, columns_of
from pipeline.sources.foreign.exported import Exported, Output, json_list

NAME, TITLE, FILE = "custom-vision", "Azure Custom Vision (JSON)", "custom-vision.json"
PREFIX = ""  # addresses of any kind
ENDINGS = ("jpg", "jpeg", "png", "bmp", "gif")  # what Custom Vision takes
SPACE = uuid.UUID("b2c1f6c6-7f0e-4b8a-9d59-0f6f5a1c3d11")  # names of ours -> ids that are the same in each export


def recognise(content: Content) -> bool:
    """Whether the document is a list of images with tags."""
    first = _images(content)
    known = first[0] if first and isinstance(first[0], dict) else {}
    return content.kind == "json" and "tags" in known and bool({"originalImageUri", "resizedImageUri"} & set(known))


def _images(content: Content) -> Sequence[object]:
    """The list of images, which some scripts put below `images`."""
    document = content.head.get("images") if isinstance(content.head, dict) else content.head
    return document if isinstance(document, list) else []


def read(content: Content, _: str) -> Told:
    """The tags of each image; those of regions are counted and not used."""
    entries, regions = [], 0
    for number, one in enumerate(_images(content), 1):
        at = At(f"{content.name}, image {number:,}")
        image = at.mapping(one, "the image")
        tags = [at.mapping(tag, "a tag") for tag in at.sequence(image.get("tags"), "tags")]
        labels = tuple(at.label(tag.get("tagName"), "tagName") for tag in tags)
        regions += bool(image.get("regions"))
        address = image.get("originalImageUri") or image.get("resizedImageUri")
        about = image.get("metadata")
        known = columns_of(at.mapping(about, "metadata"), []) if about is not None else ()
        given = image.get("id")
        names = tuple(f"{given}.{ending}" for ending in ENDINGS) if isinstance(given, str) and given else ()
        entries.append(Entry(at.text(address, "originalImageUri"), labels, known=known, others=names))
    note = f"{counted(regions, 'image')} of {content.name} with regions: only the tags are used, not the regions."
    return Told(entries, (note,) if regions else ())


def write(images: Sequence[Exported]) -> Output:
    """The images in the same shape. The service draws its own splits, so the format has none."""
    return {"": json_list(_image(image) for image in images)}


def _image(image: Exported) -> dict[str, object]:
    tag = {"tagId": str(uuid.uuid5(SPACE, image.label)), "tagName": image.label}
    return {
        "id": str(uuid.uuid5(SPACE, image.path)),
        "originalImageUri": image.address,
        "tags": [tag],
        "regions": [],
        "metadata": dict(image.known),
    }
