"""The stage that computes features: those of images, and of augmented views of the training images."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.core.paths import FEATURES, PREPARED
from pipeline.data.features import read_features, read_training_rows
from pipeline.data.prepared import SPLITS, read_split
from pipeline.embed import view
from pipeline.model.engine import Network
from pipeline.model.frozen import embed, frozen_network
from pipeline.params.file import Params, load_params
from pipeline.params.model import Augment
from tests.fixtures.backbone import FEATURES as FEATURES_OF_ONE
from tests.fixtures.backbone import SIZE
from tests.fixtures.images import noise
from tests.fixtures.project import change_params, dvc, run_stage


@pytest.fixture(scope="module")
def params(trained: Path) -> Params:
    return load_params(trained / "params.yaml")


@pytest.fixture(scope="module")
def network(params: Params, trained: Path) -> Network:
    with contextlib.chdir(trained):
        return frozen_network(params)


def images(count: int) -> NDArray[np.uint8]:
    return np.stack([noise(SIZE, SIZE, seed) for seed in range(count)])


def together(network: Network, pictures: NDArray[np.uint8], *change: object) -> NDArray[np.float32]:
    counts: list[int] = []
    parts = np.concatenate(list(embed(network, pictures, counts.append, *change)))  # type: ignore[arg-type]
    assert sum(counts) == len(pictures)
    return parts


def test_row_i_is_of_image_i_in_whole_batches_and_the_last(network: Network) -> None:
    pictures = images(35)
    found = together(network, pictures)
    assert found.shape == (35, FEATURES_OF_ONE)
    assert found.dtype == np.float32
    for number in (0, 31, 32, 34):
        np.testing.assert_allclose(found[number], network(pictures[number : number + 1])[0], atol=1e-4)


def test_a_view_is_the_augmented_image_and_the_same_each_time(params: Params) -> None:
    pictures = images(35)
    change = view(params.augment, 7, 0)
    first, last = change(pictures[:32]), change(pictures[32:])
    assert first.dtype == np.uint8
    assert first.shape == (32, SIZE, SIZE, 3)
    again = view(params.augment, 7, 0)
    np.testing.assert_array_equal(again(pictures[:32]), first)
    np.testing.assert_array_equal(again(pictures[32:]), last)
    for other in (view(params.augment, 7, 1), view(params.augment, 8, 0)):
        assert not np.array_equal(other(pictures[:32]), first)


def test_a_flipped_view_has_the_features_of_the_flipped_image(network: Network, params: Params) -> None:
    only = dict.fromkeys(Augment.model_fields, 0) | {"horizontal_flip": True, "vertical_flip": False}
    pictures = images(12)
    found = together(network, pictures, view(Augment.model_validate(only), 7, 0))
    plain, mirrored = network(pictures), network(pictures[:, :, ::-1].copy())
    mirrored_rows = np.array([np.allclose(a, b, atol=1e-4) for a, b in zip(found, mirrored, strict=True)])
    plain_rows = np.array([np.allclose(a, b, atol=1e-4) for a, b in zip(found, plain, strict=True)])
    assert (mirrored_rows ^ plain_rows).all()
    assert mirrored_rows.any()
    assert plain_rows.any()


def test_the_stage_writes_the_views_asked_for_and_more_of_them_keep_the_first(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    count = len(read_split(PREPARED, "train").labels)
    written = {}
    for views in (0, 2, 3):
        change_params(project, {"embed": {"views": views}})
        run_stage("embed", project)
        written[views] = {file.name: file.read_bytes() for file in sorted(FEATURES.iterdir())}
        if views:
            assert read_training_rows(FEATURES).views.shape == (views, count, FEATURES_OF_ONE)
    plain = {f"{name}.npy" for name in SPLITS}
    assert set(written[0]) == plain
    assert set(written[2]) == set(written[3]) == {*plain, "train_views.npy"}
    assert all(written[views][name] == written[0][name] for views in (2, 3) for name in plain)
    body = written[2]["train_views.npy"][128:]
    assert written[3]["train_views.npy"][128:].startswith(body)
    rows = read_training_rows(FEATURES)
    assert not np.array_equal(rows.views[0], rows.views[1])
    assert not np.array_equal(rows.views[0], read_features(FEATURES, "train"))


def test_views_that_would_all_be_the_image_itself_are_not_made(project: Path) -> None:
    off: dict[str, object] = {name: False if "flip" in name else 0.0 for name in Augment.model_fields}
    change_params(project, {"augment": off, "embed": {"views": 2}})
    assert "there are no augmented views to embed" in run_stage("embed", project)
    assert not (project / FEATURES / "train_views.npy").exists()


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"train": {"head": {"dropout": 0.3}}}, False),
        ({"embed": {"views": 1}}, True),
        ({"augment": {"brightness": 0.2}}, True),
    ],
    ids=["the head", "views", "augmentation"],
)
def test_features_are_computed_anew_only_after_changes_that_touch_them(
    project: Path, change: dict[str, object], again: bool
) -> None:
    change_params(project, change)
    assert ("embed" in dvc("status", "embed", cwd=project).stdout) == again
