"""Choose device, precision and distribution for everything that Keras computes."""

import contextlib
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.processors import allowing, usable
from pipeline.params.model import Compute

if TYPE_CHECKING:
    import tensorflow as tf

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
NO_GPU = (
    "params.yaml: compute.device is gpu, but TensorFlow sees none. Install the GPU libraries "
    "(`pip install 'nightshift[gpu]'`) and check `nvidia-smi`, or set compute.device to auto."
)
CLUSTER = "TF_CONFIG"  # the environment variable that TensorFlow reads
EXAMPLE = '{"cluster": {"worker": ["first:2222", "second:2222"]}, "task": {"type": "worker", "index": 0}}'


class _Cluster(BaseModel, extra="forbid"):
    chief: list[str] = Field(default=[], max_length=1)
    worker: list[str] = []


class _Task(BaseModel):
    type: Literal["chief", "worker"]
    index: int = Field(ge=0)


class _TrainingCluster(BaseModel):
    """TF_CONFIG: the machines that train together, and which one this is."""

    cluster: _Cluster
    task: _Task

    @model_validator(mode="after")
    def _task_is_in_the_cluster(self) -> "_TrainingCluster":
        known = len(getattr(self.cluster, self.task.type))
        if self.task.index >= known:
            raise ValueError(
                f"cluster.{self.task.type} has no entry {self.task.index}: correct task.index (it counts from 0), or "
                "add this machine's address there"
            )
        return self


def prepare_device(compute: Compute, seed: int) -> "tf.distribute.Strategy":
    """Set Keras up for `compute` and make it repeatable from `seed`; returns the strategy to build models under.

    `auto` uses all GPUs that TensorFlow sees (MirroredStrategy), with mixed_float16; without a GPU, the CPU with
    float32. Raises NightshiftError when `device` is gpu and there is none, or when several machines must train
    together and TF_CONFIG is missing or wrong.

    On one CPU machine the same seed, data and code give the same bits. On GPUs we also request the deterministic
    operations, which are slower; the same bits then need the same card, driver and number of cards. More replicas add
    up gradients in another order, so each number of replicas gives other bits.
    """
    import keras
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if compute.device == "gpu" and not gpus:
        raise NightshiftError(NO_GPU)
    on_gpu = bool(gpus) and compute.device != "cpu"
    if not on_gpu:
        tf.config.set_visible_devices([], "GPU")
    for gpu in gpus if on_gpu else []:
        tf.config.experimental.set_memory_growth(gpu, True)  # leave room for others on the same card
    _limit_threads()
    # TensorFlow sets up communication between workers once, before it computes anything.
    strategy = _strategy(compute, on_gpu)
    precision = compute.precision
    if precision in ("auto", "int8"):  # int8 is for answers alone
        precision = "mixed_float16" if on_gpu else "float32"
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    replicas = strategy.num_replicas_in_sync
    log.debug(
        "%s, %s%s",
        f"{len(gpus)} GPU" if on_gpu else "CPU", precision, f", {replicas} replicas" if replicas > 1 else "",
    )  # fmt: skip
    return strategy


def on_gpu(compute: Compute) -> bool:
    """Whether to predict on a GPU: `compute` asks for one, or says auto and there is one that TensorFlow can use.

    Raises NightshiftError when it asks for one and TensorFlow sees none.
    """
    if compute.device == "gpu":
        if not _tensorflow_sees_one():
            raise NightshiftError(NO_GPU)
        return True
    if (
        compute.device == "cpu" or compute.precision == "int8" or not NVIDIA_DRIVER.exists()
    ):  # without a driver TensorFlow need not be imported
        return False
    if not _tensorflow_sees_one():
        _say_why_not()
        return False
    return True


@cache
def _tensorflow_sees_one() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


@cache
def _say_why_not() -> None:
    log.warning(
        "This machine has an NVIDIA driver, but TensorFlow sees no GPU: the CPU predicts, with OpenVINO. To use the "
        "GPU: `pip install 'nightshift[gpu]'`. To look for none: compute.device: cpu in params.yaml."
    )


def uses_xla() -> bool:
    """Whether XLA compiles networks for prediction: on a GPU, where it makes one kernel of many small ones.

    On a CPU its convolutions are 20 times slower than TensorFlow's (benchmarks/gpu.py).
    """
    import tensorflow as tf

    return bool(tf.config.get_visible_devices("GPU"))


def _limit_threads() -> None:
    """Give TensorFlow as many threads as a container's quota allows: it counts processors only, and would thrash."""
    import tensorflow as tf

    if (count := usable()) < allowing():
        with contextlib.suppress(RuntimeError):  # it has computed already
            tf.config.threading.set_intra_op_parallelism_threads(count)
            tf.config.threading.set_inter_op_parallelism_threads(count)


def _strategy(compute: Compute, on_gpu: bool) -> "tf.distribute.Strategy":
    import tensorflow as tf

    if compute.distribution == "multi_worker":
        cluster = _training_cluster().cluster
        log.info("Waiting for the %d machines of %s", len(cluster.chief) + len(cluster.worker), CLUSTER)
        return tf.distribute.MultiWorkerMirroredStrategy()
    devices = [device.name for device in tf.config.list_logical_devices("GPU" if on_gpu else "CPU")]
    if compute.distribution == "mirrored" or (compute.distribution == "auto" and on_gpu and len(devices) > 1):
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.get_strategy()


def _training_cluster() -> _TrainingCluster:
    text = os.environ.get(CLUSTER)
    if not text:
        raise NightshiftError(
            f"params.yaml: compute.distribution is multi_worker, but the environment has no {CLUSTER}. Set it on every "
            f"machine, each with its own index, e.g. {CLUSTER}='{EXAMPLE}', or set compute.distribution to auto."
        )
    try:
        return _TrainingCluster.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(
            ": ".join(part for part in (".".join(map(str, fault["loc"])), fault["msg"]) if part)
            for fault in error.errors()
        )
        raise NightshiftError(
            f"{CLUSTER} does not say which machines train together: {faults}. It must look like '{EXAMPLE}', "
            "with the index of each machine in the list."
        ) from None


def writes_files(strategy: "tf.distribute.Strategy") -> bool:
    """Whether this process writes the files: of several machines only the first does."""
    machines = strategy.cluster_resolver
    if machines is None or machines.task_type in (None, "", "chief"):
        return True
    return machines.task_id == 0 and "chief" not in machines.cluster_spec().jobs
