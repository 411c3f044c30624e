"""Which folder a night goes into, and what stands there already: its own run, another's night, a foreign file."""

import datetime
import json
import logging
import re
import shutil
from pathlib import Path

import pytest

from flows.status import status_lines
from pipeline import tidy
from pipeline.core.cells import csv_path
from pipeline.night.input_place import from_output
from pipeline.night.ledger import Run
from pipeline.night.morning import draw_again
from pipeline.night.options import NightOptions
from pipeline.night.outputs import folder_for, latest_night
from pipeline.night.planning import ClassifyError, begin
from pipeline.night.repeats import last_finished
from pipeline.night.summary import SummaryError, read_summary
from pipeline.params.file import Params
from pipeline.storage.folders import folder_at
from pipeline.storage.listing import Listed, ListingError
from pipeline.storage.output_lock import InUse
from tests.fixtures.images import save_image
from tests.fixtures.ledgers import plan_of
from tests.fixtures.summaries import SUMMARY, summary_of

TODAY = datetime.datetime.now().astimezone().date().isoformat()
FOREIGN = {
    "empty": b"",
    "cut off": json.dumps(SUMMARY).encode()[:-20],
    "a list": b"[1, 2]",
    "another program's": b'{"totals": {"lines": 5}}',
    "no text": b"\xff\xfe\x00\xd8",
    "null": b"null",
    "no moment": json.dumps(SUMMARY | {"finished_at": "yesterday"}).encode(),
    "no zone": json.dumps(SUMMARY | {"finished_at": "2026-01-02T02:00:05"}).encode(),
    "counts in words": json.dumps(SUMMARY | {"listed": "many"}).encode(),
    "no model": json.dumps({key: value for key, value in SUMMARY.items() if key != "model_name"}).encode(),
    "an empty object": b"{}",
}
FAULTS = {
    "empty": "it is empty",
    "cut off": "the text in it is not whole JSON",
    "a list": "another program has written it: it is not a JSON object",
    "another program's": "another program has written it: it has none of the keys",
    "no text": "the text in it is not whole JSON",
    "null": "another program has written it: it is not a JSON object",
    "no moment": "finished_at: Invalid isoformat string: 'yesterday'",
    "no zone": "finished_at: 2026-01-02T02:00:05 has no time zone",
    "counts in words": "listed cannot be \u201cmany\u201d",
    "no model": "model_name is missing",
    "an empty object": "another program has written it: it has none of the keys",
}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of images, in a project's folder that holds nothing else."""
    monkeypatch.chdir(tmp_path)
    save_image(tmp_path / "photos/a.png")
    save_image(tmp_path / "other/b.png")
    return tmp_path / "photos"


def finished(folder: Path, source: Path, when: str = "2026-01-02T02:00:05+00:00") -> Path:
    folder.mkdir(parents=True)
    summary_of(input=str(source), finished_at=when).write(folder_at(folder))
    return folder


def unfinished(folder: Path, source: Path) -> Path:
    plan = plan_of(1, 1).model_copy(update={"input": str(source)})
    Run.begin(folder_at(folder), [Listed("a.png", 1, 1, 1)], 1, lambda files, shards: plan)
    return folder


def spellings(photos: Path) -> list[str]:
    (photos.parent / "link").symlink_to(photos)
    return [
        str(photos), "photos", "./photos/", "other/../photos", "link", f"{photos}/.", f"file://{photos}",
    ]  # fmt: skip


def test_without_output_a_night_goes_on_in_the_folder_of_the_unfinished_one(photos: Path) -> None:
    assert folder_for(folder_at(photos)) == Path("predictions") / TODAY
    unfinished(Path("predictions/2020-01-01"), photos)
    assert [folder_for(folder_at(text)) for text in spellings(photos)] == 7 * [Path("predictions/2020-01-01")]
    assert folder_for(folder_at("other")) == Path("predictions") / TODAY


