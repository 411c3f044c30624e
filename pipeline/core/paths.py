"""The paths of a project's files, relative to its folder; `dvc.yaml` names the same ones. Touches no file."""

from pathlib import Path

PARAMS = Path("params.yaml")

RAW = Path("data/raw")  # <class>/<image>: the dataset, versioned by DVC
METADATA = RAW / "metadata.csv"  # side table: one row per image, with `path` and any other columns
MEASURED = Path("data/.measured")  # cache: measures of files, so that each file is read once; may be deleted
MANIFEST = Path("data/manifest.parquet")
FROZEN_SPLITS = Path("data/splits.json")  # the split of each image, by its content; fixed for ever
PREPARED = Path("data/prepared")
FEATURES = Path("data/features")
JUDGEMENTS = Path("data/labels.jsonl")  # what people have said of images: grows only, and git keeps it
REJECTED = Path("data/rejected")  # images that people took out of data/raw, below their label; nothing deletes them
AUTO = Path("data/.auto")  # features of other networks, for `nightshift tune --auto`; may be deleted

MODEL = Path("models/current")
CHECKPOINTS = Path("models/checkpoints")  # snapshots of a training, deleted when it is done
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
FEW_NUMBERS = Path("reports/metrics.json")  # few numbers of it, for `dvc metrics show`
TEST_PREDICTIONS = Path("reports/test_predictions.csv")
AUTO_REPORT = Path("reports/auto.html")
SLICES = Path("reports/slices.csv")
ROBUSTNESS = Path("reports/robustness.csv")
FIGURES = Path("reports/figures")
EVALUATION_REPORT = Path("reports/evaluation.html")
MODEL_CARD = Path("reports/model_card.md")
MODEL_CARD_PAGE = Path("reports/model_card.html")
REGISTRATION = Path("reports/registration.json")
REGISTRATION_PAGE = Path("reports/registration.html")
REPORTS_INDEX = Path("reports/index.html")

PATIENT_KEY = Path(
    ".nightshift/patient_key"
)  # of the hashes of patients; git ignores it, and a copy of the project has it
PREDICTIONS = Path("predictions")
