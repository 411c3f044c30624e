"""Which nights are unfinished, how far they are, and that a killed one is noticed, wherever its output is."""

import datetime
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from flows.services.watching import Watch
from flows.show_nights import Coming, Input, unfinished_lines
from pipeline.night import all_nights, at_work
from pipeline.night.ledger import Run
from pipeline.night.options import NightOptions
from pipeline.night.outputs import folder_for
from pipeline.night.planning import ClassifyError, begin
from pipeline.notices import when_a_run_ends
from pipeline.params.file import Params
from pipeline.storage import output_lock
from pipeline.storage.folders import folder_at
from pipeline.storage.listing import Listed
from tests.fixtures.images import save_image
from tests.fixtures.ledgers import plan_of, row
from tests.fixtures.project import REPOSITORY
from tests.fixtures.summaries import BATCH, summary_of
from tests.fixtures.web import Web

TODAY = datetime.datetime.now().astimezone().date().isoformat()


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of images in a project that holds nothing else."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    save_image(tmp_path / "photos/a.png")
    return tmp_path / "photos"


def night_of(output: str, photos: Path, done: int = 0, model: str = "nightshift") -> NightOptions:
    """An unfinished night of 5,000 files in 5 shards, so many of them done, as its run leaves it."""
    options = NightOptions(folder_at(photos), folder_at(output))
    plan = plan_of(5000, 5).model_copy(update={"input": str(photos), "model_name": model})
    listing = [Listed(f"{number:04d}.png", 1, 1, 1) for number in range(5000)]
    run = Run.begin(folder_at(output), listing, 1000, lambda files, shards: plan)
    for number in range(done):
        run.write_part(number, [row(path) for path in run.shard(number)])
    at_work.note(options)
    return options


