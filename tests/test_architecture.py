"""Who may know whom, and that `dvc.yaml` says the same as the code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.fixtures.project import REPOSITORY

MODULES = sorted((REPOSITORY / "pipeline").rglob("*.py"))
STAGES = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
SLOW_TO_IMPORT = (
    "great_expectations|keras|mlflow|openvino|prefect|tensorflow|cv2|imagecodecs|pillow_heif|pydicom|tifffile"
)


def imported(file: Path) -> set[str]:
    """All modules that `file` imports anywhere, functions included; `from a import b` as `a` and `a.b`."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def file_of(module: str) -> Path:
    return REPOSITORY / f"{module.replace('.', '/')}.py"


def project_modules(file: Path) -> set[Path]:
    """The modules of `pipeline/` that `file` imports, directly or through others, and itself."""
    found, todo = set(), [file]
    while todo:
        found.add(current := todo.pop())
        names = [name for name in imported(current) if name.startswith("pipeline.")]
        files = [file_of(name) for name in names]
        todo += [file for file in files if file.is_file() and file not in found]
    return found


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_pipeline_never_imports_an_orchestrator_or_the_flows(file: Path) -> None:
    assert not {name for name in imported(file) if name.split(".")[0] in ("prefect", "flows", "dask")}


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("pipeline.model.contract", {"tensorflow", "keras", "mlflow"}),
        ("pipeline.images.decode", {"pathlib", "pipeline.model.engine", "pipeline.model.contract"}),
        ("pipeline.images.pillow", {"pathlib", "pipeline.images.decode"}),
        ("pipeline.images.dicom", {"pathlib", "pipeline.images.decode", "gdcm"}),
        ("pipeline.images.dicom_codestream", {"pathlib", "pipeline.images.dicom", "gdcm"}),
        ("pipeline.images.bands", {"pathlib", "pipeline.images.decode"}),
        ("pipeline.images.enhance", {"pathlib", "PIL", "pipeline.images.decode"}),
        ("pipeline.images.frame", {"pathlib", "pipeline.images.decode"}),
        ("pipeline.night.ledger", {"pipeline.model.engine", "pipeline.model.contract", "pipeline.register"}),
        ("pipeline.night.rows", {"pipeline.model.engine", "pipeline.night.ledger"}),
        ("pipeline.storage.listing", {"PIL", "numpy"}),
        ("pipeline.data.labels", {"pathlib", "os", "pipeline.storage.listing"}),
        ("pipeline.sources.folders", {"pathlib", "os", "pipeline.sources.open"}),
        ("pipeline.sources.tables", {"pathlib", "os", "pipeline.sources.open"}),
        ("pipeline.sources.plan", {"pathlib", "os", "pipeline.sources.open"}),
        ("pipeline.storage.addresses", {"pipeline.storage.listing", "pipeline.sources.open"}),
        ("pipeline.sources.archives", {"pathlib", "pipeline.sources.open", "pipeline.sources.copy"}),
        ("pipeline.sources.open", {"pipeline.core.paths", "pipeline.sources.plan", "pipeline.sources.copy"}),
        ("pipeline.sources.copy", {"PIL", "pipeline.images.decode", "pipeline.versions.dvc"}),
        ("pipeline.sources.demo", {"PIL", "pipeline.images.decode"}),
        ("pipeline.registry.comparison", {"pathlib", "mlflow", "pipeline.model.engine"}),
        ("pipeline.registry.gate", {"pathlib", "mlflow", "pipeline.model.engine", "pipeline.registry.versions"}),
        ("pipeline.registry.rematch", {"mlflow", "pipeline.registry.versions", "pipeline.registry.champions"}),
        ("pipeline.registry.versions", {"pipeline.registry.champions", "pipeline.registry.gate"}),
        ("pipeline.registry.champions", {"pipeline.registry.rematch", "pipeline.model.engine"}),
        ("pipeline.registry.training_images", {"mlflow", "pipeline.registry.versions"}),
        ("pipeline.storage.files", {"pipeline.params.file"}),
        ("pipeline.images.measures", {"pathlib", "pipeline.params.file"}),
        ("pipeline.data.duplicates", {"pathlib", "pipeline.params.file"}),
        ("pipeline.data.splits", {"pathlib", "pipeline.images.decode"}),
        ("pipeline.checks.drift", {"pathlib", "pipeline.params.file"}),
        ("pipeline.evaluation.metrics", {"pathlib", "pipeline.model.engine", "pipeline.model.answers"}),
        ("pipeline.evaluation.slices", {"pathlib", "pipeline.data.prepared"}),
        ("pipeline.evaluation.corruptions", {"pathlib", "pipeline.model.engine", "pipeline.params.file"}),
        ("pipeline.evaluation.figures", {"pathlib", "pipeline.model.engine", "pipeline.data.prepared"}),
        (
            "pipeline.evaluation.report",
            {"pipeline.model.engine", "pipeline.data.prepared", "pipeline.evaluation.metrics"},
        ),
        (
            "pipeline.evaluation.model_card",
            {"pipeline.model.engine", "pipeline.evaluation.metrics", "keras", "tensorflow"},
        ),
    ],
)
def test_a_module_does_not_know_what_the_design_keeps_from_it(module: str, forbidden: set[str]) -> None:
    assert not imported(file_of(module)) & forbidden


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_no_other_stage(stage: str) -> None:
    others = {REPOSITORY / "pipeline" / f"{other}.py" for other in STAGES if other != stage}
    assert not project_modules(REPOSITORY / "pipeline" / f"{stage}.py") & others


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_names_every_module_that_a_stage_imports(stage: str) -> None:
    modules = project_modules(REPOSITORY / "pipeline" / f"{stage}.py")
    templates = [file for ending in ("html", "md") for file in (REPOSITORY / "pipeline").rglob(f"*.{ending}")]
    needed = {str(file.relative_to(REPOSITORY)) for file in modules}
    needed |= {str(file.relative_to(REPOSITORY)) for file in templates if file.with_suffix(".py") in modules}
    named = {dep for dep in STAGES[stage]["deps"] if dep.startswith("pipeline/")}
    assert named == needed


@pytest.mark.parametrize("module", ["pipeline.classify", "flows.cli.main"])
def test_importing_what_must_start_fast_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, re, {module}; print([m for m in sys.modules if re.fullmatch('{SLOW_TO_IMPORT}', m)])"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=REPOSITORY, text=True).strip() == "[]"


def test_no_output_of_a_stage_is_in_git() -> None:
    tracked = subprocess.check_output(["git", "ls-files"], cwd=REPOSITORY, text=True).splitlines()
    cached = [out for stage in STAGES.values() for out in stage.get("outs", [])]
    assert not [file for file in tracked for out in cached if file == out or file.startswith(f"{out}/")]


def test_the_lock_names_no_place_to_fetch_from() -> None:
    lock = (REPOSITORY / "requirements.lock").read_text()
    assert not [word for word in ("--index", "--extra-index", "--find-links", " @ ") if word in lock]
