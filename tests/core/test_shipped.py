"""Where an installation finds what a new project begins with."""

from pathlib import Path

import pytest

from pipeline.core.errors import NightshiftError
from pipeline.core.shipped import INSTALLED, PARAMS_YAML, shipped


def test_files_beside_the_packages_are_found_and_missing_ones_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `pip install --target`, where pip's own list names a place that does not exist."""
    monkeypatch.setattr("pipeline.core.shipped.ROOT", tmp_path)
    with pytest.raises(NightshiftError, match=r"lacks its params\.yaml\. Install it again"):
        shipped(PARAMS_YAML)
    (tmp_path / INSTALLED).mkdir(parents=True)
    (tmp_path / INSTALLED / PARAMS_YAML).write_text("seed: 1")
    assert shipped(PARAMS_YAML) == "seed: 1"
