"""Device and precision are chosen in one place, and what is chosen is what computes."""

import contextlib
import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from pipeline.backbones.build import build_backbone
from pipeline.core.errors import NightshiftError
from pipeline.model import device
from pipeline.model.contract import KERAS, NETWORK
from pipeline.model.device import CLUSTER, EXAMPLE, prepare_device
from pipeline.model.engine import openvino_judging, openvino_network, probabilities
from pipeline.model.export import compute_in_float32, export_openvino
from pipeline.model.keras_engine import keras_judging, keras_network
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.params.model import Compute, Model
from pipeline.training.batches import Examples, Task
from pipeline.training.fitting import fit, make_judge
from pipeline.training.optimiser import build_optimiser
from pipeline.training.pace import whole_passes
from pipeline.training.recipe import assemble, head
from tests.fixtures.forked import forking
from tests.fixtures.project import change_params, copy_of


@pytest.fixture(autouse=True)
def float32_afterwards() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


def test_a_gpu_that_is_demanded_and_missing_is_an_error_with_the_ways_on() -> None:
    assert tf.config.list_physical_devices("GPU") == [], "this test is about a machine without one"
    with pytest.raises(NightshiftError, match=r"compute.device is gpu, but TensorFlow sees none.*nvidia-smi"):
        prepare_device(Compute(device="gpu", precision="auto", workers=0), seed=1)


def test_a_driver_without_cuda_leaves_prediction_to_openvino_with_one_line_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert tf.config.list_physical_devices("GPU") == [], "this test is about a machine without one"
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14\n")
    monkeypatch.setattr(device, "NVIDIA_DRIVER", tmp_path / "version")
    logging.getLogger("nightshift").propagate = True
    device._say_why_not.cache_clear()
    compute = Compute(device="auto", precision="auto", workers=1)
    assert [device.on_gpu(compute), device.on_gpu(compute)] == [False, False]
    [line] = [record.getMessage() for record in caplog.records]
    assert "TensorFlow sees no GPU: the CPU predicts, with OpenVINO" in line
    assert not device.on_gpu(compute.model_copy(update={"device": "cpu"}))
    with pytest.raises(NightshiftError, match="compute.device is gpu, but TensorFlow sees none"):
        device.on_gpu(compute.model_copy(update={"device": "gpu"}))


def test_auto_on_a_cpu_is_float32_on_one_device() -> None:
    strategy = prepare_device(Compute(device="auto", precision="auto", workers=0), seed=1)
    assert keras.config.dtype_policy().name == "float32"
    assert strategy.num_replicas_in_sync == 1


