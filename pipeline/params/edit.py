"""Values changed in the text of a YAML file, and nothing else: comments and layout stay. Touches no file."""

from typing import Any

import yaml


def with_values_written(text: str, values: dict[str, Any]) -> str:
    """`text` with the scalars at dotted names, as `train.head.dropout`, replaced; raises KeyError for one it lacks.

    A comment behind a value stays in its column where there is room.
    """
    root = yaml.compose(text, yaml.SafeLoader)
    nodes = {name: _find(root, name) for name in values}
    # From the end of the text to its start, so that earlier positions stay valid.
    for name, node in sorted(nodes.items(), key=lambda item: -item[1].start_mark.index):
        start, end = node.start_mark.index, node.end_mark.index
        old, new = text[start:end], _spelt(values[name])
        rest = text[end:]
        gap = len(rest) - len(rest.lstrip(" "))
        if gap and rest.lstrip(" ").startswith("#"):
            rest = " " * max(1, gap + len(old) - len(new)) + rest.lstrip(" ")
        text = text[:start] + new + rest
    return text


def _find(node: yaml.Node | None, name: str) -> yaml.ScalarNode:
    found = node
    for part in name.split("."):
        inside = found.value if isinstance(found, yaml.MappingNode) else []
        matching = [value for key, value in inside if key.value == part]
        if not matching:
            raise KeyError(name)
        found = matching[0]
    if not isinstance(found, yaml.ScalarNode):
        raise KeyError(name)
    return found


def _spelt(value: Any) -> str:
    return yaml.safe_dump(value).removesuffix("\n").removesuffix("\n...")
