"""Which code a result follows from: what an edit changes, and what it does not."""

from pathlib import Path

import pytest

from pipeline.core.code import code_of, modules_behind, versions_of

FILES = {
    "train": "from pipeline.training import fit\nfrom pipeline.registry.live import tell",
    "training/fit": "def fit():\n    from pipeline.model.contract import read\n    return read()",
    "model/contract": "import json",
    "registry/live": "from pipeline.night import page",
    "night/page": "PAGE = 1",
    "core/text": "",
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("pipeline.core.code.ROOT", tmp_path)
    for name, code in FILES.items():
        file = tmp_path / "pipeline" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
    return tmp_path / "pipeline"


@pytest.mark.usefixtures("tree")
def test_what_functions_import_counts_and_plumbing_does_not() -> None:
    assert modules_behind("pipeline.train") == {"pipeline.train", "pipeline.training.fit", "pipeline.model.contract"}


@pytest.mark.parametrize(
    ("edited", "code", "same"),
    [
        ("model/contract", "import json, os", False),
        ("training/fit", "def fit():\n    return None", False),
        ("model/contract", '"""What it is."""\n\nimport json  # a comment\n\n', True),
        (
            "training/fit",
            'def fit():\n    """Fit."""\n    from pipeline.model.contract import read\n    return read()',
            True,
        ),
        ("registry/live", "def tell(): ...", True),
        ("night/page", "PAGE = 2", True),
    ],
)
def test_an_edit_is_another_code_where_the_result_can_follow_from_it(
    tree: Path, edited: str, code: str, same: bool
) -> None:
    before = code_of("pipeline.train")
    (tree / f"{edited}.py").write_text(code)
    assert (code_of("pipeline.train") == before) == same


def test_a_library_that_is_not_installed_has_no_version() -> None:
    assert versions_of("numpy", "no-such-distribution")["no-such-distribution"] == ""
    assert versions_of("numpy")["numpy"]
