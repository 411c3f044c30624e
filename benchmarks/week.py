"""A week in twenty minutes: seven scheduled nights, two minutes apart, each with its own failure.

    python -m benchmarks.week [--images 1000] [--every 120]

On a small project that is made and trained for it, with services of its own (`nightshift up` on free ports), a disk of
its own in memory (needs root or a user namespace) and a mail server and a webhook that keep every message. Prints
the result of each night, compares every finished CSV with an undisturbed run of the same model, and lists the messages.
Ends with exit status 1 when a night has another result than expected.
"""

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiosmtpd.controller import Controller

from pipeline.night.rows import read_rows
from tests.fixtures.disk import Disk, disk
from tests.fixtures.project import (
    REPOSITORY,
    Rows,
    change_contract,
    change_params,
    draw_shape,
    new_project,
    nightshift,
    rows_of,
    run,
    undated,
)
from tests.fixtures.stores import free_port
from tests.fixtures.up import Up, kill_with_its_runs, services, wait_until
from tests.fixtures.web import Post, Web

SHARD = 20  # images
DISK = 256 << 20  # bytes


@dataclass
class Night:
    """One of the seven: what happens in it, and the expected result."""

    event: str
    state: str  # of the run, on Prefect's page
    csv: str  # afterwards, as `what_is_in` says it
    before: Callable[["Week"], None] = lambda week: None
    during: Callable[["Week"], None] | None = None  # once some shards are done
    after: Callable[["Week"], None] = lambda week: None


class Week:
    """The project, its services and its disk."""

    def __init__(self, up: Up, images: Path, room: Disk, every: int) -> None:
        """every: seconds from one night to the next."""
        self.up, self.images, self.disk, self.every = up, images, room, every
        self.output = room.seen / "out"

    def run_number(self, number: int) -> dict[str, Any] | None:
        """The scheduled run of night `number`, from 0, once it has begun."""
        found: list[dict[str, Any]] = self.up.api(
            "flow_runs/filter", sort="EXPECTED_START_TIME_ASC", flows={"name": {"any_": ["nightly"]}}
        )
        begun = [one for one in found if one["state_type"] != "SCHEDULED"]
        return begun[number] if number < len(begun) else None

    def wait_for_shards(self, count: int) -> None:
        """Wait until `count` more shards are done in this night."""
        already = len(self.parts())
        wait_until(lambda: len(self.parts()) >= already + count)

    def parts(self) -> list[Path]:
        """The parts on the disk."""
        return list(self.output.glob(".nightshift/parts/*.csv"))

    def rows(self) -> Rows:
        """The rows of the CSV, if there is one."""
        file = self.output / "predictions.csv"
        return list(read_rows(file)) if file.exists() else []


def what_is_in(rows: Rows, before: Rows, expected: dict[str, Rows]) -> str:
    """The content in words: as it was before, or which version's rows, except unreadable ones."""
    if rows == before:
        return "as it was"
    for version, whole in expected.items():
        if undated(rows) == whole:
            return f"version {version}"
        pairs = zip(undated(rows), whole, strict=False)
        if len(rows) == len(whole) and all(row == right or row["status"] == "unreadable" for row, right in pairs):
            return f"version {version}, but for unreadable files"
    return "wrong rows"


def kill(week: Week) -> None:
    """Kill the worker and the night's process."""
    kill_with_its_runs(week.up.project)


def supervise(week: Week, word: str, service: str) -> None:
    """Stop one service, or start it again, through the supervisor."""
    week.up.run_code(f"from flows.services.processes import supervisor; supervisor().{word}Process({service!r})")


def fill(week: Week) -> None:
    """Fill the disk to its last page; the night itself may write the last one."""
    with suppress(OSError, AssertionError):
        week.disk.fill(0)


