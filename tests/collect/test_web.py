"""Frames of web cameras: MJPEG streams and snapshots, with every fault of `tests.fixtures.cameras`."""

import itertools
import logging
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pipeline.collect.address import read_address
from pipeline.collect.frame import Frame, SourceLost, Timeouts, Why
from pipeline.collect.frames import frames
from tests.fixtures.cameras import (
    HEIGHT,
    PASSWORD,
    USER,
    WIDTH,
    WebCamera,
    picture,
    self_signed,
    web_camera,
    web_camera_process,
)

QUICK = Timeouts(connect=5.0, read=0.5, picture=1.0)
PATHS = ["/stream.mjpg", "/snapshot.jpg"]
EVERY = 0.02


@pytest.fixture
def camera() -> Iterator[WebCamera]:
    with web_camera() as found:
        yield found


def take(address: str, count: int, every: float = EVERY) -> list[Frame]:
    source = frames(read_address(address), every=every, timeouts=QUICK)
    found = list(itertools.islice(source, count))
    source.close()  # type: ignore[attr-defined]
    return found


def lost(address: str) -> SourceLost:
    with pytest.raises(SourceLost) as ended:
        take(address, 1000)
    assert ended.value.__context__ is None, "a traceback would show the library's error, with the password"
    return ended.value


@pytest.mark.parametrize("path", PATHS)
def test_a_jpeg_is_kept_as_it_was_sent(camera: WebCamera, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)  # it is not needed here
    before = datetime.now(UTC)
    found = take(camera.address(path), 3)
    assert len({frame.jpeg for frame in found}) == 3
    assert {frame.jpeg for frame in found} <= {picture(number) for number in range(camera.sent + 1)}
    for frame in found:
        assert (frame.pixels.shape, frame.pixels.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
        assert (frame.pixels.reshape(-1, 3).max(axis=0) - [255, 128, 128]).max() < 30  # RGB: a red square over grey
        assert before <= frame.arrived_at <= datetime.now(UTC)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"X-Timestamp": "1714564800.250000"}, datetime(2024, 5, 1, 12, 0, 0, 250_000, UTC)),
        ({"Last-Modified": "Wed, 01 May 2024 12:00:00 GMT", "Date": "Wed, 01 May 2024 12:00:09 GMT"},
         datetime(2024, 5, 1, 12, 0, 0, 0, UTC)),
        ({"Date": "Wed, 01 May 2024 12:00:09 GMT"}, datetime(2024, 5, 1, 12, 0, 9, 0, UTC)),
        ({"X-Timestamp": "73.5", "Date": "Thu, 01 Jan 1970 00:01:13 GMT"}, None),
        ({"Last-Modified": "yesterday", "X-Timestamp": "now"}, None),
        ({}, None),
    ],
    ids=["timestamp", "modified", "date", "never-set", "no-time", "untold"],
)  # fmt: skip
def test_the_source_s_own_time_is_what_it_tells_and_is_never_guessed(
    camera: WebCamera, path: str, headers: dict[str, str], told: datetime | None
) -> None:
    camera.headers = headers
    (frame,) = take(camera.address(path), 1)
    assert frame.source_time == told
    assert abs(frame.arrived_at - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("boundary", ["frame", "--frame", '"frame"', "wrong"])
def test_a_stream_without_lengths_and_with_a_wrong_boundary_is_read(camera: WebCamera, boundary: str) -> None:
    camera.lengths, camera.boundary = False, boundary
    assert take(camera.stream, 1)[0].jpeg in {picture(number) for number in range(camera.sent + 1)}


def test_who_is_slow_gets_the_newest_picture_and_the_old_ones_are_dropped(camera: WebCamera) -> None:
    source = frames(read_address(camera.stream), timeouts=QUICK)
    next(source)
    seen = camera.sent
    while camera.sent < seen + 30:
        threading.Event().wait(0.001)
    numbers = [next(source).jpeg for _ in range(2)]
    assert picture(seen + 29) in numbers or picture(seen + 30) in numbers or picture(seen + 31) in numbers
    source.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("fault", "why", "reason"),
    [
        ("silent", Why.SILENT, "sent nothing"),
        ("stalls", Why.SILENT, "sent nothing"),
        ("cuts", Why.ENDED, "connection"),
        ("garbage", Why.BROKEN, "no whole picture for 1 seconds"),
        ("html", Why.BROKEN, "answers with text/html. Give the address of the picture itself"),
    ],
)
def test_each_fault_ends_the_frames_within_the_timeout_and_with_its_reason(
    camera: WebCamera, path: str, fault: str, why: Why, reason: str
) -> None:
    camera.fault = fault
    found = lost(camera.address(path))
    assert found.why is why
    assert str(found).startswith(f"{camera.address(path)}: ")
    assert reason in found.reason


