"""Frames of RTSP cameras, by a real server: GStreamer's, in a process of its own."""

import itertools
import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from pipeline.collect.address import read_address
from pipeline.collect.frame import Frame, SourceLost, Timeouts, Why
from pipeline.collect.frames import frames
from tests.fixtures.bad_line import line_to
from tests.fixtures.cameras import HEIGHT, PASSWORD, USER, WIDTH, Process, make_clip, rtsp_camera, self_signed
from tests.fixtures.cameras import LIVE as PICTURE

QUICK = Timeouts(connect=5.0, read=0.5, picture=2.0)


@pytest.fixture(scope="module")
def camera() -> Iterator[Process]:
    with rtsp_camera() as found:
        yield found


def take(address: str, count: int, every: float = 0.0) -> list[Frame]:
    source = frames(read_address(address), every=every, timeouts=QUICK)
    found = list(itertools.islice(source, count))
    source.close()  # type: ignore[attr-defined]
    return found


def lost(source: Iterator[Frame]) -> SourceLost:
    with pytest.raises(SourceLost) as ended:
        list(source)
    assert ended.value.__context__ is None, "a traceback would show the library's error, with the password"
    return ended.value


def test_frames_have_the_camera_s_time_and_ours(camera: Process) -> None:
    before = datetime.now(UTC)
    found = take(f"rtsp://127.0.0.1:{camera.port}/live", 10)
    times = [frame.source_time for frame in found if frame.source_time is not None]
    assert times
    assert times == sorted(set(times))
    for frame in found:
        assert (frame.pixels.shape, frame.jpeg) == ((HEIGHT, WIDTH, 3), None)
        assert before <= frame.arrived_at <= datetime.now(UTC)
        if frame.source_time is not None:  # its sender reports, every 5 s in real cameras, tell it
            assert abs(frame.source_time - frame.arrived_at) < timedelta(seconds=1)


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps"])
def test_a_password_of_odd_characters_opens_the_stream_and_a_wrong_one_is_in_no_message(
    scheme: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    files = self_signed(tmp_path) if scheme == "rtsps" else ()
    picture = PICTURE.format(pattern="ball")
    with rtsp_camera(picture, 0, USER, PASSWORD, *files) as camera, caplog.at_level(logging.DEBUG):
        assert take(f"{scheme}://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{camera.port}/live", 1)
        refused = lost(
            frames(read_address(f"{scheme}://{USER}:wrong-one@127.0.0.1:{camera.port}/live"), timeouts=QUICK)
        )
        asked = lost(frames(read_address(f"{scheme}://127.0.0.1:{camera.port}/live"), timeouts=QUICK))
    assert (refused.why, asked.why) == (Why.REFUSED, Why.REFUSED)
    assert "user or password is wrong" in refused.reason
    assert "it asks for a user and a password" in asked.reason
    told = caplog.text + "".join(capfd.readouterr()) + str(refused) + repr(refused)
    assert f"{scheme}://{USER}:***@" in told
    assert "wrong-one" not in told
    assert "libav" not in told


def test_a_path_that_the_camera_does_not_have_and_a_device_that_is_not_there_say_so(camera: Process) -> None:
    other = lost(frames(read_address(f"rtsp://127.0.0.1:{camera.port}/other"), timeouts=QUICK))
    assert (other.why, other.reason) == (Why.UNREACHABLE, "it has no stream at this path: check the address.")
    device = lost(frames(read_address("/dev/video-none"), timeouts=QUICK))
    assert device.why is Why.MISSING


def test_a_killed_camera_is_lost_and_gives_frames_again_when_it_is_back() -> None:
    with rtsp_camera() as first:
        address = f"rtsp://127.0.0.1:{first.port}/live"
        source = frames(read_address(address), timeouts=QUICK)
        next(source)
        first.kill()
        ended = lost(source)
        assert (ended.why, str(ended)) == (Why.ENDED, f"{address}: it closed the connection.")
        gone = lost(frames(read_address(address), timeouts=QUICK))
        assert gone.why is Why.UNREACHABLE
        assert "Connection refused" in gone.reason
    with rtsp_camera(PICTURE.format(pattern="ball"), first.port):
        assert len(take(address, 2)) == 2


@pytest.mark.parametrize(("fault", "why"), [("silent", Why.SILENT), ("garbage", Why.SILENT), ("cut", Why.ENDED)])
def test_a_line_that_breaks_ends_the_frames_in_time_and_a_new_connection_gives_them_again(
    camera: Process, fault: str, why: Why
) -> None:
    with line_to(camera.port) as line:
        source = frames(read_address(f"rtsp://127.0.0.1:{line.port}/live"), timeouts=QUICK)
        next(source)
        line.fault = fault
        ended = lost(source)
        assert ended.why is why
        assert "127.0.0.1" in str(ended)
        line.fault = ""
        assert take(f"rtsp://127.0.0.1:{line.port}/live", 1)


def test_a_server_that_accepts_and_says_nothing_is_left_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"rtsp://127.0.0.1:{mute.getsockname()[1]}/live"
        found = lost(frames(read_address(address), timeouts=Timeouts(connect=0.3, read=0.3)))
    assert found.why is Why.SILENT
    assert "Check its power" in found.reason


def test_h264_over_rtsp_gives_the_very_frames_of_the_clip_that_is_sent(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", 100, codec="libx264", rate=50, group=10, codec_options={"bf": "0"})
    sent = {frame.pixels.tobytes() for frame in frames(read_address(str(clip)))}
    with rtsp_camera(f"( filesrc location={clip} ! qtdemux ! rtph264pay name=pay0 config-interval=1 )") as camera:
        found = take(f"rtsp://127.0.0.1:{camera.port}/live", 5)
    assert {frame.pixels.tobytes() for frame in found} <= sent
