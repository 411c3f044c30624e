"""A video's packets become whole frames, no more of them than are wanted."""

import io
from collections.abc import Sequence

import av
import numpy as np
import pytest

from pipeline.collect.decoder import Decoder, packets_of, pixels_of
from tests.fixtures.cameras import make_clip

OPEN_GROUPS = {"x264-params": "open-gop=1:bframes=3:threads=1"}  # frames that refer across a key frame


def decoded(
    data: bytes, every: float = 0.0, hurry: Sequence[int] = (), cut: int = -1
) -> tuple[dict[int, bytes], Decoder]:
    """The pixels of each frame by its time stamp. hurry: packets at which we are late; cut: one that is cut off."""
    found = {}
    with av.open(io.BytesIO(data)) as container:
        decoder = Decoder(container.streams.video[0], every)
        for number, packet in enumerate(packets_of(container, container.streams.video[0])):
            whole = bytes(packet)
            sent = like(packet, whole[: len(whole) // 2]) if number == cut else packet
            for frame in decoder.frames(sent, hurry=number in hurry):
                found[frame.pts] = pixels_of(frame).tobytes()
        for frame in decoder.rest():
            found[frame.pts] = pixels_of(frame).tobytes()
    return found, decoder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """40 frames in groups of 10, at 10 frames a second; the time stamps of Matroska are milliseconds."""
    folder = tmp_path_factory.mktemp("clip")
    return make_clip(folder / "a.mkv", 40, codec="libx264", codec_options=OPEN_GROUPS).read_bytes()


def test_all_frames_are_decoded_where_all_are_wanted(clip: bytes) -> None:
    found, decoder = decoded(clip)
    assert list(found) == [100 * number for number in range(40)], "in their order, each once"
    assert decoder.damaged == 0


def test_only_key_frames_are_decoded_where_they_come_often_enough(clip: bytes) -> None:
    every, _ = decoded(clip)
    found, decoder = decoded(clip, every=1.0)
    assert [stamp for stamp in found if stamp > 2000][-1] == 3000, "the fourth key frame as soon as wanted stands alone"
    assert {100 * number for number in range(20)} < set(found), "two may be those of a change of the scene"
    assert found.items() <= every.items()
    assert decoder.damaged == 0
    assert len(decoded(clip, every=0.9)[0]) == 40, "they do not come often enough"


def test_who_is_late_skips_to_key_frames_and_goes_on_with_all_frames_when_up_again(clip: bytes) -> None:
    every, _ = decoded(clip)
    found, decoder = decoded(clip, hurry=range(5, 15))
    assert found.items() < every.items()
    assert {0, 1000, 2000, 2100, 3000, 3900} <= set(found)
    assert not [stamp for stamp in found if 1000 < stamp < 2000]
    assert decoder.damaged == 0


@pytest.mark.parametrize("cut", [11, 15, 19, 20])
def test_no_frame_with_damage_is_given_and_the_next_group_is(clip: bytes, cut: int) -> None:
    every, _ = decoded(clip)
    found, decoder = decoded(clip, cut=cut)
    assert found.items() < every.items()
    after = 2000 if cut < 20 else 3000
    assert set(range(0, 900, 100)) | set(range(after, 4000, 100)) <= set(found)
    assert decoder.damaged == 1
    assert decoder.first_damage is not None
    assert 1 <= decoder.first_damage <= 2.1


def test_a_camera_whose_notes_are_never_valid_still_gives_its_pictures() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.gop_size = 64, 48, "yuv420p", 4
        for number in range(24):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 9, np.uint8), format="rgb24")
            frame.pts = number
            for packet in stream.encode(frame):
                container.mux(with_a_broken_note(packet))
        for packet in stream.encode(None):
            container.mux(with_a_broken_note(packet))
    found, decoder = decoded(buffer.getvalue())
    assert decoder.is_lenient
    assert list(found) == [100 * number for number in range(12, 24)], "all after three key frames that failed"


def with_a_broken_note(packet: av.Packet) -> av.Packet:
    """The packet with supplemental information (SEI) before it that is longer than it says."""
    return like(packet, b"\0\0\0\1\x06\x01\xff\xff\x00\x80" + bytes(packet))


def like(packet: av.Packet, data: bytes) -> av.Packet:
    """A packet with other bytes."""
    changed = av.Packet(data)
    changed.stream, changed.time_base = packet.stream, packet.time_base
    changed.pts, changed.dts, changed.is_keyframe = packet.pts, packet.dts, packet.is_keyframe
    return changed
