"""Strangers before whole trainings: the share called `ok`, by confidence alone and now, and other outlier scores.

    python -m benchmarks.strangers_trained WORK PHOTOS FASHION [--models textile fashion solar] [--seeds 1]

WORK: a folder for the projects, continued by the same command; PHOTOS: a folder of photographs, strangers to every
model; FASHION: the folder of Debian's dataset-fashion-mnist. Textiles come from the package conformal-clip-data, solar
cells from elpv-dataset.

Each model is made as a user makes one: images from folders (`nightshift data import`), `nightshift train`, `nightshift
classify`. MODELS says where its parameters differ, to save time. It classifies its own test images, the other sets and
four kinds of hostile pictures: nearly black, noise, heavy blur (all three of its own test images), pages of text.
Fashion-MNIST is learnt without two of its ten classes, which are near strangers. The first tables are of the
predictions.csv: `ok` by confidence alone, and as it is. The others compare scores, on the fine-tuned network's
embeddings and on the frozen backbone's, at the same rate of false alarms on validation images. A model takes 4
(fashion) to 15 minutes of two cores.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from PIL import Image
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benchmarks.strangers import fashion as fashion_images
from benchmarks.strangers import knn, page, spoilt, tied
from pipeline.data.prepared import read_split
from pipeline.images.decode import decode
from pipeline.model.contract import read_contract
from pipeline.model.doubt import OUTLIER
from pipeline.model.engine import load_judging, probabilities
from pipeline.model.false_alarms import limit
from pipeline.model.frozen import embed, frozen_network
from pipeline.model.precision import numbers_of
from pipeline.night.rows import read_rows
from pipeline.params.file import Params, load_params

REPOSITORY = Path(__file__).parents[1]
STRANGERS = 250  # images of each set, evenly taken
HOSTILE = 30  # images of each kind
A_CLASS = 200  # images of Fashion-MNIST to learn from
FASHION_SIDE = 56  # pixels; they have 28, and smaller ones than 32 are refused
BATCH = 32

# Differences from params.yaml. Robustness and explanations cost time; a gate has nothing to do with strangers.
QUICK: dict[str, Any] = {
    "evaluate": {"robustness": False, "explained": 0},
    "register": {
        "promote": "auto",
        "gate": {
            "min_accuracy": 0.1, "min_balanced_accuracy": 0.1, "max_log_loss": 9.0,
            "max_expected_calibration_error": 1.0, "max_slowdown": 100.0,
        },
    },
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "textile": {"images": {"width": 160, "height": 160}},
    "fashion": {"images": {"width": 96, "height": 96}},
    "solar": {"images": {"width": 128, "height": 128}},
}

Floats = NDArray[np.float64]


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`values` with `changes`, deep."""
    return values | {key: merged(values[key], new) if isinstance(new, dict) else new for key, new in changes.items()}


def run(*words: str, cwd: Path) -> None:
    """A command in a project, its words into log.txt."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with (cwd / "log.txt").open("a") as log:
        subprocess.run(words, cwd=cwd, env={**os.environ, "PATH": path}, stdout=log, stderr=log, check=True)


@dataclass(frozen=True)
class Place:
    """Folders of one model."""

    work: Path
    name: str  # of MODELS
    seed: int

    @property
    def project(self) -> Path:
        """The project's folder."""
        return self.work / f"{self.name}-{self.seed}"


def write_sets(work: Path, photos: Path, fashion: Path) -> None:
    """The sets as folders: <set>/<class>/<image>."""
    sets = work / "sets"
    if (sets / "done").exists():
        return
    textile = Path(str(resources.files("conformal_clip_data"))) / "data/textile_images/simulated"
    shutil.copytree(textile, sets / "textile", dirs_exist_ok=True)
    shutil.copytree(photos, sets / "photos/any", dirs_exist_ok=True)
    shutil.copytree(Path(str(resources.files("elpv_dataset"))) / "data/images", sets / "solar/any", dirs_exist_ok=True)
    count: dict[str, int] = {}
    for pixels, label in fashion_images(fashion):
        number = count[label] = count.get(label, 0) + 1
        if number <= A_CLASS:
            file = sets / "fashion" / f"class{label}" / f"{number:03d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).resize((FASHION_SIDE, FASHION_SIDE), Image.Resampling.BOX).save(file)
    (sets / "done").touch()


def left_out(place: Place) -> set[str]:
    """The classes that this model does not learn."""
    return {f"class{(place.seed + step) % 10}" for step in (0, 5)} if place.name == "fashion" else set()


