"""Which package may know which, and that `dvc.yaml` says the same as the code."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from pipeline.core.code import PLUMBING, file_of, modules_behind, project_imports
from tests.fixtures.project import REPOSITORY

PIPELINE, FLOWS = REPOSITORY / "pipeline", REPOSITORY / "flows"
STAGES = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
SLOW_TO_IMPORT = {
    "great_expectations", "keras", "mlflow", "openvino", "pandas", "prefect", "pyarrow", "tensorflow", "cv2", "faiss",
    "fsspec", "httpx", "imagecodecs", "jinja2", "markdown_it", "matplotlib", "pillow_heif", "pydicom", "requests",
    "scipy", "sklearn", "sqlalchemy", "tifffile", "tqdm", "upath",
}  # fmt: skip
# What a command imports of the project before it starts the worker process of a night, which imports the first, too.
AT_FIRST = {
    "flows.cli.start": {"flows", "flows.cli", "pipeline", "pipeline.core", "pipeline.core.surroundings"},
    "pipeline.night.worker": {"pipeline", "pipeline.core", "pipeline.core.errors", "pipeline.night"},
}
COMPUTES = {"cv2", "faiss", "keras", "numpy", "openvino", "PIL", "scipy", "sklearn", "tensorflow"}

# The floors of the house, from the ground: package -> the packages that its modules reach by their imports, directly or
# through others. What a row lacks, the package does not know.
DATA = {"core", "params", "images", "storage", "data"}
MODEL = {*DATA, "backbones", "model"}
REGISTRY = {*MODEL, "versions", "evaluation", "registry"}
MAY_REACH = {
    "core": {"core"},
    "params": {"core", "params"},
    "images": {"params", "images"},
    "storage": {"core", "images", "storage"},
    "data": DATA,
    "backbones": {"core", "params", "storage", "backbones"},
    "checks": {*DATA, "checks"},
    "project": {"core", "params", "project"},
    "versions": {"core", "data", "versions"},
    "model": MODEL,
    "evaluation": {*MODEL, "versions", "evaluation"},
    "registry": REGISTRY,
    "training": {*MODEL, "versions", "evaluation", "training"},
    "collect": {"core", "params", "images", "storage", "collect"},
    "night": {*REGISTRY, "collect", "night"},
    "search": {*REGISTRY, "training", "search"},
    "exports": {*REGISTRY, "collect", "night", "sources", "exports"},
    "sources": {*REGISTRY, "collect", "night", "sources"},
    "review": {*REGISTRY, "collect", "night", "sources", "review"},
    "notices": {*REGISTRY, "collect", "night", "notices"},
}
STAGE_FILES_MAY_REACH = {*REGISTRY, "checks", "collect", "training", "night", "notices"}  # and no other stage file
# They order and show: what reads pixels, trains or checks is called by a stage or a package.
FLOWS_MAY_IMPORT = {
    "core", "params", "project", "storage", "collect", "data", "versions", "evaluation", "registry", "night", "search",
    "sources", "exports", "review", "notices", "register", "tidy",
}  # fmt: skip

# Package -> what none of its modules imports: the libraries that another package keeps for itself.
OUTSIDE = {
    "images": {"os", "pathlib", "gdcm"},  # bytes in, pixels out
    "storage": {"numpy", "pandas", "PIL"},
    "versions": {"numpy"},
    "checks": {"keras", "tensorflow"},
    "night": {"keras", "tensorflow"},
    "sources": {"tensorflow"},
    "review": {"keras", "tensorflow"},
}


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(REPOSITORY).with_suffix("").parts)


def package_of(module: str) -> str:
    """The package of one of pipeline's modules; of a stage file its own name."""
    return module.split(".")[1]


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(file_of(module).read_text())


@cache
def known_to(module: str) -> set[str]:
    """The project's modules that `module` itself imports."""
    return project_imports(file_of(module).read_bytes())


def imports_outside(module: str) -> set[str]:
    """The top names of all that a module imports anywhere, functions included."""
    found = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def all_behind(module: str) -> set[str]:
    """The project's modules that `module` imports, directly or through others, plumbing included, and itself."""
    found, todo = set(), [module]
    while todo:
        if (current := todo.pop()) not in found:
            found.add(current)
            todo += known_to(current)
    return found


MODULES = sorted(module_of(file) for file in PIPELINE.rglob("*.py") if file.name != "__init__.py")
STAGE_FILES = [module for module in MODULES if file_of(module).parent == PIPELINE]


def test_every_package_has_its_floor() -> None:
    assert {package_of(module) for module in MODULES if module not in STAGE_FILES} == set(MAY_REACH)


@pytest.mark.parametrize("package", MAY_REACH)
def test_a_package_imports_only_what_stands_below_it(package: str) -> None:
    modules = [module for module in MODULES if module not in STAGE_FILES and package_of(module) == package]
    found = {f"{module} -> {other}" for module in modules for other in all_behind(module)
             if package_of(other) not in MAY_REACH[package]}  # fmt: skip
    assert not found


@pytest.mark.parametrize("stage", STAGE_FILES)
def test_a_stage_file_calls_packages_and_no_other_stage_file(stage: str) -> None:
    assert {package_of(module) for module in all_behind(stage) - {stage}} <= STAGE_FILES_MAY_REACH


