"""The XMP of a sidecar: Nightshift's answer put beside what others have written, and taken away again. Opens no file.

XMP is RDF in XML (ISO 16684-1). The keyword stands where photo managers look for it:

  dc:subject                `wolf`              Lightroom, Bridge, darktable, and who knows no other
  lr:hierarchicalSubject    `Nightshift|wolf`   Lightroom
  digiKam:TagsList          `Nightshift/wolf`   digiKam, Immich: where it is there, they read no other list

Whatever else the sidecar has stays. `nightshift:added` names the keywords that are ours, so that a later answer
replaces them, and no keyword of a person.
"""

import re
from dataclasses import dataclass
from typing import Literal
from xml.dom import minidom

from pipeline.exports.xml_text import (
    XmlError,
    attributes,
    elements,
    everything,
    is_named,
    parsed,
    put_last,
    remove,
    text_in,
    written,
)

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XMLNS = "http://www.w3.org/2000/xmlns/"
OURS = "https://nightshift.invalid/xmp/1.0/"
ROOT = "Nightshift"  # above our keywords, where keywords have an order
EMPTY = (
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Nightshift">\n <rdf:RDF xmlns:rdf="{RDF}">\n </rdf:RDF>\n'
    "</x:xmpmeta>"
).encode()
_PLACE = re.compile("gps|.*(latitude|longitude)", re.IGNORECASE)  # begins the name of a property: EXIF's, DJI's, ...
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Property:
    """A list of texts."""

    namespace: str
    prefix: str
    name: str

    def __str__(self) -> str:
        """The name with its usual prefix."""
        return f"{self.prefix}:{self.name}"


