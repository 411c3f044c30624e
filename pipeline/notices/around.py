"""A night or a training run plainly, and people told how it ended. Knows neither the words nor the services."""

from collections.abc import Callable
from typing import Any

from pipeline.notices import messages
from pipeline.notices.send import tell, wants_all
from pipeline.params.file import load_params
from pipeline.registry.verdict import Registration
from pipeline.storage.stores import Place


def night(output: Place, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run a night into `output`, tell how it ended, and return its summary or raise what it raised."""
    try:
        summary = run()
    except Exception as error:
        failed = error  # the name above ends with its block
        tell(lambda: messages.of_failed_night(output, failed))
        raise
    tell(lambda: of_night(output, summary))
    return summary


def of_killed(output: Place, killed: str | None) -> None:
    """Tell that the run before in `output` was killed in the middle, if one was: it could not say so itself.

    killed: its name, as `ledger.held` gives it.
    """
    if killed:
        tell(lambda: messages.of_killed_night(output, killed))


def of_night(output: Place, summary: dict[str, Any]) -> messages.Message | None:
    """What is told of a finished night by this project's limits, if anybody needs to know."""
    return messages.of_night(output, summary, load_params().batch, wants_all())


def training(run: Callable[[], Registration]) -> Registration:
    """Run a training, tell how it ended, and return its registration or raise what it raised, Refused included."""
    try:
        registration = run()
        registration.require_passed()
    except Exception as error:
        failed = error
        tell(lambda: messages.of_failed_training(failed))
        raise
    tell(lambda: messages.of_training(registration))
    return registration
