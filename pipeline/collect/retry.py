"""How long to wait before a source is asked again: longer after each failure, never the same for two cameras."""

from random import Random

FIRST, LONGEST = 1.0, 300.0  # seconds
LOCKED_OUT = 60.0  # seconds at least after a refused login: many attempts lock an account
STEADY = 60.0  # seconds that a connection must last, so that the next pause is the first one again


def pause(failures: int, random: Random, refused: bool = False) -> float:
    """Seconds before the next attempt after so many failures in a row: doubled each time, three quarters to all of it.

    Chance keeps twenty cameras from asking a switch at once that has just come back ("full jitter" would make some wait
    not at all).
    """
    longest = min(LONGEST, FIRST * 2.0 ** min(max(failures, 1) - 1, 20))
    if refused:
        longest = max(longest, LOCKED_OUT)
    return longest * random.uniform(0.75, 1.0)
