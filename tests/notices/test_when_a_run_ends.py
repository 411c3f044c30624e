"""However a night or a training ends, its people are told once, and a dead service changes nothing of it."""

import os
import shutil
from pathlib import Path

import pytest

from pipeline.storage.folders import folder_at
from tests.fixtures import forked
from tests.fixtures.commands import AT_ONCE, kill_at, parts
from tests.fixtures.flow_runs import left_by
from tests.fixtures.project import draw_shape, nightshift
from tests.fixtures.web import DEAD, SECRET, Web


def test_the_command_says_who_took_the_test(web: Web, project: Path) -> None:
    good = forked.nightshift("notify", cwd=project, NIGHTSHIFT_NOTIFY=web.json)
    assert good.stdout == "address 1 (JSON): sent\n"
    assert web.messages[0]["title"].startswith("Nightshift: a test [")
    bad = nightshift("notify", cwd=project, check=False, NIGHTSHIFT_NOTIFY=f"{web.json} {DEAD}")
    assert bad.returncode == 1
    assert bad.stdout == "address 1 (JSON): sent\naddress 2 (JSON): NOT sent\n"
    nobody = nightshift("notify", cwd=project, check=False, NIGHTSHIFT_NOTIFY=" ")
    assert nobody.returncode == 1
    assert "NIGHTSHIFT_NOTIFY is not set" in nobody.stderr
    assert SECRET not in good.stderr + bad.stderr + nobody.stderr


def test_plain_nights_tell_and_a_dead_service_changes_nothing(
    web: Web, trained: Path, night: Path, tmp_path: Path
) -> None:
    told, out = f"{web.json} {DEAD}", str(tmp_path / "out")
    quiet = nightshift("classify", str(night), out, "--no-prefect", cwd=trained, NIGHTSHIFT_NOTIFY=told)
    assert web.got == []
    assert SECRET not in quiet.stdout + quiet.stderr
    always = {"NIGHTSHIFT_NOTIFY": told, "NIGHTSHIFT_NOTIFY_ALWAYS": "1"}
    said = nightshift("classify", str(night), out, "--no-prefect", cwd=trained, **always)
    assert web.messages[-1]["title"].startswith("Night out: all is well [")
    assert "Could not send “Night out: all is well” to address 2 (JSON)" in said.stderr
    assert SECRET not in said.stdout + said.stderr
    late = nightshift("classify", str(tmp_path / "none"), out, "--no-prefect", cwd=trained, check=False, **always)
    assert late.returncode == 1
    assert web.messages[-1]["title"].startswith("Night out failed")
    assert f"{tmp_path / 'none'}" in web.messages[-1]["message"]
    for file in night.iterdir():
        file.write_bytes(b"no")
    bad = nightshift("classify", str(night), out, "--no-prefect", cwd=trained, check=False, **always)
    assert bad.returncode == 3
    assert web.messages[-1]["title"].startswith("Night out: too many unreadable files [")
    assert "All rows are written" in web.messages[-1]["message"]
    assert len(web.got) == 3


def test_a_mistake_at_the_keyboard_and_a_refused_second_start_are_no_failed_nights(
    web: Web, trained: Path, night: Path, tmp_path: Path
) -> None:
    words = ("classify", str(night), str(tmp_path / "out"), "--no-prefect")
    said = nightshift(*words, "--until", "6", cwd=trained, check=False, NIGHTSHIFT_NOTIFY=web.json)
    assert (said.returncode, "'6' is not a valid time of day" in said.stderr) == (1, True)
    with folder_at(tmp_path / "out").hold():
        said = nightshift(*words, cwd=trained, check=False, NIGHTSHIFT_NOTIFY=web.json)
    assert (said.returncode, "is in use by process" in said.stderr) == (1, True)
    assert web.got == []


@pytest.mark.parametrize("how", ["--no-prefect", "--prefect"])
def test_a_night_that_was_killed_is_told_of_by_the_run_that_goes_on_with_it(
    web: Web, trained: Path, night: Path, tmp_path: Path, prefect_api: str, how: str
) -> None:
    told, out = {"NIGHTSHIFT_NOTIFY": web.json, "PREFECT_API_URL": prefect_api}, tmp_path / "out"
    words = ("classify", str(night), str(out), how)
    kill_at("after plan.json", *words, cwd=trained, **told)
    assert web.got == []
    nightshift(*words, cwd=trained, **told)
    [message] = web.messages
    assert message["title"].startswith("Night out was killed, and is resumed now [")
    assert message["message"].startswith("Its run (process ")
    assert f"of 10 files are done and kept in {out}" in message["message"]
    nightshift(*words, cwd=trained, **told)
    assert len(web.got) == 1, "who ends in order is no killed run"