SUBJECT = Property("http://purl.org/dc/elements/1.1/", "dc", "subject")
HIERARCHY = Property("http://ns.adobe.com/lightroom/1.0/", "lr", "hierarchicalSubject")
TAGS = Property("http://www.digikam.org/ns/1.0/", "digiKam", "TagsList")
ADDED = Property(OURS, "nightshift", "added")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sidecar says of its photograph."""

    label: str
    status: Literal["ok", "unsure"]
    confidence: str  # 0 to 1, as in the row
    model: str  # its name
    version: str

    @property
    def keywords(self) -> dict[Property, str]:
        """The keyword in each list; `|` and `/` in it would be steps of an order, so they are written `-`."""
        steps = [ROOT, *(["unsure"] if self.status == "unsure" else []), self.label]
        return {
            SUBJECT: _text(self.label),
            HIERARCHY: "|".join(_text(step).replace("|", "-") for step in steps),
            TAGS: "/".join(_text(step).replace("/", "-") for step in steps),
        }

    @property
    def properties(self) -> dict[str, str]:
        """What our own properties say."""
        return {
            "label": _text(self.label), "status": self.status, "confidence": self.confidence,
            "model": _text(self.model), "modelVersion": _text(self.version),
        }  # fmt: skip


class Xmp:
    """A document of XMP."""

    def __init__(self, data: bytes = EMPTY) -> None:
        """data: the document. Raises XmlError for what is not XMP."""
        self._document = parsed(data)
        found = self._document.getElementsByTagNameNS(RDF, "RDF")
        if len(found) != 1:
            raise XmlError("it is not XMP: it does not have one rdf:RDF")
        self._rdf = found[0]

    def __bytes__(self) -> bytes:
        """The document in UTF-8. Raises XmlError where something would be lost."""
        return written(self._document)

    @property
    def answer(self) -> dict[str, str]:
        """What our properties say; empty without an answer of ours."""
        found: dict[str, str] = {}
        for part in self._descriptions:
            found |= {str(one.localName): one.value for one in attributes(part) if one.namespaceURI == OURS}
            found |= {str(one.localName): text_in(one) for one in elements(part) if one.namespaceURI == OURS}
        found.pop(ADDED.name, None)
        return found

    @property
    def is_empty(self) -> bool:
        """Whether the document says nothing."""
        return not any(map(_says_something, self._descriptions))

    def put(self, answer: Answer | None) -> bool:
        """Put an answer in, in place of an earlier one; None: take that away. Returns whether anything has changed.

        Where the same answer is there already, nothing changes: a keyword of it that a person has removed stays away.
        Raises XmlError for keywords in a form that is not XMP's.
        """
        there = self.answer
        if there == (answer.properties if answer else {}):
            return False
        for one in (SUBJECT, HIERARCHY, TAGS):
            self._container(one)  # raises before anything changes
        if there:
            self._take_away()
        if answer:
            self._put_in(answer)
        return True

    def drop_place(self) -> None:
        """Take away the coordinates of where the photograph was taken, whoever wrote them."""
        for element in list(everything(self._document)):
            for one in attributes(element):
                if _PLACE.match(str(one.localName)):
                    element.removeAttributeNode(one)
            if _PLACE.match(str(element.localName)):
                remove(element)

    @property
    def _descriptions(self) -> list[minidom.Element]:
        return [one for one in elements(self._rdf) if is_named(one, RDF, "Description")]

    def _put_in(self, answer: Answer) -> None:
        own = self._created(RDF, self._of_rdf("Description"))
        parts = self._descriptions
        own.setAttributeNS(RDF, self._of_rdf("about"), parts[0].getAttributeNS(RDF, "about") if parts else "")
        put_last(self._rdf, own, 2)
        for name, text in answer.properties.items():
            element = self._created(OURS, f"nightshift:{name}", text)
            element.setAttributeNS(XMLNS, "xmlns:nightshift", OURS)
            put_last(own, element, 3)
        if not self._items(TAGS):  # digiKam reads no other list where it has its own: a person's keywords first
            for keyword in self._as_tags():
                self._append(own, TAGS, keyword)
        for one, keyword in answer.keywords.items():
            if keyword not in self._items(one):
                self._append(own, one, keyword)
                self._append(own, ADDED, f"{one}={keyword}")

    def _as_tags(self) -> list[str]:
        """The keywords that are there, as digiKam writes them."""
        paths = [item.replace("|", "/") for item in self._items(HIERARCHY)]
        steps = {step for path in paths for step in path.split("/")}
        return [*paths, *(item.replace("/", "-") for item in self._items(SUBJECT) if item not in steps)]

    def _take_away(self) -> None:
        ours = set(self._items(ADDED))
        for one in (SUBJECT, HIERARCHY, TAGS):
            container = self._container(one)
            items = elements(container) if container else []
            for item in items:
                if f"{one}={text_in(item)}" in ours:
                    remove(item)
            if container and items and not elements(container) and isinstance(container.parentNode, minidom.Element):
                remove(container.parentNode)
        for part in self._descriptions:
            for attribute in attributes(part):
                if attribute.namespaceURI == OURS:
                    part.removeAttributeNode(attribute)
            for element in elements(part):
                if element.namespaceURI == OURS:
                    remove(element)
            if not _says_something(part):
                remove(part)

    def _container(self, one: Property) -> minidom.Element | None:
        """The rdf:Bag of a property; None where the document lacks it. Raises XmlError for another form of it."""
        parts = self._descriptions
        found = [node for part in parts for node in elements(part) if is_named(node, one.namespace, one.name)]
        inside = elements(found[0]) if found else []
        is_list = len(inside) == 1 and any(is_named(inside[0], RDF, name) for name in ("Bag", "Seq"))
        if (
            any(part.hasAttributeNS(one.namespace, one.name) for part in parts)
            or len(found) > 1
            or is_list != bool(found)
        ):
            raise XmlError(f"it has {one} in a form that XMP does not have")
        return inside[0] if found else None

    def _items(self, one: Property) -> list[str]:
        container = self._container(one)
        return [text_in(item) for item in elements(container)] if container else []

    def _append(self, own: minidom.Element, one: Property, text: str) -> None:
        """Add a text to a list, which is made in our own description where there is none."""
        container = self._container(one)
        if container is None:
            container, element = self._created(RDF, self._of_rdf("Bag")), self._created(one.namespace, str(one))
            element.setAttributeNS(XMLNS, f"xmlns:{one.prefix}", one.namespace)
            put_last(own, element, 3)
            put_last(element, container, 4)
        put_last(container, self._created(RDF, self._of_rdf("li"), text), 5)

    def _created(self, namespace: str, name: str, text: str = "") -> minidom.Element:
        element = self._document.createElementNS(namespace, name)
        if text:
            element.appendChild(self._document.createTextNode(text))
        return element

    def _of_rdf(self, name: str) -> str:
        """A name of RDF with the prefix that the document has for it."""
        return f"{self._rdf.prefix}:{name}" if self._rdf.prefix else name


def _says_something(description: minidom.Element) -> bool:
    properties = [one for one in attributes(description) if one.namespaceURI not in (XMLNS, RDF)]
    return bool(elements(description) or properties)


def _text(text: str) -> str:
    """A text without the characters that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
