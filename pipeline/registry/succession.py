"""The versions that were champion, in the order in which they last became it: a tag on the registered model.

A promotion appends a version, `nightshift rollback` takes the last one off. A version stands there once, so that each
rollback goes one further back and never returns to the version that it came from. Moves no champion.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.registry import versions

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

    from pipeline.registry.direct import Direct, Model

CHAMPION, PREVIOUS = "champion", "previous"
CHAMPIONS_TAG = "nightshift.champions"  # on the registered model: numbers of versions, the last one is the champion
KNOWN_TAG = "nightshift.champion"  # the same in stores of earlier releases: the champion alone, beside `@previous`
MOST = 100  # versions that are remembered


def champions_of(model: "RegisteredModel | Model") -> tuple[int, ...]:
    """The versions that were champion, as far as they are recorded; the last one is the last known champion."""
    if CHAMPIONS_TAG in model.tags:
        return tuple(int(word) for word in model.tags[CHAMPIONS_TAG].split() if word.isdecimal())
    words = (str(model.aliases.get(PREVIOUS, "")), model.tags.get(KNOWN_TAG, ""))
    return tuple(int(word) for word in words if word.isdecimal())


def with_champion(history: Sequence[int], version: int) -> tuple[int, ...]:
    """The history after `version` became the champion."""
    return (*(one for one in history if one != version), version)[-MOST:]


def without_deleted(client: "MlflowClient | Direct", name: str, history: Sequence[int]) -> tuple[int, ...]:
    """The history without the versions just before the champion that were deleted in MLflow."""
    return (*still_there(client, name, history[:-1]), *history[-1:])


def still_there(client: "MlflowClient | Direct", name: str, history: Sequence[int]) -> tuple[int, ...]:
    """The history without the versions at its end that were deleted in MLflow."""
    left = list(history)
    while left and versions.find(client, name, left[-1]) is None:
        left.pop()
    return tuple(left)


def record(client: "MlflowClient | Direct", name: str, history: Sequence[int]) -> None:
    """Write the history, and let `@previous` name the version that the next rollback returns to, if there is one."""
    client.set_registered_model_tag(name, CHAMPIONS_TAG, " ".join(map(str, history)))
    if len(history) > 1:
        client.set_registered_model_alias(name, PREVIOUS, str(history[-2]))
    else:
        client.delete_registered_model_alias(name, PREVIOUS)
