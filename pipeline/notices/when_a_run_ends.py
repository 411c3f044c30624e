"""Runs a night or a training, and sends a message about how it ended. Knows neither the words nor the services."""

import functools
from collections.abc import Callable

from pipeline.core.log import log
from pipeline.night import at_work
from pipeline.night.summary import NightSummary
from pipeline.notices import by_label, messages
from pipeline.notices.send import addresses, tell, wants_all
from pipeline.params.file import Params, load_params
from pipeline.registry.registration_result import Registration
from pipeline.storage.folders import Folder
from pipeline.storage.output_lock import InUse


def night(output: Folder, run: Callable[[Params], NightSummary]) -> NightSummary:
    """Run a night into `output` with params.yaml, and send a message about how it ended.

    Returns its summary, or raises its error.
    """
    try:
        params = load_params()
        summary = run(params)
    except Exception as error:
        of_failed_night(output, error)
        raise
    of_night(output, summary, params)
    return summary


def of_failed_night(output: Folder, error: BaseException) -> None:
    """Send a message about a night that ended with an error, unless another run is at work on the same output."""
    if not isinstance(error, InUse):
        of_error(lambda: messages.of_failed_night(output, error), error)


def of_crashed(output: Folder, words: str) -> None:
    """Send a message about a night whose process was killed, once. words: how."""
    if addresses() and not at_work.was_told(output):
        at_work.mark_told(output)
        tell(lambda: messages.of_crashed_night(output, words))


def of_killed(output: Folder, killed: str | None) -> None:
    """Send a message if the previous run into `output` was killed, and nobody has got one: it could not send it itself.

    killed: its name, as `Folder.hold` gives it.
    """
    if killed and not at_work.was_told(output):
        tell(lambda: messages.of_killed_night(output, killed))


def of_night(output: Folder, summary: NightSummary, params: Params) -> None:
    """Send a message about a finished night: always if the user wants that, else when it exceeds a limit of `batch`.

    And what `notify.when` asks for of its answers.
    """
    tell(lambda: messages.of_night(output, summary, params.batch, wants_all()))
    by_label.of_night(output, summary, params.notify.when, [one.name for one in params.collect.sources])


def training(run: Callable[[], Registration]) -> Registration:
    """Run a training, and send a message about how it ended.

    Returns its registration, or raises its error; a refused model raises Refused.
    """
    try:
        registration = run()
        registration.require_passed()
    except Exception as error:
        of_failed_training(error)
        raise
    tell(lambda: messages.of_training(registration))
    return registration


def of_failed_training(error: BaseException) -> None:
    """Send a message about a training that ended with an error, or with a model that the gate refused."""
    of_error(lambda: messages.of_failed_training(error), error)


def of_error(make: Callable[[], messages.Message], error: BaseException) -> None:
    """Send the message about a run that ended with `error`, and let the command say the same. Never raises."""
    make = functools.cache(make)  # of a night it reads the ledger, perhaps from a store
    try:
        make().add_to(error)
    except Exception as also:  # noqa: BLE001 - must not change how the run ended
        log.debug("Could not say what was kept: %s", also)
    tell(make)
