"""Prefect's hooks that send a message when a flow run ends; `pipeline.notices.messages` has the words.

A night that ends without an error sends its message itself.
"""

from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State

from flows.cli.interrupt import is_by_a_person
from flows.services.configuration import STOPPING
from pipeline.core.paths import PREDICTIONS
from pipeline.night.outputs import folder_for
from pipeline.night.repeats import last_finished
from pipeline.night.results import TooManyUnreadable
from pipeline.notices import after_run, messages
from pipeline.notices.send import tell
from pipeline.storage.folders import Folder, folder_at

STOPPED = "Stopped"  # the state of a night that stopped at its --until time
REFUSED = "Refused"  # of one that did not begin, as another is at work on its output


def _results_of(parameters: dict[str, Any], *, finished: bool = False) -> Folder:
    """Where a run of the flow `nightly` with these parameters has its results."""
    if output := parameters.get("output"):
        return folder_at(output).absolute()
    source = folder_at(parameters["source"])
    last = last_finished(source, PREDICTIONS.glob("*")) if finished else None
    return folder_at(last or folder_for(source, model=parameters.get("model_name"))).absolute()


def _error_of(state: State[Any]) -> BaseException:
    """The error that a failed run raised; if Prefect itself failed the run, Prefect's message."""
    found = state.result(raise_on_failure=False)
    return found if isinstance(found, BaseException) else RuntimeError(state.message or str(found))


def _is_stopped_by_a_person() -> bool:
    """By Ctrl-C, or by `nightshift down`."""
    return is_by_a_person() or STOPPING.exists()


def night_failed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A night ended with an error."""
    error = _error_of(state)
    finished = isinstance(error, TooManyUnreadable)
    after_run.of_failed_night(_results_of(flow_run.parameters, finished=finished), error)


def night_crashed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A night's process was killed from outside; if a person stopped it, nobody needs a message."""
    if not _is_stopped_by_a_person():
        after_run.of_crashed(_results_of(flow_run.parameters), state.message or "The process was killed.")


def training_completed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A training's model passed the gate."""
    tell(lambda: messages.of_training(state.result()))


def training_failed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A training ended with an error, or its model was refused."""
    tell(lambda: messages.of_failed_training(_error_of(state)))


def training_crashed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A training's process was killed from outside; if a person stopped it, nobody needs a message."""
    if not _is_stopped_by_a_person():
        tell(lambda: messages.of_crashed_training(state.message or "The process was killed."))
