"""What each stage of a training costs, on a project of its own: seconds of the processor, seconds, memory.

    python benchmarks/stages.py PROJECT [STAGE ...]

Every stage runs whether anything has changed or not, without DVC, and `register` last. PROJECT is copied first, without
its caches and its MLflow store, so that nothing in it changes; it must have been trained once if only some stages run.
On a busy machine only the first column can be compared.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
STAGES = ("validate", "preprocess", "embed", "audit", "train", "evaluate", "register")
LEFT_OUT = (".venv", ".git", "cache", ".measured", "predictions", "pipeline", "flows", "mlflow.db*", "mlartifacts")


def run_stage(name: str, project: Path) -> tuple[float, float, float]:
    """Seconds of the processor, seconds, and MB of memory of one stage; ends the program when the stage fails."""
    began, log = time.perf_counter(), project / f"{name}.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", f"pipeline.{name}"], cwd=project, stdout=said, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{name} ended with {os.waitstatus_to_exitcode(status)}:\n{log.read_text()}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss / 1024


def main() -> None:
    """Run the stages of a copy and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("stages", nargs="*", default=STAGES)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary) / "project"
        shutil.copytree(asked.project, project, ignore=shutil.ignore_patterns(*LEFT_OUT))
        print(f"{'stage':12} {'processor s':>12} {'s':>8} {'MB':>6}")
        for name in asked.stages:
            print("{:12} {:12.1f} {:8.1f} {:6.0f}".format(name, *run_stage(name, project)), flush=True)


if __name__ == "__main__":
    main()
