"""Judged images come into data/raw as a person has seen it said, once, and none is lost on the way."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pipeline.core.cells import csv_path
from pipeline.data.judgements import Judgement, folder_as_kept, keep
from pipeline.data.side_table import read_metadata
from pipeline.night.rows import Classified, Stamp, to_row, write_rows
from pipeline.registry.learnt import note_learnt
from pipeline.sources.judged import JudgedPlan, carry_out, plan_judged
from pipeline.sources.judged_words import plan_lines
from pipeline.sources.news import count_news
from pipeline.storage.files import sha256_of_file
from pipeline.storage.folders import folder_at
from tests.fixtures.finished import finished
from tests.fixtures.project import REPOSITORY
from tests.fixtures.sources import content, tree, write_files
from tests.fixtures.summaries import summary_of

PHOTOS = ("1.jpg", "deep/2.jpg", "back\\slash \udcff.jpg")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two classes, and a night's photographs."""
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path / "data/raw", "ants/0.jpg", "ants/deep/1.jpg", "K\u00e4fer/0.jpg", "K\u00e4fer/junk.jpg")
    write_files(tmp_path / "photos", *PHOTOS)
    return tmp_path


def judge(file: Path, said: str, reader: str = "ada", folder: Path | None = None) -> None:
    """`-` rejects, `?` cannot tell, an empty text withdraws."""
    folder = folder or (Path("data/raw") if "raw" in file.parts else Path("photos"))
    words = {"-": {"reject": True}, "?": {"cannot_tell": True}, "": {"withdrawn": True}}
    path = csv_path(str(file.relative_to(folder)))
    about = {"sha256": sha256_of_file(file), "path": path, "reader": reader, "source": "night"}
    keep([Judgement.model_validate(about | {"folder": folder_as_kept(folder)} | words.get(said, {"label": said}))])


def import_all() -> JudgedPlan:
    plan = plan_judged()
    carry_out(plan)
    return plan


RAW = Path("data/raw")


def test_new_images_come_changed_ones_move_rejected_ones_are_kept_aside_and_never_twice(project: Path) -> None:
    (RAW / "metadata.csv").write_text("path,site\nants/deep/1.jpg,north\n")
    before = tree(RAW)
    judge(Path("photos/1.jpg"), "ANTS")
    judge(Path("photos/deep/2.jpg"), "wasp")
    judge(Path("photos") / PHOTOS[2], "K\u00e4fer")
    judge(RAW / "ants/deep/1.jpg", "K\u00e4fer")
    judge(RAW / "K\u00e4fer/junk.jpg", "-")
    judge(RAW / "ants/0.jpg", "ants")
    plan = plan_judged()
    assert tree(RAW) == before, "a plan changes nothing"
    assert sorted(item.label for item in plan.new) == ["K\u00e4fer", "ants", "wasp"]
    assert [(one.path, one.label) for one in plan.rejected] == [("K\u00e4fer/junk.jpg", "K\u00e4fer")]
    assert (plan.there, plan.new_labels, len(plan.moved)) == (1, ("wasp",), 1)
    done = carry_out(plan)
    assert (done.new.total(), dict(done.moved), dict(done.rejected)) == (3, {"K\u00e4fer": 1}, {"K\u00e4fer": 1})
    after = tree(RAW)
    assert after.pop("metadata.csv") == "path,site\nK\u00e4fer/deep/1.jpg,north\n".encode()
    assert after == {
        "ants/0.jpg": content("ants/0.jpg"), "ants/1.jpg": content("1.jpg"), "wasp/deep/2.jpg": content("deep/2.jpg"),
        "K\u00e4fer/0.jpg": content("K\u00e4fer/0.jpg"), "K\u00e4fer/deep/1.jpg": content("ants/deep/1.jpg"),
        "K\u00e4fer/back\\slash \\xff.jpg": os.fsencode("image " + PHOTOS[2]),
    }  # fmt: skip
    assert tree(Path("data/rejected")) == {
        "K\u00e4fer/junk.jpg": content("K\u00e4fer/junk.jpg"), ".gitignore": b"*\n",
    }  # fmt: skip
    again = plan_judged()
    assert (again.is_empty, again.there) == (True, 5)


