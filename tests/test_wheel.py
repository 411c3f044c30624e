"""The wheel holds all that the checkout has: every package, every module, every template."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from setuptools import find_packages

from pipeline.core.shipped import INSTALLED, SHIPPED
from tests.fixtures.project import REPOSITORY

PACKAGES = ("flows", "pipeline")


def tracked() -> set[str]:
    """The files of the packages that git has."""
    said = subprocess.check_output(["git", "ls-files", *PACKAGES], cwd=REPOSITORY, text=True)
    return {name for name in said.splitlines() if (REPOSITORY / name).is_file()}


def test_every_folder_with_modules_is_a_package_that_setuptools_finds() -> None:
    asked = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    found = set(find_packages(str(REPOSITORY), **asked))
    assert found == {".".join(PurePosixPath(name).parent.parts) for name in tracked() if name.endswith(".py")}


def test_every_file_that_is_no_module_has_an_ending_that_the_wheel_takes() -> None:
    patterns = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    others = {PurePosixPath(name) for name in tracked() if not name.endswith(".py")}
    assert others, "there are templates"
    assert not {name for name in others if not any(name.match(pattern) for pattern in patterns)}


def test_what_a_new_project_begins_with_is_among_the_data_files() -> None:
    asked = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    assert {f"{folder}/{PurePosixPath(name).name}" for folder, names in asked.items() for name in names} == {
        f"{INSTALLED}/{name}" for name in SHIPPED
    }
    assert {name for names in asked.values() for name in names} == set(SHIPPED)


@pytest.mark.slow
def test_the_wheel_holds_every_file(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"  # a build leaves folders behind
    for name in {*tracked(), "pyproject.toml", "README.md", "LICENSE", *SHIPPED}:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, copy / name)
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(copy)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)
    [wheel] = tmp_path.glob("nightshift-*.whl")
    data = f"{'-'.join(wheel.name.split('-')[:2])}.data/data/{INSTALLED}"
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
        [entries] = [name for name in file.namelist() if name.endswith(".dist-info/entry_points.txt")]
        for name in SHIPPED:
            assert file.read(f"{data}/{name}") == (REPOSITORY / name).read_bytes()
        assert "nightshift = flows.cli.start:main" in file.read(entries).decode()
    assert names == {*tracked(), *(f"{data}/{name}" for name in SHIPPED)}
