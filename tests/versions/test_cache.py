"""What of DVC's cache may go: nothing that a version, wherever it is named, still needs."""

import hashlib
import json
from pathlib import Path

import pytest

from pipeline.versions import cache
from pipeline.versions.dvc import VersionsError
from tests.fixtures.project import run

STORE = Path(".dvc/cache/files/md5")


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    git("init", "--quiet")
    git("config", "user.name", "test")
    git("config", "user.email", "test@localhost")
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    analytics = false\n")
    Path(".dvc/.gitignore").write_text("/cache\n/tmp\n")


def git(*words: str) -> str:
    return run("git", *words, cwd=Path.cwd()).stdout


def stored(content: bytes, ending: str = "") -> str:
    """A file of the cache, as DVC keeps it; its hash."""
    oid = hashlib.md5(content, usedforsecurity=False).hexdigest() + ending
    (STORE / oid[:2]).mkdir(parents=True, exist_ok=True)
    (STORE / oid[:2] / oid[2:]).write_bytes(content)
    return oid


def folder(*contents: str) -> str:
    files = [{"md5": stored(content.encode()), "relpath": f"{number}.jpg"} for number, content in enumerate(contents)]
    return stored(json.dumps(files).encode(), ".dir")


def lay_out(images: str) -> None:
    """A version of the images, and of what was made of them."""
    Path("data").mkdir(exist_ok=True)
    Path("data/raw.dvc").write_text(f"outs:\n- md5: {folder(images, 'in all')}\n  hash: md5\n  path: raw\n")
    entry = f"    - path: data/prepared\n      hash: md5\n      md5: {folder(f'pixels of {images}')}\n      size: 1\n"
    Path("dvc.lock").write_text(f"schema: '2.0'\nstages:\n  preprocess:\n    cmd: x\n    outs:\n{entry}")


def commit(images: str) -> None:
    lay_out(images)
    git("add", "--all")
    git("commit", "--quiet", "--message", images)


def left() -> set[str]:
    """The contents in the cache but for the lists."""
    return {file.read_text() for file in STORE.glob("*/*") if file.suffix != ".dir"}


def test_what_any_version_names_stays_wherever_it_is_named() -> None:
    commit("first")
    Path("params.yaml").write_text("a: 1\na: 2\n")  # `dvc gc --all-commits` ends here
    commit("unreadable")
    Path("params.yaml").unlink()
    commit("on a side branch")
    git("branch", "side")
    git("reset", "--quiet", "--hard", "HEAD~1")
    commit("an experiment")
    git("update-ref", "refs/exps/12/34/name", "HEAD")
    git("reset", "--quiet", "--hard", "HEAD~1")
    commit("now")
    git("merge", "--quiet", "--strategy", "ours", "--message", "merged", "side")
    git("branch", "--delete", "--force", "side")
    lay_out("in a stash")
    git("reflog", "expire", "--expire=now", "--all")
    git("stash", "--quiet")
    lay_out("not committed yet")
    stored(b"of no version")
    every = left()
    spare = cache.find_spare()
    assert spare.unread == ()
    cache.free(spare.unused)
    gone = every - left()
    assert gone == {"of no version"}
    assert spare.unused.bytes == len("of no version")


def test_pixels_that_can_be_made_again_stay_where_a_tag_an_experiment_or_a_champion_needs_them() -> None:
    commit("old")
    commit("of the champion")
    champion = folder("pixels of of the champion")
    commit("tagged")
    git("tag", "v1")
    commit("an experiment")
    git("update-ref", "refs/exps/12/34/name", "HEAD")
    git("reset", "--quiet", "--hard", "HEAD~1")
    commit("now")
    every = left()
    spare = cache.find_spare({champion})
    assert spare.unused.oids == frozenset()
    cache.free(spare.made_again)
    assert every - left() == {"pixels of old"}


def test_a_list_that_was_never_fetched_is_named() -> None:
    commit("old")
    gone = folder("old", "in all")
    commit("now")
    (STORE / gone[:2] / gone[2:]).unlink()
    assert cache.find_spare().unread == (gone,)


def test_a_cache_that_other_projects_share_is_left_alone(tmp_path: Path) -> None:
    commit("now")
    Path(".dvc/cache").rename(tmp_path / "shared")
    Path(".dvc/config").write_text(f"[cache]\n    dir = {tmp_path / 'shared'}\n")
    with pytest.raises(VersionsError, match="outside this project"):
        cache.find_spare()
    with pytest.raises(VersionsError, match="outside this project"):
        cache.free(cache.Part(frozenset(), 0))