def test_without_output_a_night_never_takes_the_folder_of_another_unfinished_one(photos: Path) -> None:
    unfinished(Path("predictions") / TODAY, photos.parent / "other")
    assert folder_for(folder_at(photos)) == Path("predictions") / f"{TODAY}-2"
    assert folder_for(folder_at("other")) == Path("predictions") / TODAY


@pytest.mark.parametrize("source", ["photos", "other"])
def test_a_finished_night_keeps_its_folder_and_the_names_do_not_end(photos: Path, source: str) -> None:
    for number in range(1, 101):
        finished(Path("predictions") / (TODAY if number == 1 else f"{TODAY}-{number}"), photos.parent / source)
        assert folder_for(folder_at(photos)) == Path("predictions") / f"{TODAY}-{number + 1}"
    assert folder_for(folder_at(photos), "-photos") == Path("predictions") / f"{TODAY}-photos"
    unfinished(Path("predictions") / f"{TODAY}-7", photos)
    assert folder_for(folder_at(photos)) == Path("predictions") / f"{TODAY}-7", "that one is gone on with"


@pytest.mark.parametrize(
    "name", ["predictions.csv", "summary.json", "review.csv", "notes.txt", ".nightshift/plan.json"]
)
def test_a_folder_with_anything_of_a_person_or_a_night_is_not_free(photos: Path, name: str) -> None:
    file = Path("predictions") / TODAY / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    assert folder_for(folder_at(photos)) == Path("predictions") / f"{TODAY}-2"
    file.unlink()
    (Path("predictions") / TODAY / ".nightshift.lock").touch()
    assert folder_for(folder_at(photos)) == Path("predictions") / TODAY, "a run that planned nothing left this"


def test_a_file_and_a_link_to_nowhere_are_not_free_and_what_cannot_be_reached_ends(photos: Path) -> None:
    Path("predictions").mkdir()
    (Path("predictions") / TODAY).touch()
    (Path("predictions") / f"{TODAY}-2").symlink_to("nowhere")
    assert folder_for(folder_at(photos)) == Path("predictions") / f"{TODAY}-3"
    shutil.rmtree("predictions")
    Path("predictions").touch()
    assert folder_for(folder_at(photos)) == Path("predictions") / TODAY


def test_a_night_that_another_command_finishes_meanwhile_stays_as_it_is(photos: Path, defaults: Params) -> None:
    output = folder_for(folder_at(photos))
    finished(output, photos)
    before = (output / "summary.json").read_bytes()
    with pytest.raises(InUse, match=rf"finished a night over .*photos in .*{TODAY}, and it stays as it is"):
        begin(NightOptions(folder_at(photos), folder_at(output), keep_finished=True), defaults)
    assert [*output.iterdir()] == [output / "summary.json"]
    assert (output / "summary.json").read_bytes() == before


def test_since_last_finds_the_newest_night_whatever_its_number(photos: Path) -> None:
    for number, hour in ((2, 3), (9, 12), (10, 15)):
        finished(Path("predictions") / f"{TODAY}-{number}", photos, f"2026-01-02T{hour:02}:00:00+00:00")
    assert last_finished(folder_at(photos), Path("predictions").glob("*")) == Path("predictions") / f"{TODAY}-10"


def test_a_finished_output_takes_no_other_input_and_its_own_however_it_is_spelled(
    photos: Path, defaults: Params
) -> None:
    out = finished(Path("out"), photos.parent / "other")
    before = (out / "summary.json").read_bytes()
    with pytest.raises(ClassifyError, match=r"out holds the finished night over .*/other, and this one is over "):
        begin(NightOptions(folder_at(photos), folder_at(out)), defaults)
    assert [*out.iterdir()] == [out / "summary.json"]
    assert (out / "summary.json").read_bytes() == before
    again = finished(Path("again"), photos)
    names = spellings(photos)
    shutil.rmtree(photos)  # so that it ends when it lists the files
    for text in names:
        with pytest.raises(ListingError):
            begin(NightOptions(folder_at(text), folder_at(again)), defaults)