@pytest.mark.parametrize("file", sorted(FLOWS.rglob("*.py")), ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_flows_order_and_show(file: Path) -> None:
    assert {package_of(module) for module in project_imports(file.read_bytes())} <= FLOWS_MAY_IMPORT


@pytest.mark.parametrize("module", MODULES)
def test_pipeline_never_imports_an_orchestrator_or_the_flows(module: str) -> None:
    assert not imports_outside(module) & {"dask", "distributed", "flows", "prefect"}


@pytest.mark.parametrize("package", OUTSIDE)
def test_a_package_leaves_to_others_what_is_theirs(package: str) -> None:
    modules = [module for module in MODULES if module not in STAGE_FILES and package_of(module) == package]
    assert not {module: used for module in modules if (used := imports_outside(module) & OUTSIDE[package])}


def test_only_the_registry_knows_mlflow() -> None:
    assert not [
        module for module in MODULES if package_of(module) != "registry" and "mlflow" in imports_outside(module)
    ]


def test_a_package_says_in_one_sentence_what_it_is() -> None:
    for file in [*PIPELINE.glob("*/__init__.py"), *FLOWS.glob("*/__init__.py")]:
        [sentence] = ast.parse(file.read_text()).body
        assert isinstance(sentence, ast.Expr), file


def covers(dep: str, file: Path) -> bool:
    """Whether a dependency of a stage, a file or a folder, is or holds this file."""
    return file == REPOSITORY / dep or (REPOSITORY / dep) in file.parents


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_names_the_code_that_a_stage_computes_with(stage: str) -> None:
    files = {file_of(module) for module in modules_behind(f"pipeline.{stage}")}
    files |= {template for file in files for ending in ("html", "md") for template in file.parent.glob(f"*.{ending}")
              if template.with_suffix(".py") in files}  # fmt: skip
    code = [dep for dep in STAGES[stage]["deps"] if dep.startswith("pipeline/")]
    assert not {file for file in files if not any(covers(dep, file) for dep in code)}


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_names_no_code_that_a_stage_does_without(stage: str) -> None:
    files = {file_of(module) for module in all_behind(f"pipeline.{stage}")}
    files |= {file.with_suffix(f".{ending}") for file in files for ending in ("html", "md")}
    code = [dep for dep in STAGES[stage]["deps"] if dep.startswith("pipeline/")]
    assert not {dep for dep in code if not any(covers(dep, file) for file in files)}


def test_plumbing_that_a_stage_imports_computes_nothing() -> None:
    """Code that dvc.yaml does not name may move bytes and messages, but must not compute what a result depends on."""
    behind = {module for stage in STAGES for module in all_behind(f"pipeline.{stage}")}
    plumbing = {module for module in behind if package_of(module) in PLUMBING}
    assert not {module: used for module in plumbing if (used := imports_outside(module) & COMPUTES)}


@pytest.mark.parametrize(
    "module", ["flows.cli.main", "pipeline.classify", "pipeline.night.results", "pipeline.night.shard", "pipeline.tidy"]
)
def test_importing_what_must_start_fast_imports_nothing_heavy(module: str) -> None:
    assert not imported_with(module) & SLOW_TO_IMPORT


@pytest.mark.parametrize("module", AT_FIRST)
def test_a_worker_process_is_started_before_anything_is_imported(module: str) -> None:
    found = {name for name in imported_with(module) if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {name for name in found if name.startswith(("flows", "pipeline"))} == AT_FIRST[module] | {module}
    assert not found & {"numpy", "pydantic", "typer", "yaml"}


def test_stages_import_tensorflow_after_their_log_file_is_there() -> None:
    """While it is imported it writes to standard error, which the terminal would show until the log file takes it."""
    assert "tensorflow" not in imported_with(", ".join(f"pipeline.{stage}" for stage in STAGES))


def imported_with(module: str) -> set[str]:
    """All modules that a new Python has after importing this one, or several, separated by commas."""
    code = f"import sys, {module}; print(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-c", code], cwd=REPOSITORY, text=True).split())


def test_no_output_of_a_stage_is_in_git() -> None:
    tracked = subprocess.check_output(["git", "ls-files"], cwd=REPOSITORY, text=True).splitlines()
    cached = [out for stage in STAGES.values() for out in stage.get("outs", [])]
    assert not [file for file in tracked for out in cached if file == out or file.startswith(f"{out}/")]


def test_the_lock_names_no_place_to_fetch_from() -> None:
    lines = (REPOSITORY / "requirements.lock").read_text().splitlines()
    known = re.compile(r"[\w.-]+(\[[\w,-]+\])?==[\w.!+-]+( ; [^@]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?| *#[^@]*|")
    assert not [line for line in lines if not known.fullmatch(line)], "a version and its hashes, or a comment"


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_what_tests_share_lies_in_the_fixtures_and_no_test_module_is_imported(folder: str) -> None:
    found = [
        f"{file.relative_to(REPOSITORY)}: {module}"
        for file in sorted((REPOSITORY / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names])
        if module.startswith("tests.") and any(part.startswith("test_") for part in module.split("."))
    ]
    assert found == []
