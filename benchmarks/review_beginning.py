"""Images without labels, labelled at the review page: clicks and minutes; and how what it does was chosen.

    python benchmarks/review_beginning.py clicks LABELLED [COUNT]  the person alone, by the page's own routes: a minute
    python benchmarks/review_beginning.py groups LABELLED          sizes of groups, and how they are made
    python benchmarks/review_beginning.py measures LABELLED        what groups say of a head, and a fair draw
    python benchmarks/review_beginning.py heads LABELLED           strengths of the head

LABELLED is a folder <class>/<image>, such as data/raw of the demo. COUNT of its images (500) are copied under other
names into a folder without labels. A script answers as a person would who knows the truth: it looks at each image for
GLANCE seconds, clicks those that are wrong, and presses one key for the rest. review_beginning_page.py goes all the way
to a registered model, in Chromium.
"""

import csv
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import balanced_accuracy_score

from pipeline.core.shipped import shipped
from pipeline.params.file import load_params
from pipeline.review.app import make_app
from pipeline.review.backbone import load_backbone
from pipeline.review.clusters import alike, projected
from pipeline.review.head import balanced_accuracy, fit
from pipeline.review.of_folder import open_folder
from pipeline.review.pictures import Pictures
from pipeline.review.session import Session
from pipeline.storage.folders import folder_at

GLANCE = 0.6  # seconds at an image, and for a click or a key
NAME = 2.0  # seconds to type the name of a new class
COUNT = 500
READER = "oracle"


@dataclass
class Person:
    """Who answers, and what it has cost so far."""

    truth: Mapping[str, str]  # path -> label
    clicks: int = 0
    glances: int = 0
    names: set[str] = field(default_factory=set)
    given: dict[str, str] = field(default_factory=dict)  # path -> label

    @property
    def minutes(self) -> float:
        """That a person would have taken."""
        return (GLANCE * (self.clicks + self.glances) + NAME * len(self.names)) / 60

    def answer(self, group: dict[str, Any]) -> tuple[list[tuple[dict[str, Any], str]], str]:
        """The tiles with their labels, and the label that the others do not have; counts what it costs."""
        tiles = group["tiles"]
        labels = [self.truth[tile["p"]] for tile in tiles]
        self.glances += len(tiles)
        self.clicks += 1  # Enter, or the label's key
        self.names |= set(labels)
        if any(tile["l"] for tile in tiles):  # proposals: a click gives the second label, a click and a key any other
            self.clicks += sum(
                0 if label == tile["l"] else 1 if label == tile["o"] else 2
                for tile, label in zip(tiles, labels, strict=True)
            )
            return list(zip(tiles, labels, strict=True)), ""
        most = max(labels, key=labels.count)
        self.clicks += sum(label != most for label in labels)
        return [(tile, label) for tile, label in zip(tiles, labels, strict=True) if label == most], most


def unlabelled(labelled: Path, folder: Path, count: int) -> tuple[dict[str, str], list[Path]]:
    """Copy `count` images, drawn at random, into `folder`; returns the label of each name, and the images left."""
    every = sorted(file for file in labelled.glob("*/*") if file.parent.is_dir() and file.is_file())
    order = np.random.default_rng(0).permutation(len(every))
    truth = {}
    for number in order[:count]:
        file = every[number]
        name = f"{hashlib.sha256(str(file).encode()).hexdigest()[:12]}{file.suffix}"
        shutil.copyfile(file, folder / name)
        truth[name] = file.parent.name
    return truth, [every[number] for number in order[count:]]


def review(folder: Path, truth: Mapping[str, str]) -> Person:
    """Judge every image of `folder`, in the project that is the working folder."""
    params, person = load_params(), Person(truth)
    opened = open_folder(folder_at(folder), params)
    said_enough = False
    with TestClient(make_app(Session(opened), Pictures(opened.images))) as client:
        state = _when_ready(client)
        while (group := client.get("/part/group", params={"page": "oracle"}).json()["group"]) is not None:
            said, most = person.answer(group)
            clicks = [
                {"click": tile["s"][:48], "sha256": tile["s"], "label": label, "swept": group["kind"] != "draw",
                 "seconds": GLANCE}
                for tile, label in said
            ]  # fmt: skip
            client.post("/api/judgements", json={"reader": READER, "clicks": clicks}).raise_for_status()
            person.given |= {tile["p"]: label for tile, label in said}
            left = {tile["s"] for tile in group["tiles"]} - {tile["s"] for tile, _ in said}
            client.post("/part/aside", json={"images": sorted(left), "label": most}).raise_for_status()
            state = _when_ready(client)
            if state["enough"] and not said_enough:
                said_enough = True
                print(f"  enough, it says, after {_cost(person)}: {' '.join(state['sentences'])}")
    print(f"  all judged after {_cost(person)}")
    return person


def _when_ready(client: TestClient) -> dict[str, Any]:
    while (found := client.get("/part/state").json())["learning"] or found["at_work"]:
        time.sleep(0.05)
    state: dict[str, Any] = found
    return state


def _cost(person: Person) -> str:
    return f"{len(person.given)} images, {person.clicks} clicks and keys, {person.minutes:.1f} minutes"


