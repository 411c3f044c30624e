"""Several folders in one night: each is a run of the nightly flow, and a failed one does not stop the others."""

from collections import Counter
from typing import Any

from prefect import flow
from pydantic import BaseModel, ConfigDict

from flows.nightly import nightly
from pipeline.core.errors import NightshiftError
from pipeline.night.outputs import folder_for
from pipeline.storage.folders import folder_at


class Input(BaseModel):
    """A folder of images, its output, and its registered model, if not the one of params.yaml."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    source: str
    output: str | None = None
    model_name: str | None = None


def output_of(one: Input) -> str:
    """The output: each folder has its own in predictions/, named by the date and the folder."""
    source = folder_at(one.source)
    return one.output or str(folder_for(source, f"-{source.name}"))


@flow(name="nights", flow_run_name="nights")
def nights(inputs: list[Input]) -> None:
    """Classify each of `inputs`, one after the other. Raises NightshiftError at the end, naming those that failed."""
    outputs = [output_of(one) for one in inputs]
    if twice := [output for output, count in Counter(outputs).items() if count > 1]:
        raise NightshiftError(f"Several inputs have the same output, {twice[0]}. Give each of them its own `output`.")
    failed = []
    for one, output in zip(inputs, outputs, strict=True):
        options: dict[str, Any] = {"model_name": one.model_name, "return_state": True}
        if not nightly(one.source, output, **options).is_completed():
            failed.append(one.source)
    if failed:
        raise NightshiftError(
            f"{len(failed)} of {len(inputs)} folders failed: {', '.join(failed)}. Their flow runs say why; the others "
            "are done."
        )
