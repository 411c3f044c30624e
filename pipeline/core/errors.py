"""What a person can mend: an error whose text says what happened, what was expected and what to do."""


class NightshiftError(Exception):
    """Shown as its text alone, without a traceback; the command then ends with exit status `status`."""

    status = 1
