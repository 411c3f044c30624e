"""A command shows its own words only; what libraries say is in its log file, of which the newest are kept."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core import log_file, terminal
from pipeline.core.command import ended, run
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from tests.fixtures.project import REPOSITORY

NOISY = """
import os, sys, logging, warnings
from pipeline.core.command import run
from pipeline.core.log import log
from pipeline.core.terminal import progress_bar

def main():
    os.write(2, b"I0000 oneDNN custom operations are on\\n")
    warnings.warn("a library's hint")
    logging.getLogger("alembic").warning("a library's warning")
    print("a library's line", file=sys.stderr)
    for _ in progress_bar(range(3), "read"):
        pass
    log.debug("what only the file has")
    log.info("60 images")
    log.warning("one is blank")
    if sys.argv[1:] == ["fault"]:
        raise ZeroDivisionError("by nought")

status = run(main)
os.write(2, b"a library's goodbye\\n")
sys.exit(status)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(log_file.VERBOSE, raising=False)
    return tmp_path


def noisy(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", NOISY, *words], text=True, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **env},
    )  # fmt: skip


def logs(project: Path) -> list[Path]:
    return sorted((project / log_file.FOLDER).glob(log_file.PATTERN))


def test_what_libraries_say_is_in_the_log_file_only(project: Path) -> None:
    done = noisy()
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "60 images\nWarning: one is blank\n"
    (file,) = logs(project)
    text = file.read_text()
    for words in (
        "oneDNN",
        "library's hint",
        "library's warning",
        "library's line",
        "only the file",
        "60 images",
        "goodbye",
    ):
        assert words in text
    assert "read:" not in done.stderr + text, "no progress bar is frozen into a file"
    assert file.stat().st_mode & 0o077 == 0


def test_verbose_shows_the_log_file_too(project: Path) -> None:
    done = noisy(NIGHTSHIFT_VERBOSE="1")
    shown, _, _ = logs(project)[0].read_text().partition("a library's goodbye")
    assert done.stderr == shown


def test_an_error_that_nobody_expected_is_one_message_that_names_the_log(project: Path) -> None:
    done = noisy("fault")
    assert done.returncode == 1
    *_, error, where = done.stderr.splitlines()
    assert error.startswith("Error: ZeroDivisionError: by nought. This is a fault in Nightshift")
    assert where == f"Log: {logs(project)[0].relative_to(project)}"
    assert "Traceback" in logs(project)[0].read_text()


def test_a_mistake_leaves_no_log_file_and_names_none(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise NightshiftError("There are no images. Import some.")

    assert run(main) == 1
    assert capsys.readouterr().err == "Error: There are no images. Import some.\n"
    assert logs(project) == []


def test_outside_a_project_nothing_is_written_and_a_fault_shows_where_it_happened(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "params.yaml").unlink()

    def main() -> None:
        sys.stderr.write("a library's hint\n")
        raise ZeroDivisionError

    assert run(main) == 1
    said = capsys.readouterr().err
    assert "hint" not in said
    assert said.startswith("Error: Traceback")
    assert list(project.iterdir()) == []


def test_what_was_kept_and_what_to_do_follow_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        error = NightshiftError("The disk is full.")
        error.add_note("What was kept: 3 of 9 files.")
        raise error

    assert ended(main) == 1
    assert capsys.readouterr().err == "Error: The disk is full.\nWhat was kept: 3 of 9 files.\n"


def test_the_newest_log_files_are_kept(project: Path) -> None:
    folder = project / log_file.FOLDER
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / f"command-{number:02d}.log").write_text("x")
        os.utime(folder / f"command-{number:02d}.log", (number, number))
    (folder / "mlflow.log").touch()
    with log_file.opened("train"):
        log.info("60 images")
    kept = logs(project)
    assert len(kept) == log_file.KEPT
    assert kept[0].name == f"command-{30 - log_file.KEPT + 1}.log"
    assert (folder / "mlflow.log").exists()


def test_large_log_files_go_sooner(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "LARGEST", 10)
    for _ in range(4):
        with log_file.opened("train"):
            log.info("more than ten bytes")
    assert len(logs(project)) == 1


def test_a_process_of_ours_marks_its_lines_for_the_one_that_started_it(project: Path) -> None:
    file = project / "given.log"
    done = noisy(**{terminal.MARKED: "bars", "COLUMNS": "60", log_file.GIVEN: str(file)})
    said = [terminal.heard(line) for line in done.stderr.split("\n")[:-1]]
    lines = [one for one in said if one and one.level]
    levels = {"what only the file has": logging.DEBUG, "60 images": logging.INFO, "one is blank": logging.WARNING}
    assert lines == [terminal.Said(level, text) for text, level in levels.items()]
    bars = [one.text for one in said if one and not one.level]
    assert bars[0].startswith("read:   0%")
    assert bars[-1] == ""
    assert None not in said
    assert "only the file" in file.read_text()
    assert logs(project) == []
