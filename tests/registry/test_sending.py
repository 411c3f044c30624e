"""Files on their way into the store: each once, to its folder, several at a time."""

import threading
import time
from pathlib import Path

import pytest

from pipeline.registry.sending import AT_A_TIME, files_below, send


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(10 * AT_A_TIME):
        file = tmp_path / ("a/b" if number % 2 else "") / f"{number:02d}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path


@pytest.mark.parametrize(("to", "places"), [("", [None, "a/b"]), ("figures", ["figures", "figures/a/b"])])
def test_each_file_is_sent_once_to_its_folder(folder: Path, to: str, places: list[str | None]) -> None:
    sent: list[tuple[str | None, str]] = []
    send(lambda file, place: sent.append((place, Path(file).name)), files_below(folder, to))
    assert len(sent) == 10 * AT_A_TIME
    assert set(sent) == {(places[number % 2], f"{number:02d}.txt") for number in range(10 * AT_A_TIME)}


def test_the_first_goes_alone_and_the_others_together(folder: Path) -> None:
    """Together: each waits for the others, so that one after another none would be done."""
    together, sent = threading.Barrier(AT_A_TIME), []
    files = files_below(folder)[: 1 + AT_A_TIME]

    def log_artifact(file: str, place: str | None) -> None:
        if sent:
            together.wait(30)
        sent.append(file)

    send(log_artifact, files)
    assert sorted(sent) == [file for file, _ in files]


def test_an_error_is_raised_and_not_all_the_others_are_tried(folder: Path) -> None:
    tried: list[str] = []

    def log_artifact(file: str, place: str | None) -> None:
        tried.append(file)
        if len(tried) > 1:
            time.sleep(0.05)
            raise OSError("the store is gone")

    with pytest.raises(OSError, match="the store is gone"):
        send(log_artifact, files_below(folder))
    assert len(tried) < 5 * AT_A_TIME


def test_no_files_are_no_requests(tmp_path: Path) -> None:
    assert files_below(tmp_path) == []
    send(lambda file, place: pytest.fail(file), [])
