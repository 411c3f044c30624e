"""COCO: the categories of images. https://cocodataset.org/#format-data; COCO Camera Traps has the same without boxes.

An image's label is the one category of its annotations. With boxes, that is the class of all boxes; the boxes are not
used.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from pipeline.core.text import counted
from pipeline.sources.foreign.content import Content
from pipeline.sources.foreign.entries import At, Entry, Told, split_of
from pipeline.sources.foreign.exported import Exported, Output

NAME, TITLE, FILE = "coco", "COCO (JSON)", "coco.json"
PREFIX = ""  # addresses of any kind


def recognise(content: Content) -> bool:
    """Whether the document has COCO's three lists."""
    return content.kind == "json" and content.has("images", "annotations", "categories")


def read(content: Content, _: str) -> Told:
    """The images, each with the categories of its annotations."""
    document = At(content.name)
    head = document.mapping(content.head, "the document")
    names: dict[object, str] = {}
    for at, category in _each(head, "categories", "category", document):
        names[_id(category.get("id"), at)] = at.label(category.get("name"), "name")
    labels: defaultdict[object, list[str]] = defaultdict(list)
    boxed: set[object] = set()
    for at, annotation in _each(head, "annotations", "annotation", document):
        of = _id(annotation.get("category_id"), at, "category_id")
        if of not in names:
            raise at.refused(f"category_id {of!r} is not among the categories")
        number = _id(annotation.get("image_id"), at, "image_id")
        labels[number].append(names[of])
        if annotation.get("bbox") or annotation.get("segmentation"):
            boxed.add(number)
    entries, seen = [], set()
    for at, image in _each(head, "images", "image", document):
        number = _id(image.get("id"), at)
        seen.add(number)
        path = at.text(image.get("file_name"), "file_name")
        entries.append(Entry(path, tuple(dict.fromkeys(labels.get(number, []))), split_of(image.get("split"))))
    if lost := [number for number in labels if number not in seen]:
        raise document.refused(f"its annotations are of images that it does not have: id {lost[0]!r}")
    note = (
        f"{counted(len(boxed), 'image')} of {content.name} {'has' if len(boxed) == 1 else 'have'} boxes or outlines. "
        "An image whose boxes are all of one class has that label; where the object is, is not used."
    )
    return Told(entries, (note,) if boxed else ())


def _each(head: Mapping[str, object], key: str, noun: str, at: At) -> Iterator[tuple[At, Mapping[str, object]]]:
    for number, value in enumerate(at.sequence(head.get(key), key), 1):
        here = At(f"{at.place}, {noun} {number:,}")
        yield here, here.mapping(value, f"the {noun}")


def _id(value: object, at: At, what: str = "id") -> object:
    """A number, or a text as in COCO Camera Traps."""
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    raise at.refused(f"{what} is {value!r}, but must be a number or a text")


def write(images: Sequence[Exported]) -> Output:
    """One file; each image has its split besides, as COCO has a file for each."""
    return {"": _document(images)}


def _document(images: Sequence[Exported]) -> Iterator[str]:
    number = {label: at for at, label in enumerate(sorted({image.label for image in images}), 1)}
    yield '{\n"info": {"description": "Exported by Nightshift", "version": "1.0"},\n"licenses": [],\n"images": ['
    for at, image in enumerate(images, 1):
        split = {"split": image.split} if image.split else {}
        entry = {"id": at, "file_name": image.address, **split}
        yield ("\n" if at == 1 else ",\n") + json.dumps(entry, ensure_ascii=False)
    yield '\n],\n"annotations": ['
    for at, image in enumerate(images, 1):
        entry = {"id": at, "image_id": at, "category_id": number[image.label]}
        yield ("\n" if at == 1 else ",\n") + json.dumps(entry, ensure_ascii=False)
    categories = [{"id": at, "name": label, "supercategory": ""} for label, at in number.items()]
    yield '\n],\n"categories": ' + json.dumps(categories, ensure_ascii=False) + "\n}\n"