def damage(week: Week) -> None:
    """Damage the input like a copy that stopped halfway: two thirds of the files are empty."""
    files = sorted(week.images.iterdir())
    for file in files[len(files) // 3 :]:
        file.rename(week.images.parent / file.name)
        file.write_bytes(b"")


def mend(week: Week) -> None:
    """Restore the files."""
    for file in week.images.parent.glob("*.png"):
        file.replace(week.images / file.name)


NIGHTS = [
    Night(
        "two thirds of the files are empty", "Failed", "version 1, but for unreadable files",
        before=damage, after=mend,
    ),
    Night("worker and night are killed (SIGKILL)", "Crashed", "as it was", during=kill),
    Night("nothing: it goes on with the killed one", "Completed", "version 1"),
    Night(
        # The nights use the store's file directly; the server only shows its pages.
        "MLflow's server is gone", "Completed", "version 1",
        before=lambda week: supervise(week, "stop", "mlflow"), after=lambda week: supervise(week, "start", "mlflow"),
    ),
    Night(
        "the disk fills up", "Failed", "as it was",
        during=fill, after=lambda week: week.disk.free(),
    ),
    Night(
        "version 2 is promoted while it goes on with the last one", "Completed", "version 1",
        during=lambda week: print(nightshift("promote", "2", cwd=week.up.project).stdout.strip()),
    ),
    Night("nothing: the first night of version 2", "Completed", "version 2"),
]  # fmt: skip


def pass_night(week: Week, number: int, night: Night) -> tuple[str, str]:
    """Wait for a night, run its event, wait for its end; returns its state and when it began."""
    night.before(week)
    found: dict[str, Any] = {}

    def begun() -> bool:
        found.update(week.run_number(number) or {})
        return bool(found)

    wait_until(begun, 3 * week.every)
    if night.during:
        week.wait_for_shards(3)
        night.during(week)
    state = week.up.end_of(found["id"])
    night.after(week)
    return state, str(found["expected_start_time"])[11:19]


def main(images: int, every: int) -> int:
    """Run the week; returns the number of nights with another result than expected."""
    with tempfile.TemporaryDirectory() as place:
        room, project = Path(place), new_project(Path(place, "project"))
        change_params(project, {"batch": {"shard_size": SHARD, "batch_size": 16}})
        for number in range(images):
            draw_shape(room / "photos" / f"{number:05d}.png", ("circle", "square")[number % 2], seed=number)
        print("training", flush=True)
        nightshift("train", cwd=project)
        change_params(project, {"register": {"gate": {"min_accuracy": 0.0, "min_balanced_accuracy": 0.0}}})
        change_contract(project, code_commit="the next one")
        run(sys.executable, "-m", "pipeline.register", cwd=project)
        expected: dict[str, Rows] = {}
        for version in ("2", "1"):  # version 1, promoted last, stays champion
            nightshift("promote", version, "--force", cwd=project)
            nightshift("classify", str(room / "photos"), str(room / version), "--no-prefect", cwd=project)
            expected[version] = rows_of(room / version)
        return nights(project, room, expected, every)


def nights(project: Path, room: Path, expected: dict[str, Rows], every: int) -> int:
    """Run all seven nights under the services."""
    web, post = Web(), Post()
    mail = Controller(post, hostname="127.0.0.1", port=free_port())
    mail.start()
    threading.Thread(target=web.server.serve_forever, daemon=True).start()
    told = f"mailto://127.0.0.1:{mail.port}?from=night@example.com&to=me@example.com {web.json}"
    wrong = 0
    with disk(room / "disk", DISK) as small:
        plan = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())
        [nightly] = [one for one in plan["deployments"] if one["name"] == "nightly"]
        nightly["schedules"] = [{"interval": every}]
        nightly["parameters"] = {"source": str(room / "photos"), "output": str(small.seen / "out")}
        plan["deployments"] = [nightly]
        (project / "prefect.yaml").write_text(yaml.safe_dump(plan))
        with services(project, NIGHTSHIFT_NOTIFY=told, NIGHTSHIFT_NOTIFY_ALWAYS="1") as up:
            week = Week(up, room / "photos", small, every)
            for number, night in enumerate(NIGHTS):
                told_before, rows_before = len(web.got), week.rows()
                state, began = pass_night(week, number, night)
                time.sleep(5)  # its hooks send messages after its end
                rows = week.rows()
                csv = what_is_in(rows, rows_before, expected)
                counts = Counter(row["status"] for row in rows)
                good = (state, csv) == (night.state, night.csv)
                wrong += not good
                print(f"\nnight {number + 1}, {began}: {night.event}\n  {state}; predictions.csv: {csv} {dict(counts)}"
                      f"{'' if good else f'  WRONG: {night.state}, {night.csv} is right'}")  # fmt: skip
                for _, message in web.got[told_before:]:
                    print("  told: " + "\n    ".join([message["title"], *message["message"].splitlines()]), flush=True)
            print(f"\n{len(web.got)} messages by webhook, {len(post.got)} by mail; {wrong} nights were not as expected")
    mail.stop()
    web.server.shutdown()
    return wrong + (len(web.got) != len(post.got))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--every", type=int, default=120)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the services stop too
    sys.exit(main(given.images, given.every) > 0)
