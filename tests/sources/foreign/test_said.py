"""What people have said in another tool is kept as judgements: who said it when, once, the newer over the older."""

from pathlib import Path

from pipeline.data.judgements import Judgement, every_judgement, keep, place_of, read_judgements
from pipeline.sources.foreign.export import export
from pipeline.storage.files import sha256
from tests.fixtures.foreign import annotation, ground_truth, json_file, lines_file, task
from tests.fixtures.sources import content, take, write_files


def said(project: Path) -> list[tuple[str, str, str, str, str]]:
    return [(one.path, one.reader, one.label, one.at.isoformat(timespec="seconds"), one.source)
            for one in every_judgement(project / "data/labels.jsonl")]  # fmt: skip


def test_annotators_are_readers_and_those_who_differ_are_kept_too(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "there", "a.jpg", "b.jpg")
    file = json_file(
        folder / "x.json",
        [
            task(1, "a.jpg", annotation({"id": 5, "email": "ann@example.org"}, "cat"), annotation(None, "cat")),
            task(2, "b.jpg", annotation(3, "cat"), annotation(4, "dog", updated_at="2026-04-01T00:00:00+02:00")),
            task(3, "gone.jpg", annotation(3, "cat")),
        ],
    )
    done = take(file, tmp_path)
    assert sorted(said(tmp_path)) == [
        ("a.jpg", "label-studio:ann@example.org", "cat", "2026-03-09T22:16:08+00:00", "import"),
        ("b.jpg", "label-studio:3", "cat", "2026-03-09T22:16:08+00:00", "import"),
        ("b.jpg", "label-studio:4", "dog", "2026-03-31T22:00:00+00:00", "import"),
    ]
    assert done.notes[-1] == "Kept 3 judgements of 3 readers in data/labels.jsonl."
    found = read_judgements(tmp_path / "data/labels.jsonl")
    assert [*found.differing()] == [sha256(content("b.jpg"))]
    assert found.of(sha256(content("a.jpg")))[0].seconds == 4.288
    (first, _) = found.of(sha256(content("b.jpg")))
    assert Path(place_of(first)).read_bytes() == content("b.jpg"), "so that a third reader's word can bring it in"


def test_the_same_file_again_adds_nothing_and_a_newer_one_only_what_is_new(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "there", "a.jpg", "b.jpg")
    old = [task(1, "a.jpg", annotation(3, "cat")), task(2, "b.jpg", annotation(3, "cat"))]
    take(json_file(folder / "x.json", old), tmp_path)
    before = said(tmp_path)
    take(folder / "x.json", tmp_path)
    assert said(tmp_path) == before
    newer = [task(1, "a.jpg", annotation(3, "dog", updated_at="2026-05-01T00:00:00Z")), old[1]]
    done = take(json_file(folder / "y.json", newer), tmp_path)
    assert [(one.before, one.now) for one in done.moved] == [("cat/a.jpg", "dog/a.jpg")]
    assert said(tmp_path)[2:] == [("a.jpg", "label-studio:3", "dog", "2026-05-01T00:00:00+00:00", "import")]
    take(folder / "x.json", tmp_path, replace=True)
    assert len(said(tmp_path)) == 3, "an older answer of the same reader says nothing new"


def test_an_answer_that_went_out_and_comes_back_is_not_kept_a_second_time(tmp_path: Path) -> None:
    write_files(tmp_path / "data/raw", "cat/1.jpg")
    one = Judgement(sha256=sha256(content("cat/1.jpg")), path="1.jpg", label="cat", reader="ada", source="night")
    keep([one], tmp_path / "data/labels.jsonl")
    for name, prefix in (("ground-truth", "s3://bucket"), ("label-studio", "")):
        take(export(name, prefix=prefix, project=tmp_path).out, tmp_path)
    assert [(reader, label) for _, reader, label, _, _ in said(tmp_path)] == [("ada", "cat")]


def test_of_ground_truth_only_people_count(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "there", "a.jpg", "b.jpg")
    machine = ground_truth("b.jpg", "golf", **{"human-annotated": "no"})
    take(lines_file(folder / "output.manifest", ground_truth("a.jpg", "golf"), machine), tmp_path)
    assert said(tmp_path) == [
        ("a.jpg", "ground-truth:labeling-job/sport", "golf", "2026-10-18T22:18:13+00:00", "import")
    ]
