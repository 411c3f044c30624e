"""What `make clean` deletes, and what it must not."""

import shutil
from pathlib import Path

from tests.fixtures.project import REPOSITORY, run


def test_make_clean_deletes_what_was_made_and_nothing_that_git_tracks(tmp_path: Path) -> None:
    made = ["reports/data.html", "reports/data_docs/index.html", "reports/figures/a.png", "data/prepared/test.npy",
            "models/current/model.keras", "pipeline/__pycache__/x.pyc"]  # fmt: skip
    kept = ["reports/evaluation.json", "reports/model_card.md", "data/raw/cat/1.jpg", "predictions/1/predictions.csv"]
    for name in ("Makefile", ".gitignore", "reports/.gitignore", "data/.gitignore", "models/.gitignore"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    for name in (*made, *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    run("git", "init", "--quiet", cwd=tmp_path)
    run("git", "config", "user.name", "test", cwd=tmp_path)
    run("git", "config", "user.email", "test@localhost", cwd=tmp_path)
    run("git", "add", "--all", cwd=tmp_path)
    run("git", "commit", "--quiet", "--message", "start", cwd=tmp_path)
    assert "reports/evaluation.json" in run("git", "ls-files", cwd=tmp_path).stdout
    run("make", "clean", cwd=tmp_path)
    assert run("git", "status", "--porcelain", cwd=tmp_path).stdout == ""
    assert not [name for name in made if (tmp_path / name).exists()]
    assert all((tmp_path / name).exists() for name in kept)
