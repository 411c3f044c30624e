"""Which failures of a task may pass by themselves, and how long to wait for that. Retries nothing itself."""

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from pipeline.core.errors import NightshiftError
from pipeline.registry.store import TrackingError
from pipeline.storage.stores import StoreError

PASSING = (StoreError, TrackingError)  # of a network, or of a server that is started again meanwhile


def can_pass(error: BaseException) -> bool:
    """Whether the same work may succeed later: no error that a person has to mend."""
    return isinstance(error, PASSING) or not isinstance(error, NightshiftError)


def retry(task: "Task[..., Any]", run: TaskRun, state: "State[Any]") -> bool:
    """Prefect's question after a task has failed."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, BaseException) or can_pass(error)


# After 5, 10 and 20 seconds, each up to a half longer: not all who wait for a server ask it at once.
RETRIES: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(5),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": retry,
}