def test_an_input_in_the_project_is_found_where_the_project_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = "photos \udcff"
    project, night = tmp_path / "project", folder_at("predictions/monday")
    (project / odd).mkdir(parents=True)
    monkeypatch.chdir(project)
    there = csv_path(str(project / odd))
    relative = from_output(str(project / odd), night)
    assert relative == "../../photos \\xff"
    assert from_output(str(tmp_path), night) is None
    assert from_output(str(project / odd), folder_at(tmp_path)) is None
    assert from_output("s3://bucket/photos", night) is None
    Path("predictions/monday").mkdir(parents=True)
    summary_of(input=there, input_from_here=relative).write(night)
    project.rename(tmp_path / "moved")
    moved = read_summary(folder_at(tmp_path / "moved/predictions/monday"))
    assert moved
    assert moved.input == csv_path(str(tmp_path / "moved" / odd))
    (tmp_path / "moved" / odd).rmdir()
    gone = read_summary(folder_at(tmp_path / "moved/predictions/monday"))
    assert gone
    assert gone.input == there


def test_one_folder_is_one_folder_for_since_last(photos: Path) -> None:
    monday = finished(Path("nights/monday"), photos)
    finished(Path("nights/tuesday"), photos.parent / "other", "2026-01-03T02:00:05+00:00")
    for text in spellings(photos):
        assert last_finished(folder_at(text), Path("nights").glob("*")) == monday
    assert last_finished(folder_at("photos2"), Path("nights").glob("*")) is None


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_damaged_summary_is_passed_over_and_named_and_another_programs_only_passed_over(
    photos: Path, kind: str, defaults: Params, caplog: pytest.LogCaptureFixture
) -> None:
    good = finished(Path("predictions/good"), photos)
    bad = Path("predictions/2030-01-01")
    bad.mkdir()
    (bad / "summary.json").write_bytes(FOREIGN[kind])
    caplog.set_level(logging.WARNING, "nightshift")
    logging.getLogger("nightshift").propagate = True
    assert last_finished(folder_at(photos), Path("predictions").glob("*")) == good
    assert latest_night() == good
    assert tidy.old_nights(1, datetime.datetime.now(datetime.UTC)) == [good]
    why = FAULTS[kind]
    said = [record.getMessage() for record in caplog.records]
    about = f"predictions/2030-01-01/summary.json is not the summary of a night ({why}). "
    is_ours = "another program" not in why
    assert said == [f"Passed over: {about}Restore the file, or run the night again."] * 3 * is_ours
    with pytest.raises(SummaryError, match=re.escape(about)):
        draw_again(folder_at(bad), defaults)


def test_a_folder_in_place_of_a_summary_and_a_file_in_place_of_a_night_are_passed_over(photos: Path) -> None:
    good = finished(Path("predictions/good"), photos)
    Path("predictions/odd/summary.json").mkdir(parents=True)
    Path("predictions/odd/.nightshift").write_text("no folder")
    Path("predictions/file").write_text("no night")
    assert last_finished(folder_at(photos), Path("predictions").glob("*")) == good
    assert latest_night() == good
    assert "    (it is missing there)" in status_lines()
    assert folder_for(folder_at(photos)) == Path("predictions") / TODAY
    assert tidy.old_nights(1, datetime.datetime.now(datetime.UTC)) == [good]


def test_another_output_beside_an_unfinished_night_is_named(
    photos: Path, defaults: Params, caplog: pytest.LogCaptureFixture
) -> None:
    unfinished(Path("predictions/2026-01-01"), photos)
    shutil.rmtree(photos)  # so that it ends after the warning
    logging.getLogger("nightshift").propagate = True
    with pytest.raises(ListingError):
        begin(NightOptions(folder_at(photos), folder_at("predictions/2026-01-02")), defaults)
    assert "predictions/2026-01-01 holds an unfinished run over the same files" in caplog.text