def test_readers_who_differ_are_named_and_their_image_stays(project: Path) -> None:
    judge(Path("photos/1.jpg"), "ants")
    judge(Path("photos/1.jpg"), "K\u00e4fer", "bob")
    judge(RAW / "ants/0.jpg", "-")
    judge(RAW / "ants/0.jpg", "ants", "bob")
    before = tree(RAW)
    plan = import_all()
    assert plan.is_empty
    assert [*map(str, plan.differing)] == ["1.jpg (ada: ants; bob: K\u00e4fer)", "ants/0.jpg (ada: reject; bob: ants)"]
    assert tree(RAW) == before
    judge(Path("photos/1.jpg"), "ants", "bob")
    judge(RAW / "ants/0.jpg", "", "ada")
    assert (len(plan_judged().new), plan_judged().there) == (1, 1)


def test_nothing_follows_from_who_cannot_tell_or_takes_it_back(project: Path) -> None:
    judge(Path("photos/1.jpg"), "?")
    judge(Path("photos/deep/2.jpg"), "ants")
    judge(Path("photos/deep/2.jpg"), "")
    assert plan_judged() == JudgedPlan(Path(), judged=1)


def test_a_judgement_taken_back_after_an_import_is_undone_where_the_label_before_is_known(project: Path) -> None:
    before = tree(RAW)
    judge(RAW / "ants/deep/1.jpg", "K\u00e4fer")
    judge(RAW / "K\u00e4fer/junk.jpg", "-")
    judge(Path("photos/1.jpg"), "ants")
    Path("photos/copy.jpg").write_bytes((RAW / "ants/0.jpg").read_bytes())
    judge(Path("photos/copy.jpg"), "ants")
    import_all()
    for file in ("K\u00e4fer/deep/1.jpg", "ants/1.jpg", "ants/0.jpg"):
        judge(RAW / file, "")
    judge(Path("data/rejected/K\u00e4fer/junk.jpg"), "", folder=Path("data/rejected"))
    plan = plan_judged()
    assert sorted(plan.put_back) == ["K\u00e4fer/deep/1.jpg", "K\u00e4fer/junk.jpg"]
    assert plan.unknown == ("ants/1.jpg",), "ants/0.jpg was there before it was judged"
    assert (
        "1 image in data/raw has a label whose judgement was taken back: ants/1.jpg. Move them by hand or judge them "
        "again." in plan_lines(plan)
    )
    carry_out(plan)
    assert tree(RAW) == before | {"ants/1.jpg": content("1.jpg")}
    assert sorted(tree(Path("data/rejected"))) == [".gitignore"]
    assert (plan_judged().is_empty, plan_judged().unknown) == (True, ("ants/1.jpg",))


def test_what_is_known_of_an_image_goes_with_it_to_the_rejected_ones_and_back(project: Path) -> None:
    side = RAW / "metadata.csv"
    side.write_text("path,group,site\nK\u00e4fer/junk.jpg,g7,=north\nants/0.jpg,g1,south\n")
    judge(RAW / "K\u00e4fer/junk.jpg", "-")
    import_all()
    assert side.read_text() == "path,group,site\nants/0.jpg,g1,south\n"
    judge(Path("data/rejected/K\u00e4fer/junk.jpg"), "ants", folder=Path("data/rejected"))
    import_all()
    rows = read_metadata(side).to_dict("records")
    assert {"path": "ants/K\u00e4fer/junk.jpg", "group": "g7", "site": "=north"} in rows
    assert len(rows) == 2
    assert read_metadata(Path("data/rejected/metadata.csv")).empty


@pytest.mark.parametrize("label", ["\u754c" * 150, "a\0b", "\u200b"])
def test_an_image_whose_label_cannot_name_a_folder_is_left_out_and_named(project: Path, label: str) -> None:
    judge(Path("photos/1.jpg"), label)
    judge(Path("photos/deep/2.jpg"), "ants")
    plan = import_all()
    assert [one.path for one in plan.impossible] == ["1.jpg"]
    assert any(line.startswith("Left out, as their label cannot name a folder: 1 image: 1.jpg: ") for line in
               plan_lines(plan))  # fmt: skip
    assert "ants/deep/2.jpg" in tree(RAW)
    assert count_news(plan_judged()) == 1


