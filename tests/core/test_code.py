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
        ("training/fit.html", "<p>another page</p>", False),
        ("registry/live", "def tell(): ...", True),
        ("night/page", "PAGE = 2", True),
    ],
)
def test_an_edit_is_another_code_where_the_result_can_follow_from_it(
    tree: Path, edited: str, code: str, same: bool
) -> None:
    before = code_of("pipeline.train")
    (tree / (edited if "." in edited else f"{edited}.py")).write_text(code)
    assert (code_of("pipeline.train") == before) == same


RICH = """
async def first(self, *more: int, key=None, **others) -> "text":
    global A
    A = {1: None, **{}}, (), 0, 1.5e300, False, [], f"{key!r:>9} {others}", ..., b"bytes", lambda: [x for x in more]
    match A:
        case {"a": [1, *_]} | None: pass
class B(dict, metaclass=type): a: int
try: import os
except* (ValueError, OSError) as error: raise
"""


def test_every_python_finds_the_same_code(tree: Path) -> None:
    """If this value changes, the stages of all projects run again at the next upgrade."""
    (tree / "train.py").write_text(RICH)
    assert code_of("pipeline.train") == "8bb2dcd14f93305b2089ed93a57be0b9365ecca7cd566ad9c3a8522a446e31e6"


def test_a_library_that_is_not_installed_has_no_version() -> None:
    assert versions_of("numpy", "no-such-distribution")["no-such-distribution"] == ""
    assert versions_of("numpy")["numpy"]
