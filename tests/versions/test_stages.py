"""Of `dvc repro` a person sees what the stages say and how long each took; errors are the stage's own words."""

import json
import logging
import os
import re
import sys
from pathlib import Path

import pytest

from pipeline.core.terminal import Said
from pipeline.versions import dvc
from pipeline.versions.dvc import StageError, VersionsError
from tests.fixtures import project as projects
from tests.fixtures.in_process import QUICK

STAGES = """
stages:
  good:
    cmd: python -c 'print("a library"); print("\\x1e[20, \\"60 images\\"]"); print("\\x1e[0, \\"read\\"]")'
    outs: []
  bad:
    cmd: python -c 'print("\\x1e[40, \\"No image can be read.\\"]"); exit(1)'
  killed:
    cmd: kill -9 $$
"""


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    projects.run("git", "init", "--quiet", cwd=tmp_path)
    projects.dvc("init", "--quiet", cwd=tmp_path)
    (tmp_path / "dvc.yaml").write_text(STAGES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", QUICK)
    return tmp_path


def test_a_stage_is_its_own_lines_and_one_with_its_time_and_an_error_is_its_words(stages: Path) -> None:
    told: list[Said] = []
    dvc.reproduce("good", told.append)
    assert told[:2] == [Said(logging.INFO, "60 images"), Said(logging.NOTSET, "read")]
    assert re.fullmatch(r"good        \d+ s", told[2].text)
    assert len(told) == 3
    with pytest.raises(StageError, match=r"^No image can be read\.$"):
        dvc.reproduce("bad", told.append)
    assert re.fullmatch(r"bad         failed after \d+ s", told[-1].text)
    with pytest.raises(StageError, match=r"The stage killed was killed \(SIGKILL\).*memory.*same command again"):
        dvc.reproduce("killed", told.append)


@pytest.mark.parametrize(("text", "words"), [(None, "is missing"), ("stages: [", "is damaged"), ("- a", "is damaged")])
def test_a_project_without_its_stages_says_how_to_get_them_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if text:
        Path("dvc.yaml").write_text(text)
    with pytest.raises(VersionsError, match=f"{words} in .*git checkout dvc.yaml"):
        dvc.stages()


def test_a_disk_that_is_full_while_dvc_copies_is_named_with_what_to_do() -> None:
    words = "failed to transfer 'a7' - [Errno 28] No space left on device: '/p/logo.png' -> '/p/.dvc/cache/a7.tmp'"
    with pytest.raises(VersionsError, match=r"The disk at / is full: /p/\.dvc/cache/a7\.tmp could not.*Free some"):
        dvc.run_python("-c", f"print({words!r}); exit(1)", say=print)


def test_a_lock_with_the_marks_of_a_merge_is_named_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text("stages: {}")
    with pytest.raises(VersionsError, match="has no folder .dvc.*git checkout .dvc"):
        dvc.require_repository()
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\nno_scm = true\n")
    dvc.require_repository()
    Path("dvc.lock").write_text("<<<<<<< HEAD\nstages: {}\n=======\n>>>>>>> other\n")
    for ask in (dvc.require_repository, dvc.locked_hashes):
        with pytest.raises(VersionsError, match=r"dvc\.lock, .*is damaged.*git checkout --ours dvc\.lock"):
            ask()


def test_another_command_of_dvc_at_work_is_named(stages: Path) -> None:
    lock = stages / ".dvc/tmp/rwlock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    other = {"pid": os.getpid(), "cmd": "dvc repro"}
    lock.write_text(json.dumps({"read": {}, "write": {str(stages / name): other for name in ("dvc.yaml", "data")}}))
    (stages / "data").mkdir()
    words = (
        rf"^Another command is at work on .*/data: \(PID {os.getpid()}\): dvc repro\. Run the same command again when"
    )
    with pytest.raises(VersionsError, match=words):
        dvc.run_python("-m", "dvc", "add", "data", say=print)


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "0 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s")])
def test_a_time_as_people_say_it(seconds: float, words: str) -> None:
    assert dvc.duration(seconds) == words
