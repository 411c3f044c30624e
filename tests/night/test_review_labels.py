"""review.csv shows what people have judged, of any night, and touches nothing that a person typed."""

import csv
import io
from pathlib import Path

import pytest

from pipeline.data.judgements import Judgement, Judgements, counting, keep
from pipeline.night.counts import feed
from pipeline.night.kept_labels import read_kept
from pipeline.night.review import Candidates, write_review
from pipeline.night.review_labels import show_known, show_known_in_all, typed_in
from pipeline.night.rows import Row, read_rows
from pipeline.storage.folders import folder_at
from tests.fixtures.reviews import CONTRACT, image, row

A, B, C = "a" * 64, "b" * 64, "c" * 64


def unsure(path: str, sha256: str) -> Row:
    return {**row(image(path, 0.6, flags="low_confidence")), "sha256": sha256}


NIGHT = (unsure("1.png", A), unsure("=2.png", B), unsure("3.png", C))


def judged(*said: tuple[str, str, str]) -> Judgements:
    words = {"-": {"reject": True}, "?": {"cannot_tell": True}, "": {"withdrawn": True}}
    return counting(
        Judgement.model_validate(
            {"sha256": sha256, "path": "1.png", "reader": reader, "source": "night", "at": f"2026-01-01T00:00:{at:02}Z"}
            | words.get(label, {"label": label})
        )
        for at, (sha256, reader, label) in enumerate(said)
    )


def run_night(output: Path, rows: tuple[Row, ...] = NIGHT, judgements: Judgements | None = None) -> None:
    candidates = Candidates(500, read_kept(folder_at(output)))
    feed(rows, [candidates])
    write_review(folder_at(output), candidates.found(), {}, CONTRACT, None, judgements=judgements or Judgements())


def labels(output: Path) -> list[str]:
    return [row["correct_label"] for row in read_rows(output / "review.csv")]


def type_in(output: Path, path: str, label: str) -> None:
    rows = [*read_rows(output / "review.csv")]
    with (output / "review.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows({**row, "correct_label": label} if row["path"] == path else row for row in rows)


SAID = judged((A, "ada", "dog"), (A, "bob", "DOG"), (B, "ada", "cat"), (B, "bob", "dog"), (C, "ada", "-"))


def test_a_night_that_runs_shows_what_is_known_and_who_differs(tmp_path: Path) -> None:
    run_night(tmp_path, judgements=SAID)
    assert labels(tmp_path) == ["DOG", "", "reject"]
    assert [row["judged"] for row in read_rows(tmp_path / "review.csv")] == [
        '{"ada": "dog", "bob": "DOG"}', '{"ada": "cat", "bob": "dog"}', '{"ada": "reject"}',
    ]  # fmt: skip


def test_a_review_of_an_old_night_follows_what_is_judged_and_taken_back(tmp_path: Path) -> None:
    run_night(tmp_path)
    before = (tmp_path / "review.csv").read_bytes()
    assert show_known(folder_at(tmp_path), SAID)
    assert labels(tmp_path) == ["DOG", "", "reject"]
    assert not show_known(folder_at(tmp_path), SAID)
    assert show_known(folder_at(tmp_path), judged((B, "ada", "?"), (A, "ada", "cat"), (A, "ada", "")))
    assert labels(tmp_path) == ["", "cannot tell", ""]
    show_known(folder_at(tmp_path), Judgements())
    assert (tmp_path / "review.csv").read_bytes() == before
    assert not show_known(folder_at(tmp_path / "no night"), SAID)


def test_what_a_person_typed_stays_until_it_is_imported_and_what_is_shown_is_not_typed(tmp_path: Path) -> None:
    run_night(tmp_path, judgements=SAID)
    type_in(tmp_path, "1.png", "wolf")
    for _ in range(2):
        show_known(folder_at(tmp_path), judged((A, "ada", "cat"), (C, "bob", "cat")))
        assert labels(tmp_path) == ["wolf", "", "cat"]
        assert [typed_in(row) for row in read_rows(tmp_path / "review.csv")] == ["wolf", "", ""]
        run_night(tmp_path, judgements=judged((A, "ada", "cat"), (C, "bob", "cat")))
    show_known(folder_at(tmp_path), judged((A, "ada", "wolf")))
    assert not any(map(typed_in, read_rows(tmp_path / "review.csv"))), "it is in the ledger now"


def test_a_judged_image_stays_in_the_review_that_showed_it(tmp_path: Path) -> None:
    run_night(tmp_path, judgements=SAID)
    run_night(tmp_path, ({**row(image("1.png")), "sha256": A}, *NIGHT[1:]), judgements=SAID)
    assert {row["path"]: row["correct_label"] for row in read_rows(tmp_path / "review.csv")}["1.png"] == "DOG"
    assert not [*tmp_path.glob("review-*")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252", "utf-16-le"])
@pytest.mark.parametrize(("separator", "first"), [(";", "sep=;\r\n"), ("\t", ""), (",", "\r\n")])
def test_the_file_stays_in_the_form_in_which_a_spreadsheet_saved_it(
    tmp_path: Path, encoding: str, separator: str, first: str
) -> None:
    run_night(tmp_path)
    lines = [*csv.reader(io.StringIO((tmp_path / "review.csv").read_text(), newline=""))]
    table = [[" Path", *lines[0][1:-1], "note"], *([*line[:-1], 'für; Anna, "A"'] for line in lines[1:])]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator).writerows(table)
    (tmp_path / "review.csv").write_bytes((first + out.getvalue()).encode(encoding))
    assert show_known(folder_at(tmp_path), SAID)
    text = (tmp_path / "review.csv").read_bytes().decode(encoding)
    assert text.startswith(first)
    after = [*csv.reader(io.StringIO(text.removeprefix(first), newline=""), delimiter=separator)]
    place = table[0].index("correct_label")
    assert [line[place] for line in after] == ["correct_label", "DOG", "", "reject"]
    assert [[*line[:place], *line[place + 1 : -1]] for line in after] == [
        [*line[:place], *line[place + 1 :]] for line in table
    ]
    assert after[0][-1] == "judged"


def test_a_letter_that_the_files_encoding_lacks_leaves_it_alone(tmp_path: Path) -> None:
    run_night(tmp_path)
    before = (tmp_path / "review.csv").read_text().replace("3.png", "K\u00e4fer.png").encode("cp1252")
    (tmp_path / "review.csv").write_bytes(before)
    assert not show_known(folder_at(tmp_path), judged((A, "ada", "\u4e2d")))
    assert (tmp_path / "review.csv").read_bytes() == before


def test_all_nights_of_a_project_show_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("monday", "tuesday"):
        night = tmp_path / "predictions" / name
        night.mkdir(parents=True)
        run_night(night)
    (tmp_path / "predictions/empty").mkdir()
    keep([one for of in SAID.by_image.values() for one in of.values()])
    show_known_in_all()
    assert labels(tmp_path / "predictions/monday") == labels(tmp_path / "predictions/tuesday") == ["DOG", "", "reject"]
