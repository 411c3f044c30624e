"""The old PyTorch files: read without PyTorch, and without running anything."""

import pickle
from pathlib import Path

import pytest

from pipeline.backbones.torch_file import read_legacy_torch
from pipeline.core.errors import NightshiftError


def test_a_weights_file_cannot_name_anything_to_execute(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, ("1 + 1",)

    file = tmp_path / "hostile.pth"
    file.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(pickle.UnpicklingError, match="may not name builtins.eval"):
        read_legacy_torch(file)


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    file.write_bytes(pickle.dumps(42))
    with pytest.raises(NightshiftError, match=r"other.pth is not a PyTorch weights file"):
        read_legacy_torch(file)
