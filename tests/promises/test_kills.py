"""Promise: kill the night at any moment, as often as you like; its CSV stays the same. In small; fifty by hand."""

import re
import sys
from pathlib import Path

from tests.fixtures.project import REPOSITORY, run

KILLS = 4


def test_killed_nights_end_with_the_undisturbed_csv(trained: Path) -> None:
    script = str(REPOSITORY / "benchmarks/kills.py")
    said = run(sys.executable, script, "--kills", str(KILLS), "--files", "40", "--seed", "3", cwd=trained).stdout
    assert re.search(rf"^{KILLS} kills, .* runs finished$", said, re.M)
    assert re.search(r"^all \d+ CSVs are byte for byte the undisturbed one$", said, re.M)
    assert not list(trained.glob(".kills.*"))
