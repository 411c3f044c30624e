"""Read a PyTorch weights file in the format used before 2020, without PyTorch. Knows no network."""

import collections
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import NightshiftError

STORAGE_TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
TORCH_MAGIC = 0x1950A86A20F9469CFC6C


def read_legacy_torch(path: Path) -> dict[str, NDArray[Any]]:
    """Tensors by name from a PyTorch file in the format used before 2020 (not a zip), without PyTorch.

    The file may name only the types that weights need, so loading it executes nothing.
    Raises NightshiftError when the file has another format.
    """
    with path.open("rb") as file:
        if _Unpickler(file).load() != TORCH_MAGIC:
            raise NightshiftError(f"{path} is not a PyTorch weights file of the old format.")
        _version, _system = _Unpickler(file).load(), _Unpickler(file).load()
        tensors = _Unpickler(file).load()
        kinds = {tensor.key: tensor.kind for tensor in tensors.values()}
        storages = {}
        for key in _Unpickler(file).load():
            (count,) = struct.unpack("<q", file.read(8))
            kind = np.dtype(STORAGE_TYPES[kinds[key]])
            storages[key] = np.frombuffer(file.read(count * kind.itemsize), kind)
    return {name: tensor.view(storages[tensor.key]) for name, tensor in tensors.items()}


class _Tensor(collections.namedtuple("_Tensor", "kind key offset shape strides")):
    """Where a tensor's values are in a storage; offset and strides count elements."""

    def view(self, storage: NDArray[Any]) -> NDArray[Any]:
        strides = [step * storage.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(storage[self.offset :], self.shape, strides, writeable=False)


class _Unpickler(pickle.Unpickler):
    """Unpickles an ordered dict, a tensor and two storage types, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in STORAGE_TYPES:
            return name
        raise pickle.UnpicklingError(f"a weights file may not name {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _storage, kind, key, _device, _count, _view = pid
        return kind, key


def _rebuild_tensor(storage: tuple[str, str], offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(*storage, offset, shape, strides)
