"""The pages name what is there: every package and stage has its line, and every file that they speak of exists."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from tests.fixtures.project import REPOSITORY

PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
PIPELINE = REPOSITORY / "pipeline"
PACKAGES = sorted(f"{file.parent.name}/" for file in PIPELINE.glob("*/__init__.py"))
STAGES = sorted(file.name for file in PIPELINE.glob("*.py") if file.name != "__init__.py")


@pytest.mark.parametrize("page", ["README.md", "docs/how-it-works.md"])
def test_the_tree_has_a_line_for_every_package_and_stage_and_for_nothing_else(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    (tree,) = re.findall(r"^```\nparams\.yaml.*?^```$", text, re.MULTILINE | re.DOTALL)
    assert sorted(re.findall(r"^  ([a-z0-9_]+(?:/|\.py)) +\S", tree, re.MULTILINE)) == sorted(PACKAGES + STAGES)


def test_both_trees_are_the_same() -> None:
    trees = {re.findall(r"^```\nparams\.yaml.*?^```$", (REPOSITORY / page).read_text(), re.MULTILINE | re.DOTALL)[0]
             for page in ("README.md", "docs/how-it-works.md")}  # fmt: skip
    assert len(trees) == 1


def test_every_stage_of_the_graph_is_in_the_pictures() -> None:
    stages = [*yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"], "register", "classify"]
    for page in ("README.md", "docs/how-it-works.md"):
        picture = (REPOSITORY / page).read_text(encoding="utf-8").split("```")[1]
        assert re.findall(r"[│|├└'].? ([a-z]+) {2,}", picture) == stages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"\b((?:pipeline|tests|flows|benchmarks)/[\w/.-]*\w\.(?:py|html|md))", text)
    linked = [
        (page.parent / link).resolve().relative_to(REPOSITORY)
        for link in re.findall(r"\]\(([^)#:]+)\)", text)
        if "://" not in link
    ]
    assert not [name for name in [*named, *linked] if not (REPOSITORY / name).exists()]


def test_what_leans_on_a_library_in_private_is_named_for_upgrades() -> None:
    """Private attributes of others' objects; `os._exit` is documented."""
    named = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    leaning = set()
    for file in [*PIPELINE.rglob("*.py"), *(REPOSITORY / "flows").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and re.fullmatch("_[a-z].*", node.attr):
                owner = node.value.id if isinstance(node.value, ast.Name) else ""
                if owner not in ("self", "cls", "os"):
                    leaning.add(str(file.relative_to(REPOSITORY)))
    assert leaning
    assert not [file for file in leaning if file not in named]
