"""Kill the night again and again: is every finished CSV byte for byte the undisturbed one?

    python benchmarks/kills.py [FOLDER] [--kills 50] [--seed 0] [--files 300] [--shard-size 8]

In a project with a champion (`make run`). FOLDER: images, by default the demo's; its files are linked under new names
until there are as many as --files, and some that cannot be read are among them. `nightshift classify` is run on them
over and over on one output, and killed with SIGKILL each time: at a random time, or some milliseconds after a number
of parts is on disk; the whole process group, only the command, or only the worker process. The CSV of each run that
finishes is compared with the undisturbed one: every byte but `classified_at`, which is when the run was planned, and is
the same in all its rows. Then the next run begins, until the number of kills is reached.

Ends with exit status 1 when anything differed. The project's parameters and models are not changed.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml
from batch import TOOLS, copy_files

from pipeline.night.rows import read_rows
from pipeline.params.file import load_params
from pipeline.registry.store import Store

WHO = ("group", "command", "child")  # dies
PHASES = ("starting", "planning", "classifying", "merging", "closing")
TICK = 0.002  # seconds between looks


@dataclass
class Night:
    """One folder of images, one output, and the kills so far."""

    room: Path
    files: int
    shard_size: int
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)  # (phase, who died)
    unharmed: int = 0  # kills of the child that the command itself recovered from

    @property
    def output(self) -> Path:
        """Where the runs write."""
        return self.room / "out"

    @property
    def shards(self) -> int:
        """The number of shards of a run."""
        return -(-self.files // self.shard_size)

    @property
    def log(self) -> Path:
        """The output of the last run."""
        return self.room / "said.log"

    def start(self, output: Path) -> subprocess.Popen[bytes]:
        """`nightshift classify`, in a process group of its own."""
        words = [str(TOOLS / "nightshift"), "classify", "images", str(output), "--no-prefect"]
        env = {**os.environ, "MLFLOW_TRACKING_URI": STORE}
        # A file, not a pipe: reading a pipe to its end would also wait for processes that outlive the command.
        with self.log.open("w") as log:
            return subprocess.Popen(words, cwd=self.room, env=env, stdout=log, stderr=log, start_new_session=True)

    def parts(self) -> int:
        """The number of parts on disk."""
        return len(list(self.output.glob(".nightshift/parts/*.csv")))

    def has_plan(self) -> bool:
        """Whether a run is under way."""
        return (self.output / ".nightshift/plan.json").exists()

    def phase(self, pid: int, planned: bool) -> str:
        """The phase of this process's run; `planned`: it has had a plan."""
        try:
            holder = (self.output / ".nightshift.holder").read_text()
        except FileNotFoundError:
            holder = ""
        if f"pid={pid}\n" not in holder:
            return "closing" if planned and not self.has_plan() else "starting"
        if self.has_plan():
            return "merging" if self.parts() == self.shards else "classifying"
        return "closing" if planned else "planning"


STORE = Store.of_project().address


