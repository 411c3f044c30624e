"""Of `dvc repro` a person sees what the stages say and how long each took; errors are the stage's own words."""

import logging
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


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "0 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s")])
def test_a_time_as_people_say_it(seconds: float, words: str) -> None:
    assert dvc.duration(seconds) == words
