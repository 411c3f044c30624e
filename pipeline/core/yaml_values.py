"""YAML as values, read by the C library where it is there: the Python one takes a tenth of a second for params.yaml."""

from typing import Any

import yaml


class _EachKeyOnce:
    """Refuses a key that a mapping has already, as DVC does and YAML demands: PyYAML keeps the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        keys = set[str]()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in keys:
                said = f"the key {key.value} is here for the second time: keep one of the two"
                raise yaml.constructor.ConstructorError(None, None, said, key.start_mark)
            keys.add(key.value)
        return super().construct_mapping(node, deep)  # type: ignore[misc]


class _Plain(_EachKeyOnce, yaml.SafeLoader):
    """In Python."""


class _Quick(_EachKeyOnce, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """In C."""


def parsed(text: str) -> Any:
    """The values in `text`. Raises yaml.YAMLError, which shows the line."""
    try:
        return yaml.load(text, Loader=_Quick)  # noqa: S506 - both are safe
    except yaml.YAMLError:
        return yaml.load(text, Loader=_Plain)  # noqa: S506 - the C library's errors do not show it
