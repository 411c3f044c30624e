"""What a model carries besides its weights: everything needed to ask it, and to say where it comes from.

Knows no framework. Lies as `contract.json` beside the weights, in `models/current/` and in every registered model.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core.errors import NightshiftError
from pipeline.params.data import Images
from pipeline.storage.files import sha256, sha256_of_file, write_json

CONTRACT = "contract.json"
KERAS = "model.keras"
OPENVINO = "openvino"  # a folder: model.xml, the network, and model.bin, its weights
NETWORK = "model.xml"
WEIGHTS = "model.bin"
REFERENCE = "reference.json"  # what the images were like that it was taught with, and
EMBEDDINGS = "reference.npy"  # what it makes of them


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
    # What came later is None in earlier contracts, which keep their hashes.
    reference_sha256: str | None = None  # of REFERENCE and EMBEDDINGS
    outlier_above: float | None = Field(default=None, ge=0)  # a larger outlier score is an outlier's
    keras_sha256: str | None = None  # of KERAS, which a GPU asks
    bfloat16: bool | None = None  # whether its answers hold in bfloat16, as seen on validation images; None: not tried

    @property
    def hash(self) -> str:
        """This contract's name: two models share it only if they give the same answers for the same reasons."""
        # Keras writes the time into its file: the same network has another hash there.
        left_out = {*self.unknown, "keras_sha256"}
        unused: dict[str, Any] = {"images": self.images.unused, **dict.fromkeys(left_out, True)}
        return sha256(self.model_dump_json(exclude=unused).encode())

    @property
    def unknown(self) -> set[str]:
        """The later fields that say nothing."""
        return {
            name
            for name in ("reference_sha256", "outlier_above", "keras_sha256", "bfloat16")
            if getattr(self, name) is None
        }


def weights_sha256(folder: Path) -> str:
    """Hash of the exported network, structure and weights, below the model's `folder`."""
    return _sha256_of_all(folder / OPENVINO / name for name in (NETWORK, WEIGHTS))


def reference_sha256(folder: Path) -> str:
    """Hash of what the model's `folder` keeps of its training and validation images."""
    return _sha256_of_all(folder / name for name in (REFERENCE, EMBEDDINGS))


def _sha256_of_all(files: Iterable[Path]) -> str:
    return sha256("".join(sha256_of_file(file) for file in files).encode())


def write_contract(folder: Path, contract: Contract) -> None:
    """Write it into the model's `folder`."""
    write_json(folder / CONTRACT, contract.model_dump(exclude=contract.unknown))


def read_contract(folder: Path) -> Contract:
    """Read it from the model's `folder`, and check that what lies beside it is what it speaks of.

    Raises ContractError when a file is missing, damaged or another model's.
    """
    file = folder / CONTRACT
    try:
        contract = Contract.model_validate_json(file.read_bytes())
        found = weights_sha256(folder)
        keras = sha256_of_file(folder / KERAS) if contract.keras_sha256 else None
        reference = reference_sha256(folder) if contract.reference_sha256 else None
    except FileNotFoundError as error:
        raise ContractError(f"{error.filename} is missing; there is no whole model in {folder}.") from None
    except ValidationError as error:
        raise ContractError(f"{file} is not a contract this version of Nightshift can read: {error}") from error
    for what, is_right in (
        (f"The weights in {folder / OPENVINO}", found == contract.weights_sha256),
        (f"The weights in {folder / KERAS}", keras == contract.keras_sha256),
        (f"{folder / REFERENCE} and {EMBEDDINGS}", reference == contract.reference_sha256),
    ):
        if not is_right:
            raise ContractError(
                f"{what} are not the ones {file} names (a half copy, or two models mixed). Fetch or train the model "
                "again."
            )
    return contract
