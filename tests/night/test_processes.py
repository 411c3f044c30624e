"""Reading by processes yields what threads yield; a file that kills a process costs only itself."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from pipeline.images.decode import Picture, decode
from pipeline.night import processes
from pipeline.night.processes import pays, read_by_processes
from pipeline.night.reading import Decoded, Reading, read_images
from pipeline.night.rows import Repeated, Unreadable
from pipeline.params.data import Images
from pipeline.params.model import Compute
from pipeline.storage.files import sha256
from pipeline.storage.folders import folder_at
from tests.fixtures.images import save_image

DEADLY, NO_PICTURE = b"KILL", b"no picture"


def deadly(data: bytes, rules: Images) -> Picture:
    """A decoder that one file kills, with its process."""
    if data == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(data, rules)


def test_processes_yield_what_threads_yield_and_a_deadly_file_is_unreadable(
    tmp_path: Path, rules: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "AT_ONCE", 3)
    paths = [f"{number:02d}.png" for number in range(20)]
    for number, path in enumerate(paths):
        save_image(tmp_path / path, seed=number)
    (tmp_path / "04.png").write_bytes(NO_PICTURE)
    (tmp_path / "10.png").write_bytes(DEADLY)
    answers = {sha256((tmp_path / "07.png").read_bytes()): {"label": "known"}}
    how = Reading(2, 6, 60, deadly, answers.get)
    found = list(read_by_processes(folder_at(tmp_path), paths, rules, how))
    assert [read.path for read in found] == paths
    assert isinstance(found[10], Unreadable)
    assert isinstance(found[7], Repeated)
    (tmp_path / "10.png").write_bytes(NO_PICTURE)
    for read, expected in zip(found, read_images(folder_at(tmp_path), paths, rules, how), strict=True):
        if isinstance(read, Decoded) and isinstance(expected, Decoded):
            np.testing.assert_array_equal(read.picture.pixels, expected.picture.pixels)
            assert (read.sha256, read.light) == (expected.sha256, expected.light)
        elif read.path != "10.png":
            assert read == expected


@pytest.mark.parametrize(("threads", "card", "expected"), [(16, True, True), (8, True, False), (16, False, False)])
def test_processes_are_for_a_card_and_more_cores_than_threads_can_use(
    threads: int, card: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "on_gpu", lambda _: card)
    assert pays(Compute(device="auto", precision="auto", workers=threads)) == expected
