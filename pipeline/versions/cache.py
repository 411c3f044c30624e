"""DVC's cache: which of its files versions still need, and how to free the others.

Reads the lock files of all commits itself. `dvc gc --all-commits` reads each commit's whole pipeline and ends at the
first that it cannot, such as one whose params.yaml has a slip, and does not know experiments without being asked.
"""

import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from dvc_objects.errors import ObjectFormatError

from pipeline.core.paths import FEATURES, PREPARED
from pipeline.versions.dvc import VersionsError
from pipeline.versions.snapshots import opened

LOCKS = ("*.dvc", "*dvc.lock")  # of git's patterns, in which * matches / too
HASH = re.compile(r"\bmd5: ['\"]?([0-9a-f]{32}(?:\.dir)?)\b")
MADE_AGAIN = (str(PREPARED), str(FEATURES))  # large, and `dvc repro` makes them again from the images


@dataclass(frozen=True, slots=True)
class Part:
    """Files of the cache."""

    oids: frozenset[str]
    bytes: int


@dataclass(frozen=True, slots=True)
class Spare:
    """What of the cache may go."""

    unused: Part  # that neither a commit, stash or experiment nor the working folder names
    made_again: Part  # decoded pixels and features of versions that nothing but an old commit names
    unread: tuple[str, ...]  # folders' lists that versions name and that are not in the cache


def find_spare(keep: Iterable[str] = ()) -> Spare:
    """What of the cache may go. keep: hashes of outputs to keep, such as the champion's. Raises VersionsError."""
    with opened() as repo:
        return _spare(repo, keep)


def free(part: Part) -> None:
    """Delete these files from the cache. Raises VersionsError, also while another DVC command is at work."""
    with opened() as repo, repo.lock:
        _require_own(repo)
        for cache in _caches(repo):
            cache.fs.remove([cache.oid_to_path(oid) for oid in _all(cache) if oid in part.oids])


def _spare(repo: Repo, keep: Iterable[str]) -> Spare:
    _require_own(repo)
    git = _Git(Path(repo.root_dir))
    every, here, latest = git.of_all_commits(), git.of_working_folder(), git.of_latest()
    lists = _Lists(repo)
    made_again = {oid for text in (every, *here) for oid in _made_again(text)}
    named = set(HASH.findall(every))
    needed = lists.with_files({oid for text in (latest, *here) for oid in HASH.findall(text)} | set(keep))
    all_named = lists.with_files(named) | needed
    old = lists.with_files(made_again) - needed - lists.with_files(named - made_again)
    present = {oid: cache for cache in _caches(repo) for oid in _all(cache)}

    def part(oids: Iterable[str]) -> Part:
        found = frozenset(oids)
        sizes = (Path(present[oid].oid_to_path(oid)).stat().st_size for oid in found)
        return Part(found, sum(sizes))

    return Spare(part(set(present) - all_named), part(old & set(present)), tuple(sorted(lists.unread)))


class _Lists:
    """The lists of folders' files, each read once."""

    def __init__(self, repo: Repo) -> None:
        self._caches = _caches(repo)
        self._known: dict[str, set[str]] = {}
        self.unread: set[str] = set()

    def with_files(self, oids: Iterable[str]) -> set[str]:
        """These hashes, and those of the files that the folders among them hold."""
        found = set(oids)
        for oid in [oid for oid in found if oid.endswith(".dir")]:
            if oid not in self._known:
                self._known[oid] = self._read(oid)
            found |= self._known[oid]
        return found

    def _read(self, oid: str) -> set[str]:
        for cache in self._caches:
            try:
                tree = Tree.load(cache, HashInfo(cache.hash_name, oid))
            except (FileNotFoundError, ObjectFormatError):
                continue
            return {str(content.value) for _, _, content in tree if content}
        self.unread.add(oid)
        return set()


def _made_again(text: str) -> Iterator[str]:
    """The hashes of outputs that `dvc repro` makes again, in the lock files of `text`."""
    paths = "|".join(map(re.escape, MADE_AGAIN))
    for entry in re.findall(rf"^ *- path: (?:{paths})\n(?: +[^- ].*\n?)*", text, re.MULTILINE):
        yield from HASH.findall(entry)


def _caches(repo: Repo) -> list[HashFileDB]:
    """DVC 3's cache and, where there is one, that of earlier releases."""
    return [cache for _, cache in repo.cache.by_scheme() if cache and Path(cache.path).is_dir()]


def _all(cache: HashFileDB) -> Iterator[str]:
    yield from cache.all()  # type: ignore[no-untyped-call]


def _require_own(repo: Repo) -> None:
    """Raise VersionsError for a cache outside the project: other projects may need its files."""
    place = Path(repo.cache.local_cache_dir)
    if not place.resolve().is_relative_to(Path(repo.root_dir).resolve()):
        raise VersionsError(
            f"DVC's cache is {place}, outside this project, so other projects may use it too. Nothing was deleted. "
            "`dvc gc --workspace --all-commits --all-experiments --projects OTHER …` frees it for all of them."
        )


@dataclass(frozen=True, slots=True)
class _Git:
    """The lock files in git's repository, as texts."""

    folder: Path  # of the DVC repository

    def of_all_commits(self) -> str:
        """Of every commit that git knows, also of stashes and experiments, and of those that were amended."""
        listed = self._said("rev-list", "--all", "--reflog", "--objects").splitlines()
        oids = [line.split(" ", 1)[0] for line in listed if line.endswith((".dvc", "dvc.lock"))]
        return self._said("cat-file", "--batch", given="\n".join(oids)) if oids else ""

    def of_working_folder(self) -> list[str]:
        """As they are here, committed or not."""
        listed = self._said("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *LOCKS).split("\0")
        files = [file for name in listed if name and (file := self.folder / name).is_file()]
        return [file.read_text(encoding="utf-8", errors="replace") for file in files]

    def of_latest(self) -> str:
        """The hashes' lines of the commits that a branch, a tag or an experiment names, and of the one here."""
        commit = "%(if:equals=commit)%(objecttype)%(then)%(objectname)%(else)%(*objectname)%(end)"
        named = self._said("for-each-ref", f"--format={commit}").split()
        return self._said("grep", "-h", "md5: ", "HEAD", *named, "--", *LOCKS, may_find_nothing=True)

    def _said(self, *words: str, given: str = "", may_find_nothing: bool = False) -> str:
        command = ["git", "-C", str(self.folder), *words]
        done = subprocess.run(command, input=given, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode and not (may_find_nothing and done.returncode == 1):
            raise VersionsError(f"`git {words[0]} …` failed, and nothing was deleted: {done.stderr.strip()}")
        return done.stdout
