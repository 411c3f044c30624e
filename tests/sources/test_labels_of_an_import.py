"""A label is one class, however people and systems spell it; an image has one label, the last that it was given."""

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from flows.show_import import print_imported
from pipeline.core.errors import NightshiftError
from pipeline.data.label_folders import LabelError
from pipeline.data.manifest import build_manifest
from pipeline.params.data import Images
from tests.fixtures.images import save_image
from tests.fixtures.sources import take, tree, write_files, zip_of

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"
RULES = Images(width=32, height=24, fit="stretch", max_megapixels=1)


def raw_of(project: Path) -> Path:
    return project / "data/raw"


def table_of(folder: Path, labels: list[str]) -> Path:
    write_files(folder, *(f"{number}.jpg" for number in range(len(labels))))
    rows = [f'{number}.jpg,"{label}"' for number, label in enumerate(labels)]
    (folder / "t.csv").write_text("\n".join(["path,label", *rows]) + "\n", encoding="utf-8")
    return folder / "t.csv"


def test_blanks_around_the_labels_of_a_table_are_cut(tmp_path: Path) -> None:
    table = table_of(tmp_path / "new", ["cat", " cat", "cat ", "\u00a0cat\u200b", "dog"])
    assert take(table, tmp_path).new == Counter(cat=4, dog=1)
    assert sorted(file.name for file in raw_of(tmp_path).iterdir()) == ["cat", "dog"]


@pytest.mark.parametrize("labels", [["Cat", "cat"], [COMPOSED, DECOMPOSED], ["Straße", "STRASSE"], ["a  b", "a b"]])
@pytest.mark.parametrize("kind", ["table", "folders", "split folders", "zip"])
def test_one_label_in_two_spellings_is_refused_with_code_points(tmp_path: Path, labels: list[str], kind: str) -> None:
    first, second = labels
    if kind == "table":
        source = table_of(tmp_path / "new", [*labels, "dog"])
    elif kind == "zip":
        source = zip_of(tmp_path / "new.zip", f"{first}/1.jpg", f"{second}/2.jpg", "dog/3.jpg")
    else:
        top = "train/" if kind == "split folders" else ""
        source = write_files(tmp_path / "new", f"{top}{first}/1.jpg", f"{top}{second}/2.jpg", f"{top}dog/3.jpg")
    if kind == "zip" and first == COMPOSED:
        assert take(source, tmp_path).new == Counter({COMPOSED: 2, "dog": 1}), "a zip's names are composed first"
        return
    with pytest.raises(LabelError, match=r"spells the same label differently: .*U\+.* and .*U\+.*nothing was copied"):
        take(source, tmp_path)
    assert not raw_of(tmp_path).exists()


def test_a_label_goes_to_the_folder_that_the_project_has_for_it(tmp_path: Path) -> None:
    write_files(raw_of(tmp_path), f"{DECOMPOSED}/1.jpg", "fire ant%20/1.jpg")
    take(write_files(tmp_path / "new", f"{COMPOSED}/2.jpg", "fire ant/2.jpg"), tmp_path)
    assert set(tree(raw_of(tmp_path))) == {
        f"{DECOMPOSED}/1.jpg", f"{DECOMPOSED}/2.jpg", "fire ant%20/1.jpg", "fire ant%20/2.jpg",
    }  # fmt: skip


def test_the_projects_spelling_counts(tmp_path: Path) -> None:
    write_files(raw_of(tmp_path), "ants/1.jpg", "bees/1.jpg")
    with pytest.raises(LabelError, match=r"differently: 'Ants' of 2\.jpg; did you mean 'ants'\? Write"):
        take(write_files(tmp_path / "new", "Ants/2.jpg"), tmp_path)
    assert set(tree(raw_of(tmp_path))) == {"ants/1.jpg", "bees/1.jpg"}


def test_a_label_that_is_new_to_the_project_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_files(raw_of(tmp_path), "ants/1.jpg", "bees/1.jpg")
    print_imported(take(write_files(tmp_path / "new", "bee/2.jpg", "ants/2.jpg"), tmp_path))
    assert "New to this project: bee (1 image, did you mean bees?)" in capsys.readouterr().out
    print_imported(take(tmp_path / "new", tmp_path))
    assert "New to this project" not in capsys.readouterr().out


