"""The command `nightshift train` as a page starts it: a process of its own, as if a person had typed it."""

import sys

from flows.cli import guard
from flows.services.configuration import MARK
from pipeline.review.training_process import Command

# It does not end with the server that started it, as what a command or `nightshift up` starts does.
TRAIN = Command((sys.executable, "-P", "-m", "flows.cli.main", "train"), frozenset({guard.MARK, MARK}))