def test_a_prefect_server_that_is_down_is_told_of(web: Web, trained: Path, night: Path, tmp_path: Path) -> None:
    down = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "NIGHTSHIFT_NOTIFY": web.json}
    assert nightshift("classify", str(night), str(tmp_path / "out"), cwd=trained, check=False, **down).returncode == 1
    (message,) = web.messages
    assert message["title"].startswith("Night out failed: The Prefect server http://127.0.0.1:9/api does not answer")
    assert "The Prefect server http://127.0.0.1:9/api does not answer" in message["message"]
    assert "Nothing was started" in message["message"]


FLOWS = (
    AT_ONCE
    + """
import os, signal
from pathlib import Path
from flows.nightly import nightly
import flows.nightly
night = Path({night!r})

def attempt(output, **options):
    try:
        nightly(night, output, **options)
    except BaseException as error:
        print(type(error).__name__)

real = flows.nightly.classify_shards
def second_breaks(run, numbers, params):
    for number in numbers:
        if number == 1:
            raise {error}
        yield from real(run, [number], params)

os.environ["NIGHTSHIFT_NOTIFY_ALWAYS"] = "1"
attempt(None)
for file in night.iterdir():
    file.write_bytes(b"no")
attempt(None)
flows.nightly.classify_shards = second_breaks
attempt(Path({out!r}))
attempt(None)
"""
)


def test_flows_tell_how_they_ended(web: Web, project: Path, night: Path, prefect_api: str) -> None:
    """A night that is well; one without a picture; one that fails in its second shard; one that crashes there.

    All but the third without a named output.
    """
    for number in range(10, 12):
        draw_shape(night / f"{number}.png", "circle", seed=number)
    out = str(project / "out")
    (project / "nights.py").write_text(
        FLOWS.format(
            night=str(night), out=out, error="KeyboardInterrupt if 'out' not in str(run.output) else OSError('disk')"
        )
    )
    left_by("exec(open('nights.py').read(), globals())", project, prefect_api, NIGHTSHIFT_NOTIFY=f"{DEAD} {web.json}")
    today, second = sorted(file.parent.name for file in (project / "predictions").glob("*/summary.json"))[-2:]
    assert second == f"{today}-2"
    well, bad, failed, crashed = web.messages
    assert well["title"].startswith(f"Night {today}: all is well [")
    assert f"All 12 rows are in {project / 'predictions' / today}" in well["message"]
    assert bad["title"].startswith(f"Night {second}: too many unreadable files [")
    assert failed["title"].startswith("Night out failed [")
    assert failed["message"].startswith("OSError: disk\n")
    assert f"What was kept: 3 of 12 files are done and kept in {out}" in failed["message"]
    assert "What to do: The log has more. In " in failed["message"]
    assert f"`nightshift classify {night} out` resumes it" in failed["message"]
    assert crashed["title"].startswith(f"Night {today}-3 was killed and is not finished [")
    assert "3 of 12 files are done" in crashed["message"]


def test_a_flow_that_stops_at_its_hour_and_a_training_tell_too_and_a_refused_second_start_tells_nobody(
    web: Web, registry_project: Path, night: Path, prefect_api: str
) -> None:
    for number in range(10, 60):  # what classifies is ahead of who looks at the clock, by a shard or some
        draw_shape(night / f"{number}.png", "circle", seed=number)
    shutil.rmtree(registry_project / "data/raw")
    code = f"""
import contextlib, datetime
from pipeline.night import run
from flows.nightly import nightly
from flows.training import training
from pipeline.storage.folders import folder_at
with folder_at("out").hold():
    nightly({str(night)!r}, "out", return_state=True)
run.deadline_at = lambda until: datetime.datetime.now(datetime.UTC)
nightly({str(night)!r}, "out", return_state=True)
with contextlib.suppress(Exception):
    training()
"""
    (registry_project / "runs.py").write_text(code)
    left = left_by("exec(open('runs.py').read(), globals())", registry_project, prefect_api, NIGHTSHIFT_NOTIFY=web.json)
    assert left.flows == ["Refused", "Stopped", "Failed"]
    stopped, failed = web.messages
    assert stopped["title"].startswith("Night out stopped at its set time [")
    assert f"{3 * len(parts(registry_project / 'out'))} of 60 files are done and kept" in stopped["message"]
    assert failed["title"].startswith("Training failed: data/raw is missing [")
    assert "data/raw is missing" in failed["message"]
    assert os.fspath(registry_project) in stopped["message"]
