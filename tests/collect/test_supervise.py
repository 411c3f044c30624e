"""Each source is a process of its own: killed, it starts again; another collector of it is refused."""

import logging
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from pipeline.collect.gaps import GAPS_CSV, Reason, read_gaps
from pipeline.collect.kept import Album
from pipeline.collect.signs import Told
from pipeline.collect.start import CollectError, Job, address_of, jobs, with_plain_password
from pipeline.collect.supervise import Event, Failed, Said, collect, take_one_each
from pipeline.night.classified import classified
from pipeline.params.collect import Collect, Source
from pipeline.params.file import load_params
from pipeline.registry.runs import all_params, training_params, without_cameras
from pipeline.storage.files import sha256_of_file
from pipeline.storage.output_lock import InUse
from tests.fixtures.cameras import PASSWORD, USER, WebCamera, web_camera
from tests.fixtures.project import REPOSITORY

PATIENCE = 400  # events: far more than any step takes


@pytest.fixture
def camera() -> Iterator[WebCamera]:
    with web_camera() as made:
        yield made


def wait_for(events: Iterator[tuple[Job, Event]], name: str, wanted: type, text: str = "") -> Event:
    """The next event of this kind, from this source."""
    for _, (job, event) in zip(range(PATIENCE), events, strict=False):
        if job.source.name == name and isinstance(event, wanted):
            if isinstance(event, Told) and not event.kept:
                continue
            if text in (event.text if isinstance(event, Said) else ""):
                return event
    raise AssertionError(f"no {wanted.__name__} from {name}")


def test_a_killed_source_starts_again_and_a_second_collector_is_refused(tmp_path: Path, camera: WebCamera) -> None:
    camera.auth = "basic"
    with_password = camera.address("/stream.mjpg", USER, PASSWORD)
    rules = Collect(
        free_gb=0,
        sources=[
            Source(name="gate-1", address=with_password, every=0.2),
            Source(name="gate-2", address="http://127.0.0.1:1/none.jpg", every=0.2, gap=0.5),
        ],
    )
    made, stop = jobs(rules, photos=tmp_path), threading.Event()
    before = set(psutil.Process().children())  # of other tests in this process
    may_go = partial(classified, tmp_path)
    events = collect(made, may_go, stop)
    wait_for(events, "gate-1", Told)
    with pytest.raises(InUse, match=f"{tmp_path}/gate-1 is in use by process \\d+ on "):
        list(take_one_each(made[:1], may_go))
    (process,) = [one for one in psutil.Process().children() if _holds(one, tmp_path / "gate-1")]
    process.kill()
    said = wait_for(events, "gate-1", Said, "SIGKILL")
    assert isinstance(said, Said)
    assert said.level == logging.WARNING
    wait_for(events, "gate-1", Told)
    stop.set()
    rest = list(events)
    mine = set(psutil.Process().children()) - before
    assert not [one for one in mine if "spawn_main" in " ".join(one.cmdline())]
    album = Album(tmp_path / "gate-1", "gate-1")
    for row in album.rows():
        assert sha256_of_file(album.folder / row.path) == row.sha256
    assert read_gaps(tmp_path / "gate-2" / GAPS_CSV)[-1].reason == Reason.NO_ANSWER  # beside it, all the time
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert PASSWORD.encode() not in written + repr((made, rest)).encode()


def _holds(process: psutil.Process, folder: Path) -> bool:
    return any(one.path.startswith(str(folder)) for one in process.open_files())


def test_one_picture_each_and_what_failed(tmp_path: Path, camera: WebCamera) -> None:
    rules = Collect(
        sources=[Source(name="gate-1", address=camera.snapshot), Source(name="gate-2", address=camera.address("/404"))]
    )
    found = list(take_one_each(jobs(rules, photos=tmp_path), partial(classified, tmp_path)))
    assert [job.source.name for job, event in found if isinstance(event, Told) and event.kept] == ["gate-1"]
    (failed,) = [(job.source.name, str(event.error)) for job, event in found if isinstance(event, Failed)]
    assert failed[0] == "gate-2"
    assert "404" in failed[1]
    assert not [event for _, event in found if isinstance(event, Said) and event.level >= logging.WARNING]


def test_a_password_comes_from_the_environment() -> None:
    source = Source(name="gate-2", address="rtsp://viewer:${GATE_PASSWORD}@10.0.0.7/stream")
    found = address_of(source, {"GATE_PASSWORD": PASSWORD})
    assert found.password == PASSWORD
    assert str(found) == "rtsp://viewer:***@10.0.0.7/stream"
    with pytest.raises(CollectError, match="names the environment variable GATE_PASSWORD, which is not set"):
        address_of(source, {})
    plain = Source(name="gate-3", address="rtsp://viewer:sesame@10.0.0.7/stream")
    assert with_plain_password(Collect(sources=[source, plain])) == ["gate-3"]


def test_sources_that_are_not_there_are_said() -> None:
    with pytest.raises(CollectError, match=r"collect.sources is empty"):
        jobs(Collect())
    with pytest.raises(CollectError, match=r"has no gate-9. It has gate-1"):
        jobs(Collect(sources=[Source(name="gate-1", address="/clips")]), "gate-9")


def test_a_training_that_others_read_in_mlflow_has_no_address_of_a_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    source = "[{name: gate-2, address: 'http://10.0.0.7/?usr=viewer&pwd=sesame'}]"
    (tmp_path / "params.yaml").write_text(text.replace("sources: []", f"sources: {source}"), encoding="utf-8")
    params = load_params()
    assert params.collect.sources[0].address in (tmp_path / "params.yaml").read_text(encoding="utf-8")
    shared = f"{without_cameras(params)}{all_params(params)}{training_params(params)}"
    assert "seed: 7" in shared
    assert "sesame" not in shared
