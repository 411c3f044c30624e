"""Classifies a folder of images into one CSV with one row per file. Needs no orchestrator.

    python -m pipeline.classify INPUT [OUTPUT] [--since-last] [--until 06:00]

Imports no TensorFlow on a CPU.
"""

import argparse
import sys
from typing import NoReturn

from pipeline.core.command import run
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.night.options import NightOptions
from pipeline.night.outputs import folder_for
from pipeline.night.run import Steps, night
from pipeline.night.summary import NightSummary
from pipeline.notices import when_a_run_ends
from pipeline.params.file import Params
from pipeline.storage.folders import folder_at


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the options as every other error is said."""

    def error(self, message: str) -> NoReturn:
        """Raises NightshiftError."""
        raise NightshiftError(f"{message}. `python -m pipeline.classify --help` shows what may be given.")


def main() -> None:
    """Classify the images in INPUT into OUTPUT/predictions.csv; it resumes an interrupted run."""
    parser = Parser(prog="python -m pipeline.classify", description=main.__doc__)
    parser.add_argument("input", type=folder_at, help="a folder of images, or its address")
    parser.add_argument(
        "output", type=folder_at, nargs="?",
        help="a folder for predictions.csv and summary.json, or its address; without it, that of the unfinished night "
        "over INPUT, or a new one in predictions/ with today's date",
    )  # fmt: skip
    parser.add_argument("--since-last", action="store_true", help="reuse predictions for unchanged files")
    parser.add_argument("--until", help="time of day to stop at, e.g. 06:00; the same command resumes the run")
    asked = parser.parse_args()
    output = asked.output or folder_at(folder_for(asked.input))
    steps = Steps(tell_of_killed=when_a_run_ends.of_killed)

    def classify(params: Params) -> NightSummary:
        options = NightOptions(
            asked.input, output, since_last=asked.since_last, until=asked.until, keep_finished=not asked.output
        )
        return night(options, params, steps)

    summary = when_a_run_ends.night(output, classify)
    log.info("%s: %d rows, %d unreadable", output, summary.listed, summary.unreadable)


if __name__ == "__main__":
    sys.exit(run(main))