@pytest.mark.parametrize("folders", [("Cat", "cat"), (COMPOSED, DECOMPOSED), ("cat", "cat "), ("cat", "cat%20")])
def test_folders_of_the_project_that_are_one_class_stop_a_check(tmp_path: Path, folders: tuple[str, str]) -> None:
    for number, folder in enumerate((*folders, "dog")):
        save_image(raw_of(tmp_path) / folder / "1.png", seed=number)
    for act in (
        lambda: build_manifest(raw_of(tmp_path), RULES, 1, tmp_path / "memory"),
        lambda: take(write_files(tmp_path / "new", "bird/1.jpg", "dog/1.jpg"), tmp_path),
    ):
        with pytest.raises(LabelError, match=r"are the same class in different spellings: .*U\+.*Move the images"):
            act()


def test_the_same_image_under_another_label_moves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_files(tmp_path / "first", "bees/a.jpg", "bees/b.jpg", "ants/a.jpg")
    take(tmp_path / "first", tmp_path)
    pd.DataFrame({"path": ["bees/a.jpg"], "group": ["hive 1"]}).to_csv(raw_of(tmp_path) / "metadata.csv", index=False)
    (tmp_path / "new/ants").mkdir(parents=True)
    (tmp_path / "new/ants/c.jpg").write_bytes((tmp_path / "first/bees/a.jpg").read_bytes())
    done = take(tmp_path / "new", tmp_path)
    print_imported(done)
    assert "Moved 1 image that has another label now: bees/a.jpg -> ants/c.jpg" in capsys.readouterr().out
    assert set(tree(raw_of(tmp_path))) == {"ants/a.jpg", "ants/c.jpg", "bees/b.jpg", "metadata.csv"}
    assert (raw_of(tmp_path) / "metadata.csv").read_text() == "path,group\nants/c.jpg,hive 1\n"
    assert done.total == Counter(ants=2, bees=1)
    again = take(tmp_path / "new", tmp_path)
    assert (again.moved, again.there) == ((), Counter(ants=1))


def test_a_killed_move_is_completed_by_the_same_command(tmp_path: Path) -> None:
    write_files(raw_of(tmp_path), "bees/a.jpg", "bees/b.jpg")
    (tmp_path / "new/ants").mkdir(parents=True)
    for folder in (tmp_path / "new/ants", raw_of(tmp_path) / "ants"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "a.jpg").write_bytes((raw_of(tmp_path) / "bees/a.jpg").read_bytes())
    take(tmp_path / "new", tmp_path)
    assert set(tree(raw_of(tmp_path))) == {"ants/a.jpg", "bees/b.jpg"}


def test_copies_of_one_image_leave_its_old_label_once(tmp_path: Path) -> None:
    write_files(raw_of(tmp_path), "bees/a.jpg", "wasps/z.jpg")
    same = (raw_of(tmp_path) / "bees/a.jpg").read_bytes()
    (raw_of(tmp_path) / "wasps/a.jpg").write_bytes(same)
    (tmp_path / "new/ants").mkdir(parents=True)
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / "new/ants" / name).write_bytes(same)
    take(tmp_path / "new", tmp_path)
    assert set(tree(raw_of(tmp_path))) == {"ants/1.jpg", "ants/2.jpg", "wasps/z.jpg"}


def test_a_source_with_one_image_under_two_labels_moves_nothing(tmp_path: Path) -> None:
    write_files(tmp_path / "new", "bees/a.jpg", "ants/b.jpg")
    (tmp_path / "new/ants/a.jpg").write_bytes((tmp_path / "new/bees/a.jpg").read_bytes())
    take(tmp_path / "new", tmp_path)
    with pytest.raises(NightshiftError, match=r"same image under two labels: .*a\.jpg \((ants|bees)\) and .*a\.jpg"):
        take(tmp_path / "new", tmp_path)
    assert set(tree(raw_of(tmp_path))) == {"ants/a.jpg", "ants/b.jpg", "bees/a.jpg"}
