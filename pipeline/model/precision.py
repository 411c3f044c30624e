"""In which number format a model answers on this machine, and what of it belongs to that format. Runs nothing."""

from functools import cache
from pathlib import Path
from typing import Literal

from pipeline.model.contract import INT8, NETWORK, OPENVINO, Contract, ContractError
from pipeline.model.device import on_gpu
from pipeline.params.model import Compute

INT8_INSTRUCTIONS = {"avx_vnni", "avx512_vnni", "amx_int8"}  # as Linux names them
# Formats to compute in: a CPU has no f16, a GPU no int8, which is a network of its own.
Numbers = Literal["f32", "f16", "bf16", "int8"]
ON_CARDS: dict[str, Numbers] = {"mixed_float16": "f16", "mixed_bfloat16": "bf16"}
NO_INT8 = (
    "compute.precision is int8, but this model has no int8 network: train.max_int8_loss was null, the extra int8 was "
    "missing, or validation metrics did not hold in int8. Set compute.precision to auto; or install the extra (`pip "
    "install 'nightshift[int8]'`), set train.max_int8_loss, e.g. to 0.01, and train again."
)
NOT_HERE = (
    "compute.precision is int8, but this processor has no instructions for it (VNNI or AMX): the answers could differ "
    "from those that the thresholds are fitted to. Set compute.precision to auto."
)


def contract_in_use(contract: Contract, compute: Compute) -> Contract:
    """The contract with the temperature, thresholds and reference of the network that answers on this machine."""
    if contract.int8 is None and compute.precision != "int8":  # the usual answer, without importing OpenVINO
        return contract
    return contract.in_int8 if numbers_of(contract, compute) == "int8" else contract


def numbers_of(contract: Contract, compute: Compute) -> Numbers:
    """The number format: the fastest that the device supports and that the model's validation metrics hold in.

    On a GPU that is float16 where they hold in bfloat16, which is 8 times coarser. Raises ContractError when `compute`
    asks for int8, and the model or the CPU lacks it.
    """
    if on_gpu(compute):
        holds = compute.precision == "auto" and contract.bfloat16
        return "f16" if holds else ON_CARDS.get(compute.precision, "f32")
    if compute.precision == "int8":
        if contract.int8 is None or not has_int8():
            raise ContractError(NO_INT8 if contract.int8 is None else NOT_HERE)
        return "int8"
    if compute.precision != "auto":
        return "f32"
    if contract.int8 is not None and has_int8():
        return "int8"
    return "bf16" if contract.bfloat16 and has_bfloat16() else "f32"


@cache
def has_bfloat16() -> bool:
    """Whether this CPU supports bfloat16, which is then about twice as fast as float32."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@cache
def has_int8(processors: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this CPU has instructions for products of int8, with which it is faster in it than in bfloat16.

    OpenVINO names INT8 among the capabilities of every CPU. Only Linux is asked; elsewhere the answer is no.
    """
    try:
        return not INT8_INSTRUCTIONS.isdisjoint(processors.read_text().split())
    except OSError:
        return False


def network_file(folder: Path, numbers: Numbers) -> Path:
    """The exported network of the model in `folder`."""
    return (folder / INT8 if numbers == "int8" else folder) / OPENVINO / NETWORK