def test_the_seed_repeats_what_is_drawn() -> None:
    drawn = []
    for seed in (1, 1, 2):
        prepare_device(Compute(device="cpu", precision="float32", workers=0), seed=seed)
        drawn.append(keras.random.normal((3,)).numpy().tolist())
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_and_exports_and_keeps_logits_and_weights_in_float32(
    defaults: Params, tmp_path: Path, precision: str
) -> None:
    compute = Compute(device="cpu", precision=precision, workers=0)  # type: ignore[arg-type]
    images, labels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8), np.arange(8) % 2
    strategy = prepare_device(compute, seed=1)
    rules = Images(width=16, height=16, fit="stretch", max_megapixels=1)
    how = defaults.train.scratch.model_copy(update={"epochs": 2, "batch_size": 4, "ema": 0.9})
    with strategy.scope():
        model = assemble(build_backbone(Model(backbone="cnn", weights="none"), rules), head(2), 0.1, seed=1)
        optimiser = build_optimiser(model, how, how.learning_rate)
    examples = Examples(images, labels)
    task = Task(
        "scratch",
        examples,
        examples,
        np.eye(2, dtype=np.float32)[labels],
        np.ones(2, np.float32),
        1,
        whole_passes(2, 8, 4),
    )
    before = model.get_weights()
    history = fit(model, optimiser, task, how, defaults.train)
    assert np.isfinite([epoch["objective"] for epoch in history]).all()
    assert any((new != old).any() for new, old in zip(model.get_weights(), before, strict=True))
    assert model.layers[2].compute_dtype == precision.removeprefix("mixed_")
    assert model(images.astype(np.float32)).dtype == "float32"
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    mixed = make_judge(model, 8)(examples)
    compute_in_float32(model)
    export_openvino(model, tmp_path)
    model.save(tmp_path / KERAS)
    exported = openvino_network(tmp_path / NETWORK, 2)(images)
    saved = keras_network(tmp_path / KERAS, compute.alone)(images)
    np.testing.assert_allclose(exported, saved, atol=1e-4)
    logits, embeddings = keras_judging(tmp_path / KERAS, compute.alone)(images)
    np.testing.assert_allclose(logits, saved, atol=1e-6)
    np.testing.assert_allclose(embeddings, openvino_judging(tmp_path / NETWORK, 2)(images)[1], atol=1e-4)
    np.testing.assert_allclose(probabilities(exported, 1.0), probabilities(mixed, 1.0), atol=0.02)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "the environment has no TF_CONFIG"),
        ("{", "Invalid JSON"),
        ('{"cluster": {"worker": ["a:1"]}}', "task: Field required"),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            "cluster.worker has no entry 1: correct task.index",
        ),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "worker", "index": 0}}', "cluster.ps: Extra inputs"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "evaluator", "index": 0}}', "'chief' or 'worker'"),
    ],
    ids=["missing", "no JSON", "no task", "index beyond", "parameter server", "evaluator"],
)
def test_machines_that_are_not_named_well_are_an_error_that_shows_how(
    monkeypatch: pytest.MonkeyPatch, text: str | None, words: str
) -> None:
    monkeypatch.delenv(CLUSTER, raising=False)
    if text is not None:
        monkeypatch.setenv(CLUSTER, text)
    with pytest.raises(NightshiftError) as error:
        prepare_device(Compute(device="cpu", precision="auto", workers=0, distribution="multi_worker"), seed=1)
    assert words in str(error.value)
    assert EXAMPLE in str(error.value)


def test_a_network_is_asked_by_one_process_wherever_it_was_trained() -> None:
    several = Compute(device="cpu", precision="float32", workers=3, distribution="multi_worker")
    assert several.alone == several.model_copy(update={"distribution": "none"})
    assert prepare_device(several.alone, seed=1).num_replicas_in_sync == 1


# Before TensorFlow starts: half of the processor is a device, so that there are two.
TWO_DEVICES = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        return [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


@pytest.mark.slow
def test_two_machines_train_what_two_devices_of_one_do_and_the_first_one_writes(project: Path, tmp_path: Path) -> None:
    fit = {"epochs": 2, "batch_size": 8, "patience": 2}
    change_params(project, {"model": {"backbone": "cnn", "weights": "none"}, "train": {"scratch": fit}})
    folders = {"mirrored": project, "multi_worker": copy_of(project, tmp_path / "several")}
    for kind, folder in folders.items():
        change_params(folder, {"compute": {"distribution": kind}})
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    train = ("-m", "pipeline.train")
    with contextlib.ExitStack() as machines:
        started = [machines.enter_context(forking(*train, cwd=project, work="training", before=TWO_DEVICES))]
        for index in range(2):
            cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            machine = forking(*train, cwd=folders["multi_worker"], work="training", TF_CONFIG=json.dumps(cluster))
            started.append(machines.enter_context(machine))
        said = [machine.communicate() for machine in started]
    assert [machine.returncode for machine in started] == [0, 0, 0], said
    logs = [log.read_text() for folder in folders.values() for log in folder.glob(".nightshift/logs/command-*.log")]
    assert sum("2 replicas" in words for words in logs) == 3
    found = {}
    for kind, folder in folders.items():
        found[kind] = pd.read_csv(folder / "reports/curves.csv").drop(columns="phase").to_numpy()
        assert not [entry for entry in (folder / "models/checkpoints").iterdir() if entry.is_dir()]
    np.testing.assert_allclose(found["mirrored"], found["multi_worker"], rtol=1e-4, atol=1e-6)