def gone(file: Path) -> None:
    file.unlink()


def changed(file: Path) -> None:
    file.write_bytes(b"image of something else")


@pytest.mark.parametrize("why", [gone, changed])
def test_bytes_that_are_not_those_judged_are_left_aside_and_named(project: Path, why: Callable[[Path], None]) -> None:
    judge(Path("photos/1.jpg"), "ants")
    judge(Path("photos/deep/2.jpg"), "ants")
    why(Path("photos/1.jpg"))
    plan = import_all()
    assert [(one.path, one.why) for one in plan.lost] == [("1.jpg", why.__name__)]
    assert "ants/deep/2.jpg" in tree(RAW)
    write_files(Path("photos"), "1.jpg")
    assert [item.file.path for item in import_all().new] == ["1.jpg"]


def test_a_file_that_changes_after_the_plan_is_never_learnt_from(project: Path) -> None:
    judge(Path("photos/1.jpg"), "ants")
    judge(RAW / "K\u00e4fer/junk.jpg", "-")
    plan = plan_judged()
    Path("photos/1.jpg").write_bytes(b"x" * len(content("1.jpg")))
    with pytest.raises(Exception, match=r"photos/1\.jpg has changed since it was judged"):
        carry_out(plan)
    assert "ants/1.jpg" not in tree(RAW)
    (RAW / "K\u00e4fer/junk.jpg").write_bytes(b"another")
    Path("photos/1.jpg").unlink()
    assert [one.why for one in plan_judged().lost] == ["gone"]
    carry_out(JudgedPlan(Path(), rejected=plan.rejected))
    assert tree(RAW)["K\u00e4fer/junk.jpg"] == b"another"


def test_two_images_of_one_name_are_both_kept(project: Path) -> None:
    write_files(Path("monday"), "0.jpg")
    write_files(Path("tuesday"), "0.jpg")
    Path("tuesday/0.jpg").write_bytes(b"another image")
    judge(Path("monday/0.jpg"), "ants", folder=Path("monday"))
    judge(Path("tuesday/0.jpg"), "ants", folder=Path("tuesday"))
    judge(RAW / "K\u00e4fer/0.jpg", "ants")
    import_all()
    ants = tree(RAW / "ants")
    assert {content("0.jpg"), b"another image", content("K\u00e4fer/0.jpg"), content("ants/0.jpg")} < {*ants.values()}
    assert "0 (from K\u00e4fer).jpg" in ants
    assert plan_judged().is_empty


def test_a_rejected_image_comes_back_when_it_gets_a_label(project: Path) -> None:
    judge(RAW / "K\u00e4fer/junk.jpg", "-")
    import_all()
    digest = sha256_of_file(Path("data/rejected/K\u00e4fer/junk.jpg"))
    keep(
        [
            Judgement(
                sha256=digest, path="K\u00e4fer/junk.jpg", folder="data/raw", reader="ada", source="audit", label="ants"
            )
        ]
    )
    import_all()
    assert tree(RAW)["ants/junk.jpg"] == content("K\u00e4fer/junk.jpg")
    judge(RAW / "ants/junk.jpg", "-")
    import_all()
    assert "ants/junk.jpg" not in tree(RAW)
    assert content("K\u00e4fer/junk.jpg") in tree(Path("data/rejected")).values()


def test_an_image_that_moved_is_found_in_the_folder_of_a_later_night(project: Path) -> None:
    judge(Path("photos/1.jpg"), "ants")
    Path("photos").rename("archive")
    digest = sha256_of_file(Path("archive/1.jpg"))
    night = Path("predictions/later")
    night.mkdir(parents=True)
    row = to_row(Classified("1.jpg", digest, 4, 3, (("ants", 0.9),), unsure=False), Stamp("n", "1", "2026-01-01"))
    write_rows(night / "predictions.csv", [row])
    summary_of(input=str(project / "archive")).write(folder_at(night))
    assert import_all().lost == ()
    assert tree(RAW)["ants/1.jpg"] == content("1.jpg")


