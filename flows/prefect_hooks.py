"""Prefect's hooks that send a message when a flow run ends; `pipeline.notices.messages` has the words.

A night that ends without an error sends its message itself.
"""

import datetime
from collections.abc import Callable
from typing import Any

from prefect import Flow, Task
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun, State, TaskRun

from flows.cli.interrupt import is_by_a_person
from flows.services.configuration import STOPPING
from pipeline.core.log import log
from pipeline.core.paths import PREDICTIONS
from pipeline.night.ledger import Run
from pipeline.night.outputs import PHOTOS, folder_for
from pipeline.night.repeats import last_finished
from pipeline.notices import messages, when_a_run_ends
from pipeline.notices.messages import Message
from pipeline.notices.send import tell
from pipeline.storage.folders import Folder, folder_at

END = "end"  # the artifact that says how a run ended, in the words that people get
STOPPED = "Stopped"  # the state of a night that stopped at its --until time
REFUSED = "Refused"  # of one that did not begin, as another is at work on its output


def _results_of(flow_run: FlowRun) -> Folder:
    """Where a run of the flow `nightly` has its results: a night that it finished keeps its folder."""
    parameters = flow_run.parameters
    if output := parameters.get("output"):
        return folder_at(output).absolute()
    source = folder_at(parameters.get("source") or PHOTOS)
    chosen = folder_for(source, model=parameters.get("model_name"))
    if flow_run.start_time and not Run.unfinished_in(folder_at(chosen)):
        began = flow_run.start_time.astimezone(datetime.UTC).isoformat(timespec="seconds")
        chosen = last_finished(source, PREDICTIONS.glob("*"), began) or chosen
    return folder_at(chosen).absolute()


def _error_of(state: State[Any]) -> BaseException:
    """The error that a failed run raised; if Prefect itself failed the run, Prefect's message."""
    found = state.result(raise_on_failure=False)
    return found if isinstance(found, BaseException) else RuntimeError(state.message or str(found))


def _how_killed(state: State[Any]) -> str:
    """How a crashed run ended, in words."""
    return f"The run was killed. Prefect says: {state.message}" if state.message else "The run was killed."


def _is_stopped_by_a_person() -> bool:
    """By Ctrl-C, or by `nightshift down`."""
    return is_by_a_person() or STOPPING.exists()


def _show(flow_run: FlowRun, make: Callable[[], Message]) -> None:
    """Put the message about the end of a flow run on its page. Never raises."""
    try:
        artifact = ArtifactCreate(key=END, type="markdown", data=make().markdown, flow_run_id=flow_run.id)
        with get_client(sync_client=True) as client:
            client.create_artifact(artifact)
    except Exception as error:  # noqa: BLE001 - the run has ended, and its server may be gone
        log.debug("Could not put the end of the run on its page: %s", error)


def night_failed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A night ended with an error."""
    error = _error_of(state)
    output = _results_of(flow_run)
    when_a_run_ends.of_failed_night(output, error)
    _show(flow_run, lambda: messages.of_failed_night(output, error))


def night_crashed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A night's process was killed from outside; if a person stopped it, nobody needs a message."""
    if not _is_stopped_by_a_person():
        output, words = _results_of(flow_run), _how_killed(state)
        when_a_run_ends.of_crashed(output, words)
        _show(flow_run, lambda: messages.of_crashed_night(output, words))


def training_completed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A training's model passed the gate."""
    tell(lambda: messages.of_training(state.result()))
    _show(flow_run, lambda: messages.of_training(state.result()))


def training_failed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A training ended with an error, or its model was refused."""
    error = _error_of(state)
    when_a_run_ends.of_failed_training(error)
    _show(flow_run, lambda: messages.of_failed_training(error))


def import_failed(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> None:
    """What people have judged could not be imported, so no training began."""
    when_a_run_ends.of_failed_training(_error_of(state))


def training_crashed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A training's process was killed from outside; if a person stopped it, nobody needs a message."""
    if not _is_stopped_by_a_person():
        tell(lambda: messages.of_crashed_training(_how_killed(state)))
