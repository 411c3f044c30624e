"""What a model carries besides its weights: everything needed to ask it, and to say where it comes from.

Knows no framework. Lies as `contract.json` beside the weights, in `models/current/` and in every registered model.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import NightshiftError
from pipeline.files import sha256, sha256_of_file, write_json
from pipeline.params_data import Images

CONTRACT = "contract.json"
KERAS = "model.keras"
OPENVINO = "openvino"  # a folder: model.xml, the network, and model.bin, its weights
NETWORK = "model.xml"
WEIGHTS = "model.bin"


class ContractError(NightshiftError):
    """A model's folder is incomplete or does not fit its contract."""


class Contract(BaseModel):
    """How to ask a model, and where it comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1  # of this format
    class_names: tuple[str, ...] = Field(min_length=2)  # in the order of the logits
    images: Images  # the pixels it was taught with
    backbone: str
    temperature: float = Field(gt=0)  # logits are divided by it before the softmax
    unsure_below: float = Field(ge=0, le=1)  # a smaller confidence is "unsure"
    dataset_sha256: str  # of all images it was taught and judged with
    weights_sha256: str  # of the network that runs at night
    code_commit: str  # git; empty outside a repository

    @property
    def hash(self) -> str:
        """This contract's name: two models share it only if they give the same answers for the same reasons."""
        return sha256(self.model_dump_json(exclude={"images": self.images.unused}).encode())


def weights_sha256(folder: Path) -> str:
    """Hash of the exported network, structure and weights, below the model's `folder`."""
    files = (folder / OPENVINO / name for name in (NETWORK, WEIGHTS))
    return sha256("".join(sha256_of_file(file) for file in files).encode())


def write_contract(folder: Path, contract: Contract) -> None:
    """Write it into the model's `folder`."""
    write_json(folder / CONTRACT, contract.model_dump())


def read_contract(folder: Path) -> Contract:
    """Read it from the model's `folder`, and check that the weights beside it are the ones it speaks of.

    Raises ContractError when a file is missing, damaged or another model's.
    """
    file = folder / CONTRACT
    try:
        contract = Contract.model_validate_json(file.read_bytes())
        found = weights_sha256(folder)
    except FileNotFoundError as error:
        raise ContractError(f"{error.filename} is missing; there is no whole model in {folder}.") from None
    except ValidationError as error:
        raise ContractError(f"{file} is not a contract this version of Nightshift can read: {error}") from error
    if found != contract.weights_sha256:
        raise ContractError(
            f"The weights in {folder / OPENVINO} are not the ones {file} names (a half copy, or two models mixed). "
            "Fetch or train the model again."
        )
    return contract
