"""Blocks of a YAML file's text, added or replaced; all other lines, comments and layout stay. Touches no file.

A block is a key's lines: what belongs to it, and the comments up to the next key.
"""

from collections.abc import Iterator
from typing import Any

import yaml

Keys = tuple[str, ...]  # from the outside in, such as ("train", "head", "dropout")


def block(text: str, path: Keys) -> str:
    """The lines of the key's block."""
    first, end = _lines(text, path)
    return "".join(text.splitlines(keepends=True)[first:end])


def with_block(text: str, path: Keys, new: str) -> str:
    """`text` with other lines for the key at `path`. Raises KeyError where it has no such block."""
    first, end = _lines(text, path)
    lines = text.splitlines(keepends=True)
    return "".join([*lines[:first], new, *lines[end:]])


def with_added(text: str, path: Keys, template: str) -> str:
    """`text` with the key at `path` as `template` has it, after the key that comes before it there.

    Raises KeyError where `text` has not the mapping that it belongs into.
    """
    parent, key = path[:-1], path[-1]
    theirs, ours = _mapping(text, parent), _mapping(template, parent)
    order = [name for name, _ in _items(ours)]
    before = order[: order.index(key)]
    present = [name for name, _ in _items(theirs)]
    if theirs.flow_style:
        return _added_inside(text, theirs, key, _value(dict(_items(ours))[key]))
    first = theirs.value[0][0].start_mark  # the mapping's own may be that of an anchor
    indent = first.column
    if ours.flow_style:
        new = f"{' ' * indent}{key}: {_in_line(_value(dict(_items(ours))[key]))}\n"
    else:
        new = _indented(block(template, path), indent)
    lines = _with_last_line_ended(text).splitlines(keepends=True)
    known = [name for name in present if name in before]
    where = _lines(text, (*parent, known[-1]))[1] if known else first.line
    if not parent:  # an empty line between sections
        new = f"\n{new}" if known else f"{new}\n"
    return "".join([*lines[:where], new, *lines[where:]])


def without_block(text: str, path: Keys, why: str) -> str:
    """`text` with the key's block as comments, below a line that says why."""
    old = block(text, path)
    indent = " " * (len(old) - len(old.lstrip(" ")))
    lines = [
        f"{indent}# {why}\n",
        *(f"{indent}# {line.removeprefix(indent)}" for line in old.splitlines(keepends=True)),
    ]
    return with_block(text, path, "".join(lines))


def with_item(text: str, key: str, template: str, number: int) -> str:
    """`text` with one more item in the list at an outer key: the template's, with the comment above it."""
    items = dict(_items(yaml.compose(template, yaml.SafeLoader)))[key].value
    lines = template.splitlines(keepends=True)
    starts = [_above(lines, item.start_mark.line) for item in items] + [_lines(template, (key,))[1]]
    new = "".join(lines[starts[number] : starts[number + 1]]).rstrip() + "\n"
    there = dict(_items(yaml.compose(text, yaml.SafeLoader)))[key].value
    if there:
        new = _indented(new, there[0].start_mark.column - 2)
    lines, end = _with_last_line_ended(text).splitlines(keepends=True), _lines(text, (key,))[1]
    return "".join([*lines[:end], "\n", new, *lines[end:]])


def _above(lines: list[str], line: int) -> int:
    """The first line of the comment that ends above a line, or the line itself."""
    while lines[line - 1].lstrip().startswith("#"):
        line -= 1
    return line


def _lines(text: str, path: Keys) -> tuple[int, int]:
    """The first line of the key's block, and the one after its last."""
    found = [(other, key.start_mark.line) for other, key, _ in _blocks(yaml.compose(text, yaml.SafeLoader))]
    first = dict(found)[path]
    lines = text.splitlines()
    end = next((line for other, line in found if line > first and other[: len(path)] != path), len(lines))
    while not lines[end - 1].strip():
        end -= 1
    return first, end


def _blocks(node: yaml.Node | None, path: Keys = ()) -> Iterator[tuple[Keys, yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        for key, value in node.value:
            yield (*path, key.value), key, value
            yield from _blocks(value, (*path, key.value))


def _mapping(text: str, path: Keys) -> yaml.MappingNode:
    node = yaml.compose(text, yaml.SafeLoader)
    for part in path:
        node = dict(_items(node))[part]
    if not isinstance(node, yaml.MappingNode):
        raise KeyError(".".join(path))
    return node


def _items(node: yaml.Node | None) -> list[tuple[str, yaml.Node]]:
    return [(key.value, value) for key, value in node.value] if isinstance(node, yaml.MappingNode) else []


def _value(node: yaml.Node) -> Any:
    return yaml.safe_load(yaml.serialize(node))


def _added_inside(text: str, mapping: yaml.MappingNode, key: str, value: Any) -> str:
    end = mapping.end_mark.index - 1  # its closing brace
    inside = text[:end].rstrip()
    comma = "" if inside.endswith(("{", ",")) else ", "
    return f"{inside}{comma}{key}: {_in_line(value)}{text[end:]}"


def _in_line(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("\n").removesuffix("\n...")


def _indented(lines: str, indent: int) -> str:
    now = len(lines) - len(lines.lstrip(" "))
    return "".join(
        " " * indent + line[now:] if line[:now].isspace() or not now else line.lstrip(" ")
        for line in lines.splitlines(keepends=True)
    )


def _with_last_line_ended(text: str) -> str:
    return text if text.endswith("\n") or not text else f"{text}\n"
