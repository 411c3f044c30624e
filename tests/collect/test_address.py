"""Addresses of pictures, as people write them, and that nobody is shown a password."""

import pytest

from pipeline.collect.address import Kind, read_address
from pipeline.collect.frame import SourceLost, Why
from pipeline.storage.addresses import AddressError

SECRET = "s3cr#t/p@ss:ü%"  # noqa: S105
ESCAPED = "s3cr%23t%2Fp%40ss%3A%C3%BC%25"


@pytest.mark.parametrize(
    ("text", "kind", "place"),
    [
        ("rtsp://192.168.1.20:554/Streaming/Channels/101", Kind.RTSP, "rtsp://192.168.1.20:554/Streaming/Channels/101"),
        ("RTSPS://cam.example/live", Kind.RTSP, "rtsps://cam.example/live"),
        ("rtsp://[fe80::1]:8554/a b?x=ü", Kind.RTSP, "rtsp://[fe80::1]:8554/a%20b?x=%C3%BC"),
        (" http://cam/snapshot.jpg?size=1%2C2 ", Kind.WEB, "http://cam/snapshot.jpg?size=1%2C2"),
        ("https://cam/stream.mjpg", Kind.WEB, "https://cam/stream.mjpg"),
        ("/dev/video0", Kind.DEVICE, "/dev/video0"),
        ("clips/gate.MP4", Kind.CLIP, "clips/gate.MP4"),
        ("clips/gate", Kind.FOLDER, "clips/gate"),
    ],
)
def test_an_address_says_what_it_names(text: str, kind: Kind, place: str) -> None:
    found = read_address(text)
    assert (found.kind, found.place, found.user, found.password) == (kind, place, "", "")
    assert str(found) == place


@pytest.mark.parametrize(
    ("written", "password"),
    [(ESCAPED, SECRET), ("p@ss", "p@ss"), ("100%", "100%"), ("a%zz", "a%zz"), ("a:b", "a:b"), ("", "")],
)
def test_a_password_stands_apart_and_is_written_again_as_a_library_reads_it(written: str, password: str) -> None:
    found = read_address(f"rtsp://admin:{written}@cam:554/live")
    assert (found.user, found.password, found.place) == ("admin", password, "rtsp://cam:554/live")
    again = read_address(found.with_password)
    assert (again.user, again.password, again.place) == ("admin", password, "rtsp://cam:554/live")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"rtsp://admin:{ESCAPED}@cam/live", "rtsp://admin:***@cam/live"),
        ("http://cam/snap.cgi?usr=admin&pwd=geheim&size=2", "http://cam/snap.cgi?usr=admin&pwd=***&size=2"),
        ("http://cam/snap?Password=geheim", "http://cam/snap?Password=***"),
        ("rtsps://10.0.0.4:7441/M3oBgeheimnk54pq?enableSrtp", "rtsps://10.0.0.4:7441/***?enableSrtp"),
        ("https://cam/snap?a=1&token=geheim", "https://cam/snap?a=1&token=***"),
        (
            "rtsp://cam:554/user=admin_password=geheim_channel=1_stream=0.sdp",
            "rtsp://cam:554/user=admin_password=***_channel=1_stream=0.sdp",
        ),
    ],
)
def test_what_people_see_of_an_address_has_no_password(text: str, shown: str) -> None:
    found = read_address(text)
    assert str(found) == shown
    assert repr(found) == f"Address({shown!r})"
    secrets = [SECRET, ESCAPED] if found.password else ["M3oBgeheimnk54pq" if "M3oB" in text else "geheim"]
    told = str(SourceLost(found, Why.ENDED, f"opening {text} failed: {' '.join(secrets)}"))
    assert not [secret for secret in secrets if secret in told]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("s3://bucket/clips", "s3:// is not an address that pictures can be collected from. Use rtsp://"),
        ("rtsp:///live", "has no valid host"),
        ("rtsp://admin:s3cr#t@cam/live", "percent-encoded"),
        ("rtsp://admin:12/34@cam/live", "percent-encoded"),
        ("rtsp://admin:s3cr?t@cam/live", "percent-encoded"),
        ("rtsp://admin:s3cr[t@cam/live", "percent-encoded"),
        ("http://cam:99999/s3cr", "has no valid host and port"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_repeating_it(text: str, reason: str) -> None:
    with pytest.raises(AddressError) as refused:
        read_address(text)
    assert reason in str(refused.value)
    assert not any(part in str(refused.value) for part in ("s3cr", "12/34"))
