"""data/labels.jsonl: what people said is kept, the last word of each reader counts, a torn line costs nothing else."""

import threading
from pathlib import Path

import pytest

from pipeline.core.disk_errors import DiskError
from pipeline.data.judgements import (
    Judgement,
    JudgementsError,
    every_judgement,
    folder_as_kept,
    keep,
    place_of,
    read_judgements,
)
from tests.fixtures.disk import disk

RUST, LEAF = "a" * 64, "b" * 64


def judged(sha256: str = RUST, reader: str = "ada", **said: object) -> Judgement:
    return Judgement.model_validate(
        {"sha256": sha256, "path": "blätter/1.jpg", "reader": reader, "source": "night"} | (said or {"label": "rust"})
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "labels.jsonl"


def test_what_is_kept_is_read_back_and_the_last_of_a_reader_counts(file: Path) -> None:
    first = judged(label="röst \u4e2d", proposed="scab", model_version="3", seconds=0.6, chosen="random")
    keep([first, judged(LEAF, reject=True)], file)
    keep([judged(label="scab")], file)
    found = read_judgements(file)
    assert next(every_judgement(file)).model_copy(update={"at": first.at}) == first
    assert (found.label_of(RUST), found.label_of(LEAF), len([*every_judgement(file)])) == ("scab", "", 3)
    keep([judged(withdrawn=True)], file)
    assert read_judgements(file).of(RUST) == []


def test_the_latest_of_a_reader_counts_in_whichever_order_git_has_merged_the_lines(file: Path) -> None:
    first, second, third = (
        judged(label=label, at=f"2026-01-0{day}T00:00:00Z") for day, label in enumerate(("rust", "scab", "leaf"), 1)
    )
    keep([third, first, second], file)
    assert read_judgements(file).label_of(RUST) == "leaf"


@pytest.mark.parametrize(
    ("folder", "kept"),
    [("photos", "photos"), ("{here}/photos", "photos"), ("{here}", "."), ("../else", "{up}/else"),
     ("/mnt/p\udcff", "/mnt/p\\xff"), ("s3://b/x", "s3://b/x"), ("=x", "./=x")],
)  # fmt: skip
def test_a_folder_is_named_so_that_a_project_may_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, kept: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = folder_as_kept(folder.format(here=tmp_path))
    assert said == kept.format(up=tmp_path.parent)
    place = place_of(judged(label="rust", folder=said, path="a\\\\b/\\xff.jpg"))
    root = folder if "://" in folder else str((tmp_path / folder.format(here=tmp_path)).resolve())
    assert place.startswith("s3://") or Path(place).resolve() == Path(root, "a\\b/\udcff.jpg")
    assert place.endswith("a\\b/\udcff.jpg")


def test_readers_who_differ_leave_an_image_without_an_answer_until_they_agree(file: Path) -> None:
    keep([judged(), judged(reader="bob", label="scab"), judged(reader="cy", cannot_tell=True)], file)
    found = read_judgements(file)
    assert (found.label_of(RUST), [*found.differing()]) == ("", [RUST])
    assert [one.reader for one in found.of(RUST)] == ["ada", "bob", "cy"]
    keep([judged(reader="bob")], file)
    assert read_judgements(file).label_of(RUST) == "rust"


@pytest.mark.parametrize("torn", [b'{"sha256":"aa', b"\xff\x00", judged().line.encode()[:-1]])
def test_a_line_that_a_power_cut_left_unfinished_is_not_read_and_the_next_one_is_whole(file: Path, torn: bytes) -> None:
    keep([judged()], file)
    file.write_bytes(file.read_bytes() + torn)
    keep([judged(LEAF)], file)
    found = [one.sha256 for one in every_judgement(file)]
    assert (found[0], found[-1], file.read_bytes()[-1:]) == (RUST, LEAF, b"\n")
    assert len(found) == (3 if torn.endswith(b"}") else 2)


def test_a_line_that_somebody_broke_is_named(file: Path) -> None:
    keep([judged()], file)
    file.write_text(file.read_text() + "HEAD\n" + file.read_text())
    with pytest.raises(JudgementsError, match=r"Line 2 of .*labels.jsonl is not a judgement"):
        read_judgements(file)


@pytest.mark.parametrize("said", [{"label": "rust", "reject": True}, {"label": ""}])
def test_a_judgement_says_one_thing(said: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must say one of"):
        judged(**said)


def test_many_at_once_lose_none(file: Path) -> None:
    threads = [
        threading.Thread(target=lambda name=f"r{number}": [keep([judged(reader=name)], file) for _ in range(25)])
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([*every_judgement(file)]) == 100


def test_a_full_disk_is_said_and_what_was_there_stays(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 1 << 20) as small:
        file = small.seen / "data" / "labels.jsonl"
        keep([judged()], file)
        small.fill(leave=1)
        with pytest.raises(DiskError):
            keep([judged(LEAF)] * 100, file)
        assert [one.sha256 for one in every_judgement(file)] == [RUST]
        keep([judged(LEAF)], file)
        assert file.read_text().count("\n") == 2


@pytest.mark.parametrize("mark", ["<<<<<<< HEAD", "=======", ">>>>>>> theirs"])
def test_a_mark_of_a_merge_conflict_says_what_to_do(file: Path, mark: str) -> None:
    keep([judged()], file)
    file.write_text(f"{mark}\n{file.read_text()}")
    with pytest.raises(JudgementsError, match=r"Line 1 of .* git merge conflict .* Keep the lines of both sides"):
        read_judgements(file)