def clicks(labelled: Path, count: int) -> None:
    """The person alone."""
    with tempfile.TemporaryDirectory() as project:
        folder = Path(project) / "photos"
        folder.mkdir()
        truth, _ = unlabelled(labelled, folder, count)
        (Path(project) / "params.yaml").write_text(shipped("params.yaml"))
        os.chdir(project)
        print(f"{len(truth)} images: {dict(Counter(truth.values()))}")
        review(folder, truth)


def try_on(rest: list[Path]) -> None:
    """A night over the images that nobody has labelled."""
    new, known = Path("new"), {}
    new.mkdir(exist_ok=True)
    for file in rest:
        shutil.copyfile(file, new / file.name)
        known[file.name] = file.parent.name
    run("classify", "new", "night", cwd=Path())
    with Path("night/predictions.csv").open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["label"]]
    answers, labels = [row["label"] for row in rows], [known[row["path"]] for row in rows]
    ok = [row["status"] == "ok" for row in rows]
    right_ok = np.array([one == label for one, label in zip(answers, labels, strict=True)])[np.array(ok)]
    print(
        f"on the {len(rows)} other images: accuracy {np.mean(np.array(answers) == np.array(labels)):.3f}, balanced "
        f"{balanced_accuracy_score(labels, answers):.3f}; ok {np.mean(ok):.0%}, of them right {right_ok.mean():.3f}"
    )


def run(*words: str, cwd: Path) -> str:
    """What a command of `nightshift` says. Raises CalledProcessError."""
    return subprocess.run(["nightshift", *words], cwd=cwd, check=True, capture_output=True, text=True).stdout


def features_of(labelled: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Features and labels of at most 1,000 images."""
    from pipeline.night.reading import Decoded, Reading, read_images

    params = load_params()
    paths = [one.path for one in folder_at(labelled).list_images()]
    paths = [paths[number] for number in np.random.default_rng(0).permutation(len(paths))[:1000]]
    network = load_backbone(params).network
    reads = read_images(folder_at(labelled), paths, params.images, Reading(params.compute.threads, 64, 60.0))
    found = [
        (network(one.picture.pixels[None])[0], one.path.split("/")[0]) for one in reads if isinstance(one, Decoded)
    ]
    return np.stack([one for one, _ in found]), np.array([label for _, label in found])


def compare_groups(labelled: Path) -> None:
    """How pure groups are, and how many clicks label 500 images."""
    features, labels = (part[:COUNT] for part in features_of(labelled))
    points = projected(features)
    for size in (6, 10, 16, 24):
        ward = AgglomerativeClustering(round(len(labels) / size)).fit_predict(points)
        ways = {"k-means": alike(features, size), "Ward": [np.flatnonzero(ward == number) for number in set(ward)]}
        for way, groups in ways.items():
            most = sum(max(Counter(labels[group]).values()) for group in groups)
            clicks = len(groups) + len(labels) - most
            print(f"{way}, {size} a group: purity {most / len(labels):.2f}, {clicks} clicks in one pass")


def compare_measures(labelled: Path) -> None:
    """What groups say of a head, and what a fair draw says, beside the truth on other images."""
    features, labels = features_of(labelled)
    kept = []  # of each group those with the label of most: the others are left out, and come later
    for group in alike(features[:COUNT]):
        ((most, _),) = Counter(labels[group]).most_common(1)
        kept.append(group[labels[group] == most])
    for count in (200, 250, 300):
        for way, some in (("groups", np.concatenate(kept)[:count]), ("a fair draw", np.arange(count))):
            if len(set(labels[some])) < 2:
                continue
            said = balanced_accuracy(features[some], list(labels[some]), np.full(count, True), seed=0)
            head = fit(features[some], list(labels[some]))
            answers = np.array(head.labels)[head.probabilities(features[COUNT:]).argmax(axis=1)]
            truth = balanced_accuracy_score(labels[COUNT:], answers)
            words = f"{said.value:.2f} ({said.low:.2f} to {said.high:.2f})" if said else "nothing"
            print(f"{count} images by {way}: they say {words}, true is {truth:.2f}")


def compare_heads(labelled: Path) -> None:
    """Balanced accuracy on other images, by the penalty and the number of images."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    features, labels = features_of(labelled)
    with threadpool_limits(1):
        for count in (40, 100, 200, 400):
            for strength in (1e-4, 1e-3, 1e-2, 0.1, 1.0):
                found = []
                for seed in range(3):
                    order = np.random.default_rng(seed).permutation(len(labels))
                    some, rest = order[:count], order[400:]
                    head = LogisticRegression(C=strength, class_weight="balanced", max_iter=500)
                    fitted = make_pipeline(StandardScaler(), head).fit(features[some], labels[some])
                    found.append(balanced_accuracy_score(labels[rest], fitted.predict(features[rest])))
                print(f"{count} images, C = {strength:g}: {np.mean(found):.3f}")


if __name__ == "__main__":
    what, where = sys.argv[1], Path(sys.argv[2]).absolute()
    match what:
        case "clicks":
            clicks(where, int(sys.argv[3]) if len(sys.argv) > 3 else COUNT)
        case "groups":
            compare_groups(where)
        case "measures":
            compare_measures(where)
        case "heads":
            compare_heads(where)
        case _:
            sys.exit(__doc__)