@pytest.mark.parametrize("path", PATHS)
def test_damaged_pictures_are_left_out_and_the_next_one_is_taken(path: str) -> None:
    whole = picture(1)
    with web_camera([whole[:-100], b"noise", whole, bytes(40) + whole, b""]) as camera:
        assert {frame.jpeg for frame in take(camera.address(path), 4)} == {whole}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_a_camera_that_asks_for_a_password_gets_it(camera: WebCamera, path: str, auth: str) -> None:
    camera.auth = auth
    assert len(take(camera.address(path, USER, PASSWORD), 2)) == 2
    assert {asked.partition(" ")[0].lower() for asked in camera.asked} == {"", auth}


@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_a_wrong_password_is_refused_and_is_in_no_message_and_no_log(
    camera: WebCamera, auth: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    camera.auth = auth
    with caplog.at_level(logging.DEBUG):
        found = lost(camera.address("/snapshot.jpg?pwd=tobehidden", USER, "wrong-one"))
    assert found.why is Why.REFUSED
    assert "user or password is wrong" in found.reason
    assert "it asks for a user and a password" in lost(camera.snapshot).reason
    told = caplog.text + "".join(capfd.readouterr()) + repr(found) + str(found)
    assert f"http://{USER}:***@" in told
    assert not [secret for secret in ("wrong-one", "tobehidden") if secret in told]


def test_a_password_does_not_follow_to_another_place(camera: WebCamera) -> None:
    assert take(camera.address("/moved"), 1)
    with web_camera() as other:
        camera.elsewhere = other.snapshot
        assert take(camera.address("/elsewhere", USER, PASSWORD), 1)
        camera.auth = other.auth = "basic"
        assert lost(camera.address("/elsewhere", USER, PASSWORD)).why is Why.REFUSED
    assert set(other.asked) == {""}


def test_a_certificate_that_nobody_has_signed_is_trusted_once_its_file_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    files = self_signed(tmp_path)
    with web_camera(certificate=files) as camera:
        untrusted = lost(camera.snapshot)
        assert untrusted.why is Why.UNREACHABLE
        assert "its certificate is not trusted. Give the file with the certificate" in untrusted.reason
        monkeypatch.setenv("SSL_CERT_FILE", files[0])
        assert len(take(camera.snapshot, 2)) == 2


def test_a_killed_camera_is_lost_and_gives_frames_again_when_it_is_back() -> None:
    with web_camera_process() as first:
        address = f"http://127.0.0.1:{first.port}/stream.mjpg"
        source = frames(read_address(address), timeouts=QUICK)
        next(source)
        first.kill()
        with pytest.raises(SourceLost) as ended:
            list(source)
        assert ended.value.why is Why.ENDED
        gone = lost(address)
        assert gone.why is Why.UNREACHABLE
        assert "it does not answer (Connection refused)" in gone.reason
    with web_camera_process(first.port):
        assert len(take(address, 2)) == 2


@pytest.mark.parametrize("path", PATHS)
def test_frames_end_when_they_are_asked_to_and_leave_no_thread(camera: WebCamera, path: str) -> None:
    stop = threading.Event()
    source = frames(read_address(camera.address(path)), every=EVERY, timeouts=QUICK, stop=stop)
    next(source)
    stop.set()
    assert list(source) == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("frames of")]
