"""Where a review listens: at its own address again, never at another review's."""

import socket
from pathlib import Path

import pytest

from pipeline.review.address import LOOPBACK, Address, address_of, keep_address, last_address
from pipeline.review.serve import ServeError, is_open, listening
from tests.fixtures.review_server import TOKEN, serving
from tests.fixtures.waiting import opened


def test_a_review_that_is_open_is_known_by_its_own_address(tmp_path: Path) -> None:
    review = opened(tmp_path, 1)
    with serving(review, tmp_path) as address:
        port = int(address.split(":")[2].partition("/")[0])
        assert is_open(Address(port=port, token=TOKEN), review.key)
        assert not is_open(Address(port=port, token=TOKEN), "another")
        assert not is_open(Address(port=port, token="wrong"), review.key)  # noqa: S106
    assert not is_open(Address(port=port, token=TOKEN), review.key)


def test_each_review_keeps_its_own_port_and_a_taken_one_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with listening(None, 0) as one, listening(None, 0) as two:
        ports = [of.getsockname()[1] for of in (one, two)]
        for key, port in zip("ab", ports, strict=True):
            keep_address(Address(port=port, token=key), address_of(key))
        assert [last_address(address_of(key)).port for key in "ab"] == ports
        with pytest.raises(ServeError, match=f"Port {ports[0]} is used by another program. Choose another"):
            listening(ports[0], 0)
        with listening(None, ports[0]) as other:
            assert other.getsockname()[1] not in ports
    with listening(None, ports[0]) as again:
        assert again.getsockname() == (LOOPBACK, ports[0])
    assert isinstance(again, socket.socket)
