"""Where the files of a project lie, relative to its folder; `dvc.yaml` names the same ones. Touches no file."""

from pathlib import Path

PARAMS = Path("params.yaml")

RAW = Path("data/raw")  # <class>/<image>: the dataset, versioned by DVC
METADATA = RAW / "metadata.csv"  # side table: one row an image, `path` and what else is known of it
MEASURED = Path("data/.measured")  # what is remembered of files, so that they are read once; may be deleted
MANIFEST = Path("data/manifest.parquet")
FROZEN_SPLITS = Path("data/splits.json")  # which content is in which split, for ever
PREPARED = Path("data/prepared")
FEATURES = Path("data/features")

MODEL = Path("models/current")
CHECKPOINTS = Path("models/checkpoints")  # how far a training has come; only while it is not done
SEARCHES = Path("models/tune.db")  # trials of `nightshift tune`

VALIDATION = Path("reports/validation.json")
EXPECTATIONS = Path("reports/expectations.json")
DATA_DOCS = Path("reports/data_docs")
QUARANTINE = Path("reports/quarantine.csv")
LABEL_ISSUES = Path("reports/label_issues.csv")
DATA_REPORT = Path("reports/data.html")
TRAINING_METRICS = Path("reports/training.json")
CURVES = Path("reports/curves.csv")
CURVES_FIGURE = Path("reports/curves.png")
AUGMENTED_FIGURE = Path("reports/augmented.png")
EVALUATION = Path("reports/evaluation.json")
TEST_PREDICTIONS = Path("reports/test_predictions.csv")
SLICES = Path("reports/slices.csv")
ROBUSTNESS = Path("reports/robustness.csv")
FIGURES = Path("reports/figures")
EVALUATION_REPORT = Path("reports/evaluation.html")
MODEL_CARD = Path("reports/model_card.md")
REGISTRATION = Path("reports/registration.json")

PREDICTIONS = Path("predictions")
