"""What a scheduled deployment needs and does not have: it would fail at night. Mends nothing."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from flows.services.prefect import NIGHTS
from flows.show_nights import Input
from pipeline.core.errors import NightshiftError
from pipeline.core.paths import RAW
from pipeline.night.outputs import PHOTOS
from pipeline.registry import champions
from pipeline.registry.succession import CHAMPION
from pipeline.storage.folders import folder_at
from pipeline.storage.listing import Aside, Listed

LOOKED_AT = 10_000  # entries of a folder, to see whether it holds images
AFTERWARDS = "then `nightshift down` and `nightshift up`"


def inputs_of(parameters: Mapping[str, Any]) -> list[Input]:
    """The folders that a run of `nightly` or `nights` with these parameters classifies."""
    found = parameters.get("inputs")
    inputs = found if isinstance(found, list) else [parameters]
    return [
        Input(str(one.get("source") or PHOTOS), one.get("output") or "", one.get("model_name") or "") for one in inputs
    ]


def lacking(deployment: str, parameters: Mapping[str, Any], usual_model: str) -> Iterator[str]:
    """Why a run of a deployment would fail, and what to do, a line each.

    usual_model: the registered model's name in params.yaml.
    """
    if deployment == "training" and (words := _without_images(str(RAW))):
        yield f"`training` will fail: {words}. Bring images in with `nightshift data import`"
    inputs = inputs_of(parameters) if deployment in NIGHTS else []
    for one in inputs:
        if words := _without_images(one.source):
            yield (
                f"`{deployment}` will fail: {words}. Put the images to classify there, or name another folder at "
                f"`source` in prefect.yaml, {AFTERWARDS}"
            )
    for model in dict.fromkeys(one.model_name or usual_model for one in inputs):
        if words := _without_champion(model):
            yield f"`{deployment}` will fail: {words[0].lower()}{words[1:]}"


def _without_images(source: str) -> str:
    """Why a night over `source` would end at once, in words; empty if it would not, or for a store."""
    if not (folder := folder_at(source)).local:
        return ""
    try:
        entries = list(_until_an_image(itertools.islice(folder.list_files(), LOOKED_AT)))
        has_images = bool(entries) and isinstance(entries[-1], Listed)
        return "" if has_images or len(entries) == LOOKED_AT else f"{source} holds no image"
    except NightshiftError as error:
        return str(error).partition(". ")[0].partition(";")[0].rstrip(".")
    except OSError as error:
        return f"{source} cannot be read ({error.strerror})"


def _until_an_image(entries: Iterator[Listed | Aside]) -> Iterator[Listed | Aside]:
    for entry in entries:
        yield entry
        if isinstance(entry, Listed):
            return


def _without_champion(name: str) -> str:
    """That there is none, and what to do; empty if there is one, or if nobody can say: then the night will."""
    try:
        every = champions.known_versions(name)
    except NightshiftError:
        return ""
    return "" if any(CHAMPION in one.aliases for one in every) else champions.without_champion(name, every).rstrip(".")
