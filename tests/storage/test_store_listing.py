"""A store's folder is listed as a local one with the same content: same files, same order, never all at once."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from pipeline.storage import stores
from pipeline.storage.addresses import AddressError, place
from pipeline.storage.listing import Listed, ListingError, list_images, order_of
from pipeline.storage.store_listing import in_folder_order
from pipeline.storage.store_listing import list_images as list_store
from pipeline.storage.stores import StoreError
from tests.fixtures.images import save_image
from tests.fixtures.stores import forget_clients, lead_to, upload


def paths(address: str) -> list[str]:
    source = place(address)
    assert isinstance(source, UPath)
    return [listed.path for listed in list_store(source)]


ODD = [
    "a.jpg", "a/1.jpg", "a/b/2.jpg", "a-b.jpg", "a-b/3.jpg", "a b/c d.jpg", "a/b.jpg", "B.jpg", "ä.jpg", "10.jpg",
    "9.jpg", "=1+1.jpg", "+x.jpg", "a!/x.jpg", "a!.jpg", ".hidden.jpg", "x/.git/y.jpg", "__MACOSX/z.jpg", "x/Thumbs.db",
    "notes.txt", "jpg", "empty", "\U0001f600/x.jpg",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["s3", "memory"])
def test_a_store_is_listed_as_a_folder_with_the_same_content(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    address = f"{request.getfixturevalue('bucket')}/photos" if kind == "s3" else f"memory://{tmp_path.name}"
    folder = tmp_path / "photos"
    for name in ODD:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"" if name == "empty" else b"some words")
    save_image(folder / "p.png").rename(folder / "photo")
    save_image(folder / "q.jpg").rename(folder / "a" / "scan.bak")
    upload(folder, address)
    expected = [(listed.path, listed.bytes) for listed in list_images(folder)]
    source = place(address + "/")
    assert isinstance(source, UPath)
    assert [(listed.path, listed.bytes) for listed in list_store(source)] == expected
    assert len(expected) == 18


def test_keys_that_no_folder_could_hold_are_listed_and_folders_own_objects_are_not(bucket: str) -> None:
    fs = fsspec.filesystem("s3")
    for key in ("in/", "in/sub/", "in/sub//a.jpg", "in/b.jpg", "in/b.jpg/c.jpg", "other.jpg"):
        fs.call_s3("put_object", Bucket=bucket.removeprefix("s3://"), Key=key, Body=b"x")
    assert paths(f"{bucket}/in") == ["b.jpg", "b.jpg/c.jpg", "sub//a.jpg"]


def test_what_is_no_folder_of_a_store_is_said(bucket: str) -> None:
    fsspec.filesystem("s3").pipe_file(f"{bucket}/a.jpg", b"x")
    with pytest.raises(ListingError, match="a.jpg is a file; it must be a folder of images"):
        paths(f"{bucket}/a.jpg")
    with pytest.raises(AddressError, match="does not exist"):
        paths("s3://no-such-bucket-of-ours/x")
    assert paths(f"{bucket}/none") == []


def test_a_store_that_does_not_answer_is_asked_again_and_then_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "PAUSES", (0.01, 0.01))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # of S3's own client, for each of ours
    lead_to("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(StoreError, match=r"its store does not answer .*tried 3 times.*run the same command again"):
        paths("s3://bucket/x")
    forget_clients()


NAMES = st.text("ab! -./0", min_size=1, max_size=4).filter(lambda name: not name.startswith("."))
KEYS = st.lists(st.lists(NAMES.filter(lambda name: "/" not in name), min_size=1, max_size=4).map("/".join), unique=True)


@given(keys=KEYS, most=st.integers(0, 5))
def test_keys_come_in_the_order_of_a_folder_whatever_their_names(keys: list[str], most: int) -> None:
    def pages(prefix: str) -> Iterator[Listed]:
        return (Listed(key, 1, 1, 1) for key in sorted(keys) if key.startswith(prefix))

    found = [listed.path for listed in in_folder_order(pages, most_waiting=most)]
    assert found == sorted(keys, key=lambda key: [name.encode() for name in key.split("/")])
    assert found == sorted(keys, key=order_of)


def test_few_wait_for_their_turn_and_the_store_is_asked_little_more_than_once() -> None:
    """A hundred thousand names with a blank, each of which could come behind a folder."""
    asked, taken = [], 0

    def pages(prefix: str) -> Iterator[Listed]:
        nonlocal taken
        asked.append(prefix)
        if prefix in ("", "IMG/"):
            for number in range(100_000 if not prefix else 3):
                taken += 1
                yield Listed(f"{prefix}IMG {number:06d}.jpg", 1, 1, 1)

    found, furthest = 0, 0
    for listed in in_folder_order(pages):
        found += 1
        furthest = max(furthest, taken - found)
        if found <= 3:
            assert listed.path.startswith("IMG/IMG ")
    assert found == 100_003
    assert furthest <= 1010
    assert len(asked) < 10
    assert list(itertools.islice(in_folder_order(pages), 1))