def killed(output: str) -> None:
    """Its process dies while it holds the output."""
    code = f"""
import os, signal
from pathlib import Path
from pipeline.storage import output_lock
with output_lock.held(Path({output!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == -9


def lines() -> list[str]:
    return unfinished_lines(list)


@pytest.mark.parametrize("output", [f"predictions/{TODAY}", "elsewhere/out"])
def test_a_night_at_work_shows_how_far_it_is_and_how_long_it_takes(photos: Path, output: str) -> None:
    options = night_of(output, photos, done=3)
    began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=30)
    file = next(at_work.NIGHTS.iterdir())
    file.write_text(json.dumps(json.loads(file.read_text()) | {"began": began.isoformat(), "done": 1000}))
    with output_lock.held(Path(output)):
        clock = f"{began.astimezone():%H:%M}" if began.astimezone().date().isoformat() == TODAY else "since"
        [heading, line] = lines()
        assert heading == "Unfinished nights:"
        assert line.startswith(f"  {output}: 3,000 of 5,000, version 3, since ")
        assert clock in line
        assert line.endswith(", about 30 min left"), "2,000 took 30 min"
    assert lines()[1] == f"  {output}: 3,000 of 5,000, version 3, stopped, goes on with `{command(output)}`"
    at_work.forget(options.output)
    shutil.rmtree(output)
    assert lines() == []


def command(output: str) -> str:
    return "nightshift classify photos" + (f" {output}" if output.startswith("elsewhere") else "")


def test_a_night_that_still_lists_its_files_keeps_others_over_them_away(photos: Path) -> None:
    yesterday = "predictions/2020-01-01"
    with output_lock.held(Path(yesterday)):
        at_work.note(NightOptions(folder_at(photos), folder_at(yesterday)))
        assert lines()[1].endswith(", lists the files")
        assert folder_for(folder_at("photos")) == Path(yesterday)
        assert folder_for(folder_at(photos.parent)) == Path("predictions") / TODAY
    assert folder_for(folder_at("photos")) == Path("predictions") / TODAY, "it had planned nothing"


def test_a_night_goes_on_in_the_folder_of_its_own_model(photos: Path, defaults: Params) -> None:
    options = night_of("predictions/2020-01-01", photos, model="other")
    assert folder_for(folder_at(photos), model="other") == Path("predictions/2020-01-01")
    assert folder_for(folder_at(photos)) == Path("predictions") / TODAY
    summary_of(input=str(photos), model_name="nightshift").write(folder_at(f"predictions/{TODAY}"))
    assert folder_for(folder_at(photos), model="third") == Path("predictions") / f"{TODAY}-2"
    with pytest.raises(ClassifyError, match="unfinished run by the model other, and you asked for third"):
        begin(NightOptions(options.source, options.output, model_name="third"), defaults)


@pytest.mark.parametrize(
    ("inputs", "goes_on"),
    [([{"source": "photos"}], True), ([{"source": "x"}, {"source": "./photos", "output": "elsewhere/out"}], True),
     ([{"source": "photos", "output": "other"}], False), ([{"source": "elsewhere"}], False),
     ([{"source": "photos", "model_name": "other"}], False)],
    ids=["the folder", "one of several", "another output", "another input", "another model"],
)  # fmt: skip
def test_when_it_goes_on_is_said_where_a_run_is_planned(
    photos: Path, inputs: list[dict[str, str]], goes_on: bool
) -> None:
    output = "elsewhere/out" if inputs[-1].get("output") else "predictions/2020-01-01"
    night_of(output, photos, done=1)
    at = datetime.datetime(2031, 1, 2, 2).astimezone()
    [_, line] = unfinished_lines(lambda: [Coming(at, "nightly", [Input(**one) for one in inputs])])
    when = "goes on 2031-01-02 02:00 (`nightly`)" if goes_on else f"goes on with `{command(output)}`"
    assert line == f"  {output}: 1,000 of 5,000, version 3, stopped, {when}"


@pytest.mark.parametrize("output", ["predictions/2020-01-01", "elsewhere/out"])
def test_a_killed_night_is_told_once_whoever_sees_it(
    photos: Path, output: str, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTSHIFT_NOTIFY", web.json)
    night_of(output, photos, done=3)
    killed(output)
    assert ", killed (process " in lines()[1]
    shown = all_nights.page(BATCH, datetime.datetime.now(datetime.UTC))
    assert ('"bad">Not finished</b><br><small>killed' in shown) == output.startswith("predictions/")
    watch = Watch(7)
    watch.look(7)
    assert web.messages == [], "who goes on with it at once tells it"
    watch.look(7)
    watch.look(7)
    [message] = web.messages
    assert message["title"].startswith(f"Night {Path(output).name} was killed and is not finished [")
    assert "was killed: the system ran out of memory" in message["message"]
    assert "3000 of 5000 files are done and kept" in message["message"]
    Watch(7).look(7)
    with output_lock.held(Path(output)) as dead:  # the next run, which goes on with it
        when_a_run_ends.of_killed(folder_at(output), dead)
    assert len(web.messages) == 1


def test_a_killed_night_of_which_nobody_could_be_told_is_told_by_the_next_run(
    photos: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    night_of("out", photos)
    killed("out")
    watch = Watch(7)
    for _ in range(3):
        watch.look(7)
    monkeypatch.setenv("NIGHTSHIFT_NOTIFY", web.json)
    with output_lock.held(Path("out")) as dead:
        when_a_run_ends.of_killed(folder_at("out"), dead)
    assert [message["title"].partition(" [")[0] for message in web.messages] == [
        "Night out was killed, and is resumed now"
    ]


def test_a_lost_supervisor_is_told_once(photos: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHIFT_NOTIFY", web.json)
    watch = Watch(7)
    for parent in (7, 7, 1, 1, 1):
        watch.look(parent)
    [message] = web.messages
    assert message["title"].startswith("Nightshift's supervisor was killed [")
    assert "nightshift up" in message["message"]


@pytest.mark.parametrize(("beat", "is_alive"), [(0.2, True), (-3600.0, False)], ids=["slept", "another process now"])
def test_a_machine_that_slept_kills_no_night(
    photos: Path, beat: float, is_alive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last heartbeat is old; a process that is younger than it has the number of the holder by chance."""
    last = psutil.Process().create_time() + beat
    with output_lock.held(Path("out")):
        monkeypatch.setattr(output_lock, "LEASE", 0.01)
        os.utime(Path("out") / output_lock.HOLDER, (last, last))
        found = output_lock.holder(Path("out"))
        assert found
        assert found.is_alive == is_alive
