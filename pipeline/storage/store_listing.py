"""List the image files in a folder of an object store, by the rules and in the order of a local folder's listing.

We list S3 page by page without folders, so that a million objects take a thousand requests and are never all in memory;
other stores folder by folder.
"""

import heapq
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from upath import UPath

from pipeline.core.hidden import is_hidden
from pipeline.core.parallel import ordered_map
from pipeline.images.formats import MAGIC_BYTES
from pipeline.storage.addresses import explained, modified_ns_of, size_of
from pipeline.storage.listing import Aside, Listed, ListingError, is_image, order_of
from pipeline.storage.stores import THREADS, attempt

Pages = Callable[[str], Iterable[Listed]]  # prefix -> all objects with it, in the order of their keys' bytes
PAGE = 1000  # entries: what S3 gives in one answer
S3 = ("s3", "s3a")


def list_images(source: UPath) -> Iterator[Listed]:
    """The image files below `source`; as `list_files`."""
    return (entry for entry in list_files(source) if isinstance(entry, Listed))


def list_files(source: UPath) -> Iterator[Listed | Aside]:
    """The image files below `source`, in the order in which a local folder with the same content is listed, and others.

    Raises ListingError when `source` is an object, AddressError when the store refuses, StoreError when it does not
    answer.
    """
    with explained(str(source)):
        if attempt(source, lambda: source.fs.isfile(source.path)):
            raise ListingError(f"{source} is a file; it must be a folder of images.")
        entries = _s3_entries(source, "") if source.protocol in S3 else _walk(source, "")
        seen = (one for one in entries if not any(map(is_hidden, one.path.split("/"))))
        while page := list(itertools.islice(seen, PAGE)):
            yield from _images(source, page)


def _images(source: UPath, page: list[Listed]) -> Iterator[Listed | Aside]:
    """The images of a page, and what is none; of objects without an image extension the first bytes are read, many
    in parallel.
    """
    doubtful = [one for one in page if not is_image(_name(one), bytes)]

    def judge(one: Listed) -> bool:
        return is_image(_name(one), lambda: _first_bytes(source, one))

    images = dict(zip((one.path for one in doubtful), ordered_map(judge, doubtful, THREADS), strict=True))
    return (one if images.get(one.path, True) else Aside(one.path, "file") for one in page)


def _name(one: Listed) -> str:
    return one.path.rpartition("/")[2]


def _first_bytes(source: UPath, one: Listed) -> bytes:
    if not one.bytes:  # an empty object has no range to request
        return b""
    try:
        return attempt(source, lambda: bytes(source.fs.cat_file(f"{source.path}/{one.path}", start=0, end=MAGIC_BYTES)))
    except OSError:  # deleted, or access denied: nothing shows that it is an image
        return b""


def _walk(source: UPath, prefix: str) -> Iterator[Listed]:
    """Folder by folder, entries in the order of their names' bytes."""
    place = f"{source.path}/{prefix}".rstrip("/")
    found = [
        (about["name"].rstrip("/").rpartition("/")[2], about)
        for about in attempt(source, lambda: source.fs.ls(place, detail=True))
        if about["name"].rstrip("/") != place  # an object that represents the folder
    ]
    for name, about in sorted(found, key=lambda entry: (entry[0].encode(), entry[1]["type"] == "directory")):
        if about["type"] != "directory":
            yield _listed(prefix + name, about)
        elif not is_hidden(name):
            yield from _walk(source, f"{prefix}{name}/")


def _listed(path: str, about: dict[str, Any]) -> Listed:
    modified = modified_ns_of(about) or 0
    return Listed(path, size_of(about) or 0, modified, modified)  # an object is never changed, only replaced


def _s3_entries(source: UPath, below: str) -> Iterator[Listed]:
    bucket, key, _ = source.fs.split_path(source.path)
    root = f"{key.rstrip('/')}/" if key.rstrip("/") else ""

    def pages(prefix: str) -> Iterator[Listed]:
        return _s3_pages(source, bucket, root, prefix)

    return in_folder_order(pages, below)


def _s3_pages(source: UPath, bucket: str, root: str, prefix: str, most: int = PAGE) -> Iterator[Listed]:
    """Every object whose key begins with `root` and `prefix`, in key byte order, which S3 guarantees."""
    asked = {"Bucket": bucket, "Prefix": root + prefix, "MaxKeys": most}
    while True:
        page = attempt(source, lambda: source.fs.call_s3("list_objects_v2", **asked))
        for about in page.get("Contents", []):
            if not about["Key"].endswith("/"):  # an object that represents a folder
                about["size"] = about["Size"]
                yield _listed(about["Key"][len(root) :], about)
        if not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]


@dataclass(order=True, slots=True)
class _Waiting:
    """An entry that waits because another one may have to come before it."""

    order: bytes
    listed: Listed = field(compare=False)


def in_folder_order(pages: Pages, below: str = "", most_waiting: int = PAGE) -> Iterator[Listed]:
    """Reorder objects from the order of their keys to the order of a folder's listing.

    The orders differ where a name continues with a character below `/`: `a.jpg` is before `a/1.jpg` among keys, and
    after it in a folder. So `a.jpg` waits until `a/` has passed; if too many wait, we request `a/` and emit it first.
    """
    waiting: list[_Waiting] = []
    absent: set[str] = set()  # folders that do not exist
    taken: list[str] = []  # folders that were emitted early
    for listed in pages(below):
        path = listed.path
        if taken:
            taken = [folder for folder in taken if path <= folder or path.startswith(folder)]
            if any(path.startswith(folder) for folder in taken):
                continue
        absent = {folder for folder in absent if path.startswith(folder[:-1])} if absent else absent
        heapq.heappush(waiting, _Waiting(order_of(path), listed))
        while waiting:
            folder = _to_come(waiting[0].listed.path, path, len(below), absent)
            if folder is not None and len(waiting) <= most_waiting:
                break
            if folder is None:
                yield heapq.heappop(waiting).listed
            elif next(iter(pages(folder)), None) is None:
                absent.add(folder)
            else:
                yield from in_folder_order(pages, folder, most_waiting)
                taken.append(folder)
                absent.add(folder)
    while waiting:
        yield heapq.heappop(waiting).listed


def _to_come(path: str, reached: str, start: int, absent: Collection[str]) -> str | None:
    """The outermost folder that may still come after `reached` among keys but is before `path` in a listing.

    start: number of characters that all paths share.
    """
    for place, (ours, theirs) in enumerate(itertools.zip_longest(path, reached, fillvalue="")):
        may_come = place > start and "" < ours < "/" and theirs <= "/"
        if may_come and (folder := f"{path[:place]}/") not in absent:
            return folder
        if ours != theirs:
            return None
    return None
