"""XML that comes out as it went in: elements, attributes, comments, processing instructions. Opens no file."""

from collections.abc import Iterator
from xml.dom import minidom
from xml.parsers.expat import ExpatError

DEEPEST = 100  # elements in elements; XMP has about ten
# minidom writes these as they are, and whoever reads them next takes them for blanks: they pass it as other characters.
_PASSED = {"\r": "\ue00d", "\n": "\ue00a", "\t": "\ue009"}


class XmlError(ValueError):
    """XML that cannot be read, or written without a loss; the message says why."""


def parsed(data: bytes) -> minidom.Document:
    """The document. Raises XmlError for what is not XML in UTF-8, has a document type, or is too deep."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise XmlError("it is not UTF-8") from None
    if b"<!DOCTYPE" in data:  # entities could be made to fill the memory
        raise XmlError("it has a document type, which XMP does not have")
    try:
        document = minidom.parseString(data)  # noqa: S318 - without a document type there are no entities
    except (ExpatError, ValueError) as error:
        raise XmlError(f"it is not valid XML ({error})") from None
    level = [document.documentElement] if document.documentElement else []
    for _ in range(DEEPEST):
        level = [child for element in level for child in elements(element)]
    if level:
        raise XmlError(f"its elements are more than {DEEPEST} deep")
    return document


def written(document: minidom.Document) -> bytes:
    """A document as UTF-8. Raises XmlError where something would be lost on the way."""
    before = document.toxml()
    if any(char in before for char in _PASSED.values()):
        raise XmlError("it has characters for private use")
    for element in everything(document):
        for attribute in attributes(element):
            for char, passed in _PASSED.items():
                attribute.value = attribute.value.replace(char, passed)
        for child in element.childNodes:
            if isinstance(child, minidom.Text) and not isinstance(child, minidom.CDATASection):
                child.data = child.data.replace("\r", _PASSED["\r"])
    text = document.toxml("utf-8").decode()
    for char, passed in _PASSED.items():
        text = text.replace(passed, f"&#{ord(char)};")
    if parsed(text.encode()).toxml() != before:
        raise XmlError("it has XML that would not come out as it went in")
    return f"{text}\n".encode()


def everything(document: minidom.Document) -> Iterator[minidom.Element]:
    """Every element, a parent before its children."""
    todo = [document.documentElement] if document.documentElement else []
    while todo:
        yield (element := todo.pop())
        todo += reversed(elements(element))


def elements(parent: minidom.Element) -> list[minidom.Element]:
    """The elements in an element."""
    return [child for child in parent.childNodes if isinstance(child, minidom.Element)]


def attributes(element: minidom.Element) -> list[minidom.Attr]:
    """The attributes of an element."""
    return list(element.attributes.values())


def text_in(element: minidom.Element) -> str:
    """The text of an element without elements."""
    return "".join(child.data for child in element.childNodes if isinstance(child, minidom.Text))


def is_named(node: minidom.Element | minidom.Attr, namespace: str, name: str) -> bool:
    """Whether this is its name."""
    return (node.namespaceURI, node.localName) == (namespace, name)


def put_last(parent: minidom.Element, child: minidom.Element, depth: int) -> None:
    """Append a child on a line of its own; depth: how far it is indented."""
    blank = parent.lastChild
    if isinstance(blank, minidom.Text) and not blank.data.strip():
        parent.removeChild(blank)
    for node in (_line(parent, depth), child, _line(parent, depth - 1)):
        parent.appendChild(node)


def remove(child: minidom.Element) -> None:
    """Take an element out, with the blanks before it."""
    parent, blank = child.parentNode, child.previousSibling
    if not isinstance(parent, minidom.Element):
        return
    if isinstance(blank, minidom.Text) and not blank.data.strip():
        parent.removeChild(blank)
    parent.removeChild(child)


def _line(parent: minidom.Element, depth: int) -> minidom.Text:
    document = parent.ownerDocument
    assert document is not None  # noqa: S101 - every element of a parsed document has one
    return document.createTextNode("\n" + " " * depth)
