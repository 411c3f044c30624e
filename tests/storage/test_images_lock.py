"""An import never changes the images under a training or a check, and the other way round."""

import os
from pathlib import Path

import pytest

from pipeline.core.paths import RAW
from pipeline.storage.images_lock import HOLDER, LOCK, at_work, working_on_images
from pipeline.storage.output_lock import InUse
from tests.fixtures.project import draw_shape, nightshift


@pytest.mark.parametrize(
    "words",
    [("data", "import", "new"), ("data", "check"), ("train", "--no-prefect"), ("tune",)],
    ids=" ".join,
)  # fmt: skip
def test_while_one_command_works_on_the_images_others_say_who_and_change_nothing(
    data_project: Path, words: tuple[str, ...]
) -> None:
    draw_shape(data_project / "new/circle/other.png", "circle", seed=77)
    before = {path: path.stat().st_mtime_ns for path in data_project.rglob("*") if path.is_file()}
    with working_on_images("nightshift data check"):
        done = nightshift(*words, cwd=data_project, check=False)
        assert done.returncode == 1
        assert f"`nightshift data check` (process {os.getpid()}, since " in done.stderr
        assert f"is at work on the images in {RAW}. Nothing was changed." in done.stderr
        assert "Traceback" not in done.stderr
    after = {path: path.stat().st_mtime_ns for path in data_project.rglob("*") if path.is_file()}
    assert {path for path in after if path.parent.name != ".nightshift"} == set(before)
    assert {path: after[path] for path in before} == before


def test_who_ends_lets_the_next_one_work(data_project: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), working_on_images("nightshift train"):
            raise ZeroDivisionError
    assert not HOLDER.exists()
    with working_on_images("one") as doing, pytest.raises(InUse), working_on_images("another"):
        pass
    assert at_work() is None
    with working_on_images("one") as doing:
        doing("reading")
        found = at_work()
        assert found
        assert (found.command, found.doing, found.process.number) == ("one", "reading", os.getpid())
        HOLDER.unlink()
        HOLDER.mkdir()  # what cannot be removed
    assert at_work() is None
    with working_on_images("the next one"):
        assert str(at_work()).startswith("`the next one`")
    LOCK.unlink()
