"""One function that chooses device, precision and distribution for everything that Keras computes."""

from typing import TYPE_CHECKING

from pipeline.errors import NightshiftError
from pipeline.params_model import Compute
from pipeline.stage import log

if TYPE_CHECKING:
    import tensorflow as tf


def prepare_device(compute: Compute, seed: int) -> "tf.distribute.Strategy":
    """Set Keras up for `compute` and make it repeatable from `seed`; returns the strategy to build models under.

    `auto` takes the GPUs when TensorFlow sees any, all of them (MirroredStrategy), with mixed_float16; else the CPU
    with float32. Raises NightshiftError when a GPU is demanded and there is none.
    """
    import keras
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if compute.device == "gpu" and not gpus:
        raise NightshiftError(
            "params.yaml: compute.device is gpu, but TensorFlow sees none. Install the GPU libraries "
            "(`pip install 'nightshift[gpu]'`) and check `nvidia-smi`, or set compute.device to auto."
        )
    on_gpu = bool(gpus) and compute.device != "cpu"
    if not on_gpu:
        tf.config.set_visible_devices([], "GPU")
    for gpu in gpus if on_gpu else []:
        tf.config.experimental.set_memory_growth(gpu, True)  # leave room for others on the same card
    precision = compute.precision
    if precision == "auto":
        precision = "mixed_float16" if on_gpu else "float32"
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    log.info("%s, %s", f"{len(gpus)} GPU" if on_gpu else "CPU", precision)
    return tf.distribute.MirroredStrategy() if on_gpu and len(gpus) > 1 else tf.distribute.get_strategy()
