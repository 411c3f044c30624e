"""The tutorials' way to train, against Nightshift's: seconds and accuracy, on the demo set's split, in one run.

    python benchmarks/training.py

The tutorial is the transfer learning that most guides show: a generator that reads the image files again for every
epoch (`flow_from_directory`), flips them, and sends them through a frozen network to a new last layer, 20 epochs. Its
network is the one that Nightshift uses. Then Nightshift, with fine-tuning off: features computed once, a last layer on
them. Both are judged on the same test images. All happens in a temporary project; every step is a command of its own,
so that start-up and imports count for both.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml

EPOCHS = 20
BATCH_SIZE = 32
REPOSITORY = Path(__file__).parent.parent
SPLIT_FOLDERS = Path("tutorial")  # <split>/<label>/<image>: the layout that the tutorial reads


def tutorial() -> None:
    """The tutorial's training in the current project; prints its accuracies on the test images as JSON."""
    import keras
    from keras import layers
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    from pipeline.backbones.build import build_backbone
    from pipeline.evaluation.metrics import accuracy, balanced_accuracy
    from pipeline.params.file import load_params

    params = load_params()
    keras.utils.set_random_seed(params.seed)
    size = (params.images.height, params.images.width)

    def batches(split: str, *, training: bool) -> object:
        source = ImageDataGenerator(horizontal_flip=training, vertical_flip=training)
        return source.flow_from_directory(
            SPLIT_FOLDERS / split, size, batch_size=BATCH_SIZE, class_mode="sparse", shuffle=training
        )

    backbone = build_backbone(params.model, params.images)
    backbone.trainable = False
    train, val, test = (batches(split, training=split == "train") for split in ("train", "val", "test"))
    inputs = keras.Input((*size, 3))
    features = layers.Dropout(0.2)(backbone(inputs, training=False))
    model = keras.Model(inputs, layers.Dense(len(train.class_indices), activation="softmax")(features))
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train, validation_data=val, epochs=EPOCHS, verbose=2)
    answers, labels = model.predict(test, verbose=0), np.asarray(test.labels)
    scores = {"accuracy": accuracy(labels, answers), "balanced_accuracy": balanced_accuracy(labels, answers)}
    print("scores", json.dumps(scores))


def write_split_folders(project: Path) -> None:
    """Links to the original files, by split and label."""
    import pandas as pd

    for split in ("train", "val", "test"):
        for row in pd.read_parquet(project / f"data/prepared/{split}.parquet", columns=["path", "label"]).itertuples():
            link = project / SPLIT_FOLDERS / split / row.label / Path(row.path).name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(project / "data/raw" / row.path)


def new_project(folder: Path) -> None:
    """The files of this project, the demo images, and the split."""
    for name in ("pipeline", "flows"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".gitignore", ".dvcignore", "data/.gitignore", "models/.gitignore", "reports/.gitignore"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    write_params(folder, learning_rate=None)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    timed(folder, "dvc", "init", "--quiet")
    timed(folder, "nightshift", "data", "demo")
    timed(folder, "dvc", "repro", "preprocess")


def write_params(folder: Path, learning_rate: float | None) -> None:
    """The shipped parameters with fine-tuning off, and another learning rate of the head."""
    values = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    values["train"]["fine_tune"]["steps"] = 0
    if learning_rate:
        values["train"]["head"]["learning_rate"] = learning_rate
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def timed(project: Path, command: str, *words: str) -> tuple[float, str]:
    """Seconds and output of one of the environment's commands in the project."""
    start = time.perf_counter()
    tools = Path(sys.executable).parent
    done = subprocess.run(
        [tools / command, *words], cwd=project, text=True, capture_output=True, check=False,
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(project)},
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{command} {' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - start, done.stdout


def main() -> None:
    """Run both ways, one after the other, and print their ratio."""
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary) / "project"
        project.mkdir()
        new_project(project)
        write_split_folders(project)
        theirs, said = timed(project, "python", str(Path(__file__).absolute()), "--tutorial")
        their_scores = json.loads(said.rsplit("scores", 1)[1])
        ours = sum(timed(project, "dvc", "repro", "--single-item", stage)[0] for stage in ("embed", "train"))
        timed(project, "dvc", "repro")
        evaluation = json.loads((project / "reports/evaluation.json").read_text())
        our_scores = {name: evaluation[name]["value"] for name in their_scores}
        write_params(project, learning_rate=0.002)
        head_only, _ = timed(project, "dvc", "repro", "train")
        timed(project, "dvc", "repro")
        nothing, _ = timed(project, "dvc", "repro")
    for name, seconds, scores in (("tutorial", theirs, their_scores), ("nightshift", ours, our_scores)):
        words = ", ".join(f"{metric.replace('_', ' ')} {value:.3f}" for metric, value in scores.items())
        print(f"{name:11} {seconds:6.1f} s   {words}")
    print(f"nightshift is {theirs / ours:.1f} times as fast")
    print(
        f"the last layer again, with kept features: {head_only:.1f} s; `dvc repro` with nothing to do: {nothing:.1f} s"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tutorial", action="store_true", help="only the tutorial's part, in the current project")
    tutorial() if parser.parse_args().tutorial else main()
