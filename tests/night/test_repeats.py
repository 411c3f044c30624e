"""The last finished run over a folder is found among whatever else stands beside the output."""

import json
from pathlib import Path

from pipeline.night.repeats import last_finished
from pipeline.storage.folders import folder_at
from tests.fixtures.summaries import SUMMARY


def test_a_folder_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    for name in ("monday", "lost+found", "notes", "empty"):
        (tmp_path / "predictions" / name).mkdir(parents=True)
    night = tmp_path / "predictions/monday"
    (night / "summary.json").write_text(json.dumps({**SUMMARY, "input": str(tmp_path / "photos")}))
    (tmp_path / "predictions/lost+found/summary.json").mkdir()  # reading it fails, as it does without rights
    (tmp_path / "predictions/notes/summary.json").write_text("[]")
    folders = [*(tmp_path / "predictions").iterdir()]
    assert last_finished(folder_at(tmp_path / "photos"), folders) == night
