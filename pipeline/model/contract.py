"""The contract of a model: everything besides its weights that predictions need, and where the model comes from.

Knows no framework. The file is `contract.json` beside the weights, in `models/current/` and in each registered model.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.core.errors import NightshiftError
from pipeline.model.certificate import Certificate, EventRule, FramesRule
from pipeline.params.data import Images
from pipeline.storage.files import sha256, sha256_of_file, write_json

CONTRACT = "contract.json"
KERAS = "model.keras"
OPENVINO = "openvino"  # a folder: model.xml, the network, and model.bin, its weights
NETWORK = "model.xml"
WEIGHTS = "model.bin"
REFERENCE = "reference.json"  # statistics of its training and validation images, and
EMBEDDINGS = "reference.npy"  # embeddings of training images
INT8 = "int8"  # a folder: OPENVINO and the reference again, of the same network in int8
LATER_FIELDS = (
    "reference_sha256", "outlier_above", "keras_sha256", "bfloat16", "candidates_above", "outlier_alarms",
    "certificate", "int8", "export_difference", "events",
    "frames",
)  # fmt: skip


class ContractError(NightshiftError):
    """A model's folder is incomplete or does not fit its contract."""


class Int8(BaseModel):
    """The network in int8, whose files are in INT8: the contract's fields that are fitted to its own answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights_sha256: str
    temperature: float = Field(gt=0)
    unsure_below: float = Field(ge=0, le=1)
    candidates_above: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    certificate: Certificate | None
    reference_sha256: str
    outlier_above: float = Field(ge=0)
    outlier_alarms: float = Field(gt=0, le=1)


class Contract(BaseModel):
    """How to run a model, and where it comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1  # of this format
    class_names: tuple[str, ...] = Field(min_length=2)  # in the order of the logits
    images: Images  # how files became the pixels that it was trained on
    backbone: str
    temperature: float = Field(gt=0)  # logits are divided by it before the softmax
    unsure_below: float = Field(ge=0, le=1)  # a smaller confidence is "unsure"
    dataset_sha256: str  # of all images in its training, validation and test splits
    weights_sha256: str  # of the network that runs at night
    code_commit: str  # git; empty outside a repository
    # Fields of later versions are None in earlier contracts, so that those keep their hashes.
    reference_sha256: str | None = None  # of REFERENCE and EMBEDDINGS
    outlier_above: float | None = Field(default=None, ge=0)  # an image with a larger outlier score is an outlier
    keras_sha256: str | None = None  # of KERAS, which runs on a GPU
    bfloat16: bool | None = None  # whether validation metrics hold in bfloat16; None: not tried
    # Per class, in their order, the smallest probability at which it stays a candidate; 0: it is always one.
    candidates_above: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = None
    outlier_alarms: float | None = Field(default=None, gt=0, le=1)  # false alarms among images like the training's
    certificate: Certificate | None = None  # of `unsure_below`; None: nobody asked for one
    int8: Int8 | None = None  # None: not tried, or validation metrics do not hold in it
    # The largest one in any class probability, Keras against OpenVINO in float32; None: registration measures it.
    export_difference: float | None = Field(default=None, ge=0)
    events: EventRule | None = None  # None: not one validation event has several images, or nobody asked
    frames: FramesRule | None = None  # None: no validation file has several frames, or nobody asked

    @model_validator(mode="after")
    def _one_threshold_a_class(self) -> Self:
        if self.candidates_above is not None and len(self.candidates_above) != len(self.class_names):
            raise ValueError(
                f"candidates_above has {len(self.candidates_above)} numbers; it must have one for each of the "
                f"{len(self.class_names)} class_names"
            )
        return self

    @property
    def in_int8(self) -> "Contract":
        """The same contract as fitted to the int8 network, if there is one."""
        if self.int8 is None or self.is_int8:
            return self
        # These rules were fitted to the other network's answers: they certify nothing of this one's.
        return _InInt8(**{**dict(self), **dict(self.int8), "events": None, "frames": None}, registered=self.hash)

    @property
    def is_int8(self) -> bool:
        """Whether this is the contract as fitted to the int8 network."""
        return isinstance(self, _InInt8)

    @property
    def hash(self) -> str:
        """This contract's identity: models share it only if network, settings and origin are the same."""
        # Keras writes the time into its file, so the same network has another hash each time. What was measured of the
        # network is none of its settings.
        left_out = {*self.unknown, "keras_sha256", "export_difference"}
        unused: dict[str, Any] = {"images": self.images.unused, **dict.fromkeys(left_out, True)}
        return sha256(self.model_dump_json(exclude=unused).encode())

    @property
    def unknown(self) -> set[str]:
        """The fields of later versions that are None."""
        return {name for name in LATER_FIELDS if getattr(self, name) is None}


class _InInt8(Contract):
    """A contract as fitted to its int8 network; never written. It is the same model, so it has the same hash."""

    registered: str

    @property
    def hash(self) -> str:
        """The registered contract's."""
        return self.registered


def weights_sha256(folder: Path) -> str:
    """Hash of the exported network, structure and weights, in the model's `folder`."""
    return _sha256_of_all(folder / OPENVINO / name for name in (NETWORK, WEIGHTS))


def reference_sha256(folder: Path) -> str:
    """Hash of the reference in the model's `folder`."""
    return _sha256_of_all(folder / name for name in (REFERENCE, EMBEDDINGS))


def _sha256_of_all(files: Iterable[Path]) -> str:
    return sha256("".join(sha256_of_file(file) for file in files).encode())


def write_contract(folder: Path, contract: Contract) -> None:
    """Write the contract into the model's `folder`."""
    write_json(folder / CONTRACT, contract.model_dump(exclude=contract.unknown))


def read_contract(folder: Path) -> Contract:
    """Read the contract from the model's `folder`, and check that the files beside it have its hashes.

    Raises ContractError when a file is missing, damaged or belongs to another model.
    """
    file = folder / CONTRACT
    try:
        contract = Contract.model_validate_json(file.read_bytes())
        found = weights_sha256(folder)
        keras = sha256_of_file(folder / KERAS) if contract.keras_sha256 else None
        reference = reference_sha256(folder) if contract.reference_sha256 else None
        room, fitted = folder / INT8, contract.int8
        in_int8 = (weights_sha256(room), reference_sha256(room)) if fitted else None
    except FileNotFoundError as error:
        raise ContractError(
            f"{error.filename} is missing: the model in {folder} is incomplete. Fetch it again (models/current: `dvc "
            "checkout models/current`), or train it again with `nightshift train`."
        ) from None
    except ValidationError as error:
        raise ContractError(
            f"This version of Nightshift cannot read {file}, the model's contract file. Fetch the model again, or "
            f"train it again with `nightshift train`. Cause: {error}"
        ) from error
    for what, is_right in (
        (f"The weights in {folder / OPENVINO}", found == contract.weights_sha256),
        (f"The weights in {folder / KERAS}", keras == contract.keras_sha256),
        (f"{folder / REFERENCE} and {EMBEDDINGS}", reference == contract.reference_sha256),
        (f"The files in {room}", in_int8 == (fitted and (fitted.weights_sha256, fitted.reference_sha256))),
    ):
        if not is_right:
            raise ContractError(
                f"{what} are not the ones in {file} (an incomplete copy, or two models mixed). Fetch or train the "
                "model again."
            )
    return contract
