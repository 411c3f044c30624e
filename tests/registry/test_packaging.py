"""A version carries its own code: a night never runs it, and MLflow serves with it, whatever the code is by then."""

import sys
from pathlib import Path

from tests.fixtures import forked
from tests.fixtures.project import REPOSITORY, rows_of, run


def code_of_version(project: Path) -> Path:
    """The folder of the code that the project's only version carries."""
    [code] = project.glob("mlartifacts/nightshift/models/*/artifacts/code")
    return code


def test_a_night_runs_no_code_of_the_version(project: Path, night: Path, tmp_path: Path) -> None:
    for module in code_of_version(project).rglob("*.py"):
        module.write_text("raise SystemExit('the code of the version was run')")
    forked.run(sys.executable, "-m", "pipeline.classify", str(night), str(tmp_path / "out"), cwd=project)
    assert {row["status"] for row in rows_of(tmp_path / "out")} <= {"ok", "unsure"}


OF_ANOTHER_TIME = """
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from pipeline.engines import name_of  # a module that no longer exists

class Model(PythonModel):
    def predict(self, context, model_input, params=None):
        return [{"label": name_of(data), "confidence": 1.0, "unsure": False, "probabilities": {}, "error": ""}
                for data in model_input["image"]]

set_model(Model())
"""
ASK = """
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/nightshift/1")
print("SAID", model.predict(pandas.DataFrame({"image": [b"a", b"bc"]}))[1]["label"])
"""


def test_a_version_whose_code_has_moved_since_still_answers(project: Path) -> None:
    code = code_of_version(project)
    for module in code.rglob("*.py"):
        module.unlink()
    (code / "pipeline/__init__.py").write_text("")
    (code / "pipeline/engines.py").write_text("def name_of(data): return f'{len(data)} bytes'\n")
    (code.parent / "serving.py").write_text(OF_ANOTHER_TIME)
    store = f"sqlite:///{project}/mlflow.db"
    said = run(sys.executable, "-c", ASK, cwd=REPOSITORY, MLFLOW_TRACKING_URI=store, PYTHONPATH=str(REPOSITORY)).stdout
    assert "SAID 2 bytes" in said