def test_a_project_that_moved_finds_its_own_folders(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(Path("photos/1.jpg"), "ants")
    project.rename(project.with_name("elsewhere"))
    monkeypatch.chdir(project.with_name("elsewhere"))
    assert import_all().lost == ()
    assert "ants/1.jpg" in tree(RAW)


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.sources import judged
left = int(sys.argv[1])
def audit(event, args):
    global left
    if event in ("os.rename", "os.remove"):  # of what goes into data/raw, and out of it
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(audit)
judged.carry_out(judged.plan_judged())
"""


@pytest.mark.parametrize("steps", [0, 3, 9])
def test_a_killed_import_is_completed_by_the_same_command(project: Path, steps: int) -> None:
    judge(Path("photos/1.jpg"), "ants")
    judge(Path("photos/deep/2.jpg"), "ants")
    judge(RAW / "ants/deep/1.jpg", "K\u00e4fer")
    judge(RAW / "ants/0.jpg", "-")
    judge(RAW / "K\u00e4fer/junk.jpg", "-")
    every = {*tree(RAW).values(), *tree(Path("photos")).values()}
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(steps)], env=env, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert every <= {*tree(RAW).values(), *tree(Path("photos")).values(), *tree(Path("data/rejected")).values()}
    import_all()
    assert sorted(tree(RAW)) == ["K\u00e4fer/0.jpg", "K\u00e4fer/deep/1.jpg", "ants/1.jpg", "ants/deep/2.jpg"]
    assert sorted(tree(Path("data/rejected"))) == [".gitignore", "K\u00e4fer/junk.jpg", "ants/0.jpg"]
    assert plan_judged().is_empty


def test_news_are_what_a_training_would_learn_anew(project: Path) -> None:
    def note(**labels: str) -> None:
        """As of a training with these images of data/raw."""
        files = {RAW / path.replace("__", "/"): label for path, label in labels.items()}
        for name in ("train", "val", "test"):
            file = project / f"data/prepared/{name}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            rows = [(sha256_of_file(of), label) for of, label in files.items()] if name == "train" else []
            pd.DataFrame(rows, columns=["sha256", "label"], dtype="str").to_parquet(file)
        note_learnt(project / "data/prepared")

    def news() -> int:
        return count_news(plan_judged())

    (RAW / "K\u00e4fer").rename(RAW / "bees")
    note(**{"ants__0.jpg": "ants", "ants__deep__1.jpg": "ants", "bees__junk.jpg": "bees"})
    judge(RAW / "ants/0.jpg", "Ants")  # as it is
    judge(Path("photos/1.jpg"), "-")  # was in no training
    judge(Path("photos/deep/2.jpg"), "?")
    assert news() == 0
    judge(RAW / "ants/deep/1.jpg", "bees")
    judge(RAW / "bees/junk.jpg", "-")
    judge(Path("photos/deep/2.jpg"), "bees")
    assert news() == 3
    import_all()
    assert news() == 3, "imported, and in no training yet"
    note(**{"ants__0.jpg": "ants", "bees__deep__1.jpg": "bees", "bees__deep__2.jpg": "bees"})
    assert news() == 0
    judge(Path("photos/1.jpg"), "ants")
    assert news() == 1
    Path("photos/1.jpg").unlink()
    assert news() == 0, "nothing can be learnt from bytes that are gone"


def test_a_scene_that_a_night_cut_is_left_out_with_a_sentence(project: Path) -> None:
    night = finished(project, {name: {"label": "ants"} for name in PHOTOS[:2]})
    (night / "scenes.csv").write_text("path,label\n1.jpg,ants\n1.jpg,wasp\n")
    judge(Path("photos/1.jpg"), "ants")
    judge(Path("photos/deep/2.jpg"), "ants")
    plan = import_all()
    assert ([item.file.path for item in plan.new], plan.scenes) == (["deep/2.jpg"], ("1.jpg",))
    [line] = [line for line in plan_lines(plan) if "scene" in line]
    assert line.startswith("Left out, as a model learns from tiles of a scene: 1 scene: 1.jpg. Cut")
    assert not (RAW / "ants/1.jpg").exists()
