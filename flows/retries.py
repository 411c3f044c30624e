"""Which failures of a task deserve a retry, and how long to wait before it. Prefect does the retry."""

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from pipeline.core.errors import NightshiftError
from pipeline.registry.store import TrackingError
from pipeline.storage.stores import StoreError

PASSING = (StoreError, TrackingError)  # the network failed, or a server is restarting


def can_pass(error: BaseException) -> bool:
    """Whether a retry may succeed: not after an error that a person must fix."""
    return isinstance(error, PASSING) or not isinstance(error, NightshiftError)


def retry(task: "Task[..., Any]", run: TaskRun, state: "State[Any]") -> bool:
    """Whether Prefect retries a task that has failed."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, BaseException) or can_pass(error)


# Retry after 5, 10 and 20 seconds, each up to 50 % longer, so that not all tasks ask a restarted server at once.
RETRIES: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(5),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": retry,
}
