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
FIRST_PAGE = 35  # lines of text, of at most 140 characters
STAGES = sorted(file.name for file in PIPELINE.glob("*.py") if file.name != "__init__.py")


def blocks(page: str) -> list[str]:
    """The blocks of code or output on a page."""
    return re.findall(r"^```\n(.*?)^```$", (REPOSITORY / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_tree_has_a_line_for_every_package_and_stage_and_for_nothing_else() -> None:
    (tree,) = [block for block in blocks("docs/how-it-works.md") if block.startswith("params.yaml")]
    assert sorted(re.findall(r"^  ([a-z0-9_]+(?:/|\.py)) +\S", tree, re.MULTILINE)) == sorted(PACKAGES + STAGES)


@pytest.mark.parametrize("page", ["README.md", "docs/how-it-works.md"])
def test_every_stage_of_the_graph_is_in_the_pictures(page: str) -> None:
    stages = [*yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"], "register", "classify"]
    (picture,) = [block for block in blocks(page) if block.lstrip().startswith("data/raw/<class>/*.jpg")]
    assert re.findall(r"[│|├└'].? ([a-z]+) {2,}", picture) == stages


def test_the_first_page_of_the_readme_fits_one_screen() -> None:
    """What it is, two commands, one picture, own images: of 1200 x 900 pixels GitHub fills about so many lines."""
    first, _ = (REPOSITORY / "README.md").read_text(encoding="utf-8").split("\n## What a night gives you\n")
    for needed in ("make run", "make test", ".png", "nightshift init", "data import", "train", "classify"):
        assert needed in first
    assert len(first.splitlines()) <= FIRST_PAGE


def test_what_the_readme_shows_of_the_demo_is_what_the_demo_prints() -> None:
    (printed,) = [block for block in blocks("docs/demo.md") if block.startswith("Models (nightshift):")]
    (excerpt,) = [block for block in blocks("README.md") if re.match(r"  [\d,]+ images: ", block)]
    assert set(excerpt.splitlines()) <= set(printed.splitlines())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"\b((?:pipeline|tests|flows|benchmarks)/[\w/.-]*\w\.(?:py|html|md))", text)
    linked = [
        (page.parent / link).resolve().relative_to(REPOSITORY)
        for link in re.findall(r"(?:\]\(|src=\")([^)\"#:]+)[)\"#]", text)
    ]
    assert not [name for name in [*named, *linked] if not (REPOSITORY / name).exists()]


def headings(page: Path) -> set[str]:
    """What a link to a heading says on GitHub: lower case, without punctuation, a hyphen for each blank."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_heading_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\(([^):#]*)#([^)]+)\)", page.read_text(encoding="utf-8"))
    assert not [(file, name) for file, name in links if name not in headings(page.parent / file if file else page)]


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
