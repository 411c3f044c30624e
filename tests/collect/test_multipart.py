"""Streams of parts, as cameras send them and as they break."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.collect import multipart
from pipeline.collect.multipart import TooLarge, parts_of

ONE, TWO = b"\xff\xd8one\n--x\xff\xd9", b"\xff\xd8two\r\n\xff\xd9"


def part(body: bytes, boundary: str = "b", length: bool = True) -> bytes:
    said = f"Content-Length: {len(body)}\r\n" if length else ""
    return f"--{boundary}\r\nContent-Type: image/jpeg\r\n{said}\r\n".encode() + body + b"\r\n"


@pytest.mark.parametrize(
    ("stream", "declared"),
    [
        (part(ONE) + part(TWO), "b"),
        (part(ONE, length=False) + part(TWO, length=False) + b"--b", "b"),
        (part(ONE) + part(TWO, length=False) + b"--b--\r\n", '"b"'),
        (b"\r\n" + part(ONE, "--b") + part(TWO, "--b"), "--b"),
        (part(ONE) + part(TWO), "other"),
        (part(ONE) + part(TWO), ""),
        (b"--\r\nnoise\r\n" + part(ONE) + b"noise\r\n\r\n" + part(TWO), "b"),
        (part(ONE) + part(TWO) + part(b"cut off")[:-5], "b"),
        ((part(ONE) + part(TWO)).replace(b"\r\n", b"\n").replace(b"two\n", b"two\r\n"), "b"),
    ],
    ids=["lengths", "none", "one", "hyphens", "another", "undeclared", "noise", "cut", "lf"],
)
@given(cuts=st.lists(st.integers(0, 200), max_size=6))
def test_the_whole_parts_of_a_stream_come_however_it_is_cut_into_chunks(
    stream: bytes, declared: str, cuts: list[int]
) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(edges)]
    found = list(parts_of(chunks, declared))
    assert [found_part.body for found_part in found if found_part.body] == [ONE, TWO]
    assert found[-1].headers["content-type"] == "image/jpeg"


@given(st.binary(max_size=300))
def test_any_bytes_are_survived(data: bytes) -> None:
    assert all(isinstance(one.body, bytes) for one in parts_of([b"--b\n", data, data], "b"))


@pytest.mark.parametrize("head", [b"Content-Length: 101\r\n", b""])
def test_a_part_that_never_ends_does_not_fill_the_memory(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "MOST_BYTES", 100)
    with pytest.raises(TooLarge):
        list(parts_of([b"--b\r\n" + head + b"\r\n", *[b"x" * 60] * 10], "b"))


def test_a_line_that_never_ends_does_not_fill_the_memory() -> None:
    def endless() -> "list[bytes]":
        return [b"x" * 5000] * 100

    stream = multipart._Stream(endless())
    assert stream.line() is None
    assert len(stream._bytes) <= multipart.MOST_LINE + 5000
