"""Errors that a person can fix: the text says what happened, what was expected and what to do."""


class NightshiftError(Exception):
    """A command prints only its text, without a traceback, and ends with exit status `status`."""

    status = 1
    kept = ""  # what the run that it ended had finished, in words; empty: nothing, or nobody knows
