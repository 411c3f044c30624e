"""Small real DICOM files, made in memory; every one carries a patient's name that no message may repeat."""

import io
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

PATIENT = "Curie^Marie"


def jpeg(values: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


COMPRESSIONS = {
    HTJ2KLossless: lambda values: imagecodecs.htj2k_encode(values, reversible=True),
    JPEG2000Lossless: lambda values: imagecodecs.jpeg2k_encode(values, reversible=True, level=0, codecformat="j2k"),
    JPEGLosslessSV1: imagecodecs.ljpeg_encode,
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEGBaseline8Bit: jpeg,
}


def dicom(values: NDArray[Any] | None, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """A file of `values`: (rows, columns), (rows, columns, 3), or with frames first when NumberOfFrames is given."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
    dataset.PatientName, dataset.PatientID = PATIENT, PATIENT
    frames = None
    if values is not None:
        frames = values if "NumberOfFrames" in elements else values[np.newaxis]
        dataset.Rows, dataset.Columns = frames.shape[1:3]
        dataset.SamplesPerPixel = 3 if frames.ndim == 4 else 1
        if frames.ndim == 4:
            dataset.PlanarConfiguration = 0
        dataset.PhotometricInterpretation = "RGB" if frames.ndim == 4 else "MONOCHROME2"
        dataset.BitsAllocated = values.dtype.itemsize * 8
        dataset.BitsStored = elements.pop("BitsStored", dataset.BitsAllocated)
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(values.dtype.kind == "i")
        if syntax not in COMPRESSIONS:
            dataset.PixelData = frames.tobytes() + b"\0" * (frames.nbytes % 2)
            dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    if syntax == RLELossless:
        dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    elif syntax in COMPRESSIONS and frames is not None:
        dataset.PixelData = encapsulate([COMPRESSIONS[syntax](frame) for frame in frames])
        dataset["PixelData"].VR = "OB"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def item(**elements: Any) -> Dataset:
    """One item of a sequence."""
    dataset = Dataset()
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def without_preamble(data: bytes) -> bytes:
    """The elements alone, as old machines write them; they begin with group 2."""
    return data[132:]
