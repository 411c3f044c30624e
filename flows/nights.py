"""Several folders in one night: each is a run of the nightly flow, and a failed one does not stop the others."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from flows.nightly import nightly
from flows.prefect_hooks import REFUSED
from pipeline.core.errors import NightshiftError
from pipeline.night.outputs import PHOTOS, folder_for
from pipeline.storage.folders import folder_at


class Input(BaseModel):
    """A folder of images, its output, and its registered model, if not the one of params.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    source: str = Field(default=PHOTOS, description="The folder of images, or its address (s3://…).")
    output: str | None = Field(default=None, description="The folder for the results. Empty: one in predictions/.")
    model_name: str | None = Field(
        default=None, description="A registered model. Empty: register.model_name of params.yaml."
    )


def output_of(one: Input) -> str:
    """The output: each folder has its own in predictions/, named by the date and the folder."""
    source = folder_at(one.source)
    return one.output or str(folder_for(source, f"-{source.name}", one.model_name))


@flow(name="nights", flow_run_name="nights")
def nights(inputs: Sequence[Input] = (Input(),)) -> None:
    """Classify each of `inputs`, one after the other. Raises NightshiftError at the end, naming those that failed.

    Args:
        inputs: The folders, in this order; each with its own output and registered model, if need be.

    """
    outputs = [output_of(one) for one in inputs]
    if twice := [output for output, count in Counter(outputs).items() if count > 1]:
        raise NightshiftError(f"Several inputs have the same output, {twice[0]}. Give each of them its own `output`.")
    failed = []
    for one, output in zip(inputs, outputs, strict=True):  # the nights before it may have taken hours
        options: dict[str, Any] = {"model_name": one.model_name, "return_state": True}
        state = nightly(one.source, output, keep_finished=not one.output, **options)
        if not state.is_completed() and state.name != REFUSED:
            failed.append(one.source)
    if failed:
        raise NightshiftError(
            f"{len(failed)} of {len(inputs)} folders failed: {', '.join(failed)}. Their flow runs say why; the others "
            "are done."
        )
