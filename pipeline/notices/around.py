"""A night or a training run plainly, and people told how it ended. Knows neither the words nor the services."""

from collections.abc import Callable

from pipeline.night.summary import NightSummary
from pipeline.notices import messages
from pipeline.notices.send import tell, wants_all
from pipeline.params.file import Params, load_params
from pipeline.params.night import Batch
from pipeline.registry.verdict import Registration
from pipeline.storage.folders import Folder


def night(output: Folder, run: Callable[[Params], NightSummary]) -> NightSummary:
    """Run a night into `output` with params.yaml, tell how it ended, and return its summary or raise what it raised."""
    try:
        params = load_params()
        summary = run(params)
    except Exception as error:
        failed = error  # the name above ends with its block
        tell(lambda: messages.of_failed_night(output, failed))
        raise
    of_night(output, summary, params.batch)
    return summary


def of_killed(output: Folder, killed: str | None) -> None:
    """Tell that the run before in `output` was killed in the middle, if one was: it could not say so itself.

    killed: its name, as `Folder.hold` gives it.
    """
    if killed:
        tell(lambda: messages.of_killed_night(output, killed))


def of_night(output: Folder, summary: NightSummary, batch: Batch) -> None:
    """Tell of a finished night, if by these limits anybody needs to know."""
    tell(lambda: messages.of_night(output, summary, batch, wants_all()))


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