def make(place: Place) -> None:
    """A trained and registered model."""
    project = place.project
    if (project / "trained").exists():
        return
    if not (project / "imported").exists():
        shutil.rmtree(project, ignore_errors=True)
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(project)], check=True)
        for words in (("name", "benchmark"), ("email", "benchmark@localhost")):
            subprocess.run(["git", "config", f"user.{words[0]}", words[1]], cwd=project, check=True)
        file = project / "params.yaml"
        values = yaml.safe_load(file.read_text())
        for changes in (QUICK, MODELS[place.name], {"seed": place.seed}):
            values = merged(values, changes)
        file.write_text(yaml.safe_dump(values, sort_keys=False))
        if place.name == "solar":
            run("nightshift", "data", "demo", cwd=project)
        else:
            source = place.work / "sources" / project.name
            for folder in sorted((place.work / "sets" / place.name).iterdir()):
                if folder.name not in left_out(place):
                    shutil.copytree(folder, source / folder.name, dirs_exist_ok=True)
            run("nightshift", "data", "import", str(source), cwd=project)
        (project / "imported").touch()
    run("nightshift", "train", "--no-prefect", cwd=project)
    (project / "trained").touch()


def write_inputs(place: Place) -> None:
    """The folders that the model is to classify, in `nights` of its project."""
    nights = place.project / "nights"
    if (nights / "done").exists():
        return
    for name in ("photos", "solar", "textile", "fashion"):
        files = sorted(file for file in (place.work / "sets" / name).rglob("*.*g"))
        groups = {name: [file for file in files if file.parent.name not in left_out(place)]}
        if name == place.name:
            groups = {"near": [file for file in files if file.parent.name in left_out(place)]}
        for group, found in groups.items():
            for file in found[:: max(1, len(found) // STRANGERS)][:STRANGERS]:
                target = nights / group / f"{file.parent.name}_{file.name}"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)
    if not (nights / "own").exists():
        run("nightshift", "data", "holdout", str(nights / "own"), cwd=place.project)
    rng, rules = np.random.default_rng(place.seed), load_params(place.project / "params.yaml").images
    for number, file in enumerate(sorted(file for file in (nights / "own").rglob("*.*g"))[:HOSTILE]):
        ways = spoilt(decode(file.read_bytes(), rules).pixels, rng) | {"pages": page(rng)}
        for way, pixels in ways.items():
            target = nights / way / f"{number:02d}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(target)
    (nights / "done").touch()


def classified(place: Place) -> Iterator[dict[str, object]]:
    """Of each folder the share of `ok`, by confidence alone and now."""
    nights = place.project / "nights"
    above = read_contract(place.project / "models/current").outlier_above
    for folder in sorted(folder for folder in nights.iterdir() if folder.is_dir()):
        output = place.project / "predictions" / folder.name
        if not (output / "predictions.csv").exists():
            run("nightshift", "classify", str(folder), str(output), "--no-prefect", cwd=place.project)
        rows = list(read_rows(output / "predictions.csv"))
        flags = [row["flags"].split() for row in rows]
        yield {
            "images": folder.name, "n": len(rows),
            "before": np.mean(["low_confidence" not in found for found in flags]),
            "now": np.mean([row["status"] == "ok" for row in rows]),
            "outliers": np.mean([OUTLIER in found for found in flags]),
            "score / limit": np.median([float(row["outlier_score"]) for row in rows]) / (above or np.nan),
        }  # fmt: skip


def outputs(place: Place) -> dict[str, NDArray[np.float32]]:
    """Embeddings of the fine-tuned and of the frozen network, and logits, of every kind of image; kept."""
    file, project = place.project / "outputs.npz", place.project
    if file.exists():
        return dict(np.load(file))
    params: Params = load_params(project / "params.yaml")
    contract = read_contract(project / "models/current")
    judging = load_judging(project / "models/current", params.compute, numbers_of(contract, params.compute))
    splits = {name: read_split(project / "data/prepared", name) for name in ("train", "val", "test")}  # type: ignore[arg-type]
    images = {name: np.asarray(split.images) for name, split in splits.items()}
    for folder in sorted(folder for folder in (project / "nights").iterdir() if folder.is_dir()):
        if folder.name != "own":
            files = sorted(file for file in folder.iterdir())
            images[folder.name] = np.stack([decode(file.read_bytes(), params.images).pixels for file in files])
    frozen, found = frozen_network(params), {"train labels": splits["train"].labels}
    for name, pixels in images.items():
        parts = [judging(pixels[start : start + BATCH]) for start in range(0, len(pixels), BATCH)]
        found[f"{name} logits"] = np.concatenate([logits for logits, _ in parts])
        found[f"{name} tuned"] = np.concatenate([embedding for _, embedding in parts])
        found[f"{name} frozen"] = np.concatenate([*embed(frozen, pixels, lambda _: None)])
    np.savez(file, **found)
    return found


def scored(found: dict[str, NDArray[np.float32]]) -> dict[str, dict[str, Floats]]:
    """By score and kind of image: how unlike the training images each one is."""
    kinds = [name.removesuffix(" logits") for name in found if name.endswith(" logits")]
    labels, head = found["train labels"].astype(np.int64), LogisticRegression()  # not used by these scores
    scores: dict[str, dict[str, Floats]] = {}
    for network in ("tuned", "frozen"):
        learnt = found[f"train {network}"].astype(np.float64)
        for name, way in (("nearest", knn), ("Mahalanobis", tied)):
            score = way(learnt, labels, head)
            scores[f"{name}, {network}"] = {
                kind: np.asarray(score(found[f"{kind} {network}"].astype(np.float64), np.empty(0)))
                for kind in kinds if kind != "train"
            }  # fmt: skip
    scores["energy"] = {
        kind: -logsumexp(found[f"{kind} logits"].astype(np.float64), axis=1) for kind in kinds if kind != "train"
    }
    for name, both in {
        "nearest, both": ("nearest, tuned", "nearest, frozen"),
        "nearest + energy": ("nearest, tuned", "energy"),
        "nearest + Mahalanobis": ("nearest, tuned", "Mahalanobis, tuned"),
    }.items():
        spread = [(scores[one]["val"].mean(), scores[one]["val"].std()) for one in both]
        scores[name] = {
            kind: sum((scores[one][kind] - mean) / std for one, (mean, std) in zip(both, spread, strict=True))
            for kind in scores["energy"]
        }
    return scores


def compared(place: Place) -> Iterator[dict[str, object]]:
    """Of each score and kind: AUROC against the test images, share `ok`, false alarms on the test images."""
    found, params = outputs(place), load_params(place.project / "params.yaml")
    contract = read_contract(place.project / "models/current")
    for name, scores in scored(found).items():
        above, _ = limit(scores["val"], params.train.outlier_alarms)
        for kind in sorted(scores.keys() - {"val"}):
            confidence = probabilities(found[f"{kind} logits"], contract.temperature).max(axis=1)
            inside = scores[kind] <= above
            truth = np.repeat([0, 1], [len(scores["test"]), len(inside)])
            yield {
                "score": name, "images": kind,
                "auroc": roc_auc_score(truth, np.concatenate([scores["test"], scores[kind]])),
                "ok": float((inside & (confidence >= contract.unsure_below)).mean()),
                "inside": float(inside.mean()),
            }  # fmt: skip


def show(title: str, table: pd.DataFrame) -> None:
    """Print a table."""
    print(f"\n{title}\n{table.round(3).to_string()}", flush=True)


def main(work: Path, photos: Path, fashion: Path, models: list[str], seeds: list[int]) -> None:
    """Each model when it is done, then means over the seeds."""
    write_sets(work, photos, fashion)
    nights, scores = pd.DataFrame(), pd.DataFrame()
    pd.set_option("display.width", 220)
    for seed in seeds:
        for name in models:
            place = Place(work.absolute(), name, seed)
            make(place)
            write_inputs(place)
            found, ways = pd.DataFrame(classified(place)), pd.DataFrame(compared(place))
            contract = read_contract(place.project / "models/current")
            title = (
                f"{name}, seed {seed}: ok from {contract.unsure_below:.3f} on, outlier above {contract.outlier_above}"
            )
            show(title, found.set_index("images"))
            nights = pd.concat([nights, found.assign(model=name)])
            scores = pd.concat([scores, ways.assign(model=name)])
    means = nights.groupby(["model", "images"], sort=False)
    show(f"means of seeds {seeds}", means.mean().assign(worst=means["now"].max()))
    far = scores[~scores["images"].isin(["test", "near"])].groupby(["score", "model"], sort=False)["ok"].max()
    show("far and hostile called ok: the most of any set and seed", far.unstack("model"))
    for kind in ("near", "test"):
        part = scores[scores["images"] == kind].groupby(["score", "model"], sort=False)
        show(f"{kind}: ok, not an outlier, AUROC", part[["ok", "inside", "auroc"]].mean().unstack("model"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("fashion", type=Path)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    words = parser.parse_args()
    main(words.work, words.photos, words.fashion, words.models, words.seeds)