def prepare(room: Path, source: Path, files: int, shard_size: int) -> Night:
    """The images, some of them unreadable, and the project's parameters with small shards."""
    copy_files(source, room / "images", files - 3)
    (room / "images/000007-empty.jpg").touch()
    (room / "images/000100-text.png").write_text("I am no picture")
    (room / 'images/a "name",\n of two lines.jpg').write_bytes(b"\xff\xd8\xff, and then nothing")
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["batch"] |= {"shard_size": shard_size, "max_unreadable": 1.0}
    (room / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return Night(room, files, shard_size)


def finished(output: Path, files: int) -> bytes:
    """The CSV without the moment of its plan. Exits when it is not from one run, or rows are missing."""
    data = (output / "predictions.csv").read_bytes()
    moments = {row["classified_at"].encode() for row in read_rows(output / "predictions.csv")}
    summary = json.loads((output / "summary.json").read_text())
    if len(moments) != 1 or summary["listed"] != files or not summary["reconciled"]:
        sys.exit(f"{output} is not complete: planned at {moments}, {summary}")
    return data.replace(b",%s," % moments.pop(), b",,")


def classifying(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The command's worker process, without helpers of Python's multiprocessing."""
    try:
        children = psutil.Process(process.pid).children()
        return [child for child in children if any("spawn_main" in word for word in child.cmdline())]
    except psutil.Error:  # one of them has just ended
        return []


def kill_once(night: Night, seconds: float, rng: random.Random) -> int | None:
    """Start a run and kill it; returns its exit status if it ends by itself."""
    process, planned = night.start(night.output), False
    who, by_clock = rng.choice(WHO), rng.random() < 0.4
    moment = time.monotonic() + rng.uniform(0, seconds)
    number, pause = rng.randint(night.parts(), night.shards), rng.uniform(0, 0.1)
    while process.poll() is None:
        planned = planned or night.has_plan()
        if by_clock and time.monotonic() >= moment:
            break
        if not by_clock and night.phase(process.pid, planned) != "starting" and night.parts() >= number:
            time.sleep(pause)
            break
        time.sleep(TICK)
    return strike(night, process, who, night.phase(process.pid, planned))


def strike(night: Night, process: subprocess.Popen[bytes], who: str, phase: str) -> int | None:
    """Kill; returns None, or the exit status of a command that had ended or survived its child."""
    children = classifying(process) if who == "child" else []
    if who == "child" and not children:
        who = "command"
    if process.poll() is not None:
        return end(night, process)
    try:
        if who == "child":
            children[0].kill()
        elif who == "group":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (ProcessLookupError, psutil.NoSuchProcess):
        return end(night, process)
    night.kills[phase, who] += 1
    status = end(night, process)
    night.unharmed += who == "child" and status == 0
    return None if status == -signal.SIGKILL else status


def end(night: Night, process: subprocess.Popen[bytes]) -> int:
    """Wait; exits when the run failed without a kill."""
    status = process.wait()
    if status not in (0, -signal.SIGKILL):
        sys.exit(f"A run ended with {status}:\n{night.log.read_text()[-3000:]}")
    return status


def main(source: Path, kills: int, seed: int, files: int, shard_size: int) -> None:
    """Run until there were `kills` kills, and print the verdict."""
    load_params()  # fails outside a project, before anything is written
    rng = random.Random(seed)  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory(prefix=".kills.", dir=Path.cwd()) as temporary:  # on the disk of the images
        night = prepare(Path(temporary), source, files, shard_size)
        began = time.monotonic()
        end(night, night.start(night.room / "undisturbed"))
        seconds = time.monotonic() - began
        expected = finished(night.room / "undisturbed", files)
        runs = differ = 0
        while (killed := night.kills.total()) < kills or not runs:
            # After the last kill, let the run finish.
            status = kill_once(night, seconds, rng) if killed < kills else end(night, night.start(night.output))
            if status == 0:
                runs += 1
                differ += finished(night.output, files) != expected
                print(f"run {runs} finished after {night.kills.total()} kills", flush=True)
        if (night.output / ".nightshift").exists():
            end(night, night.start(night.output))
            runs += 1
            differ += finished(night.output, files) != expected
    report(night, runs, differ, seconds)


def report(night: Night, runs: int, differ: int, seconds: float) -> None:
    """Print the counts and the verdict."""
    print(f"\n{night.files} files in {night.shards} shards; undisturbed {seconds:.1f} s")
    print(f"{'killed':12}" + "".join(f"{phase:>13}" for phase in PHASES))
    for who in WHO:
        print(f"{who:12}" + "".join(f"{night.kills[phase, who]:13}" for phase in PHASES))
    print(f"{night.kills.total()} kills, {night.unharmed} of which the run itself recovered from; {runs} runs finished")
    if differ:
        sys.exit(f"{differ} of {runs} CSVs differ from the undisturbed one")
    print(f"all {runs} CSVs are byte for byte the undisturbed one")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("data/raw"))
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--shard-size", type=int, default=8)
    given = parser.parse_args()
    main(given.folder, given.kills, given.seed, given.files, given.shard_size)
