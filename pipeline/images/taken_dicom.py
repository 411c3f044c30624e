"""The elements of a DICOM file -> when and by which machine it was made, and keyed hashes of its patient and study.

No identifier leaves this module: a hash with a key that only the project has tells equal from different, not who.
"""

import datetime
import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from pipeline.images.taken_values import Taken, camera_name, clock_time

if TYPE_CHECKING:
    from pydicom import Dataset

ELEMENTS = (
    "AcquisitionDate", "AcquisitionDateTime", "AcquisitionTime", "ContentDate", "ContentTime", "DeviceSerialNumber",
    "Manufacturer", "ManufacturerModelName", "StationName", "TimezoneOffsetFromUTC",
)  # fmt: skip
IDENTIFIERS = ("IssuerOfPatientID", "PatientID", "StudyInstanceUID")
HEX_DIGITS = 16  # of a hash: 64 bits, where a million patients meet by chance once in 37 million projects
# PS3.5 6.2: DA `YYYYMMDD`, TM `HHMMSS.FFFFFF`, DT both together and an offset `&ZZXX`.
MOMENT = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)(\d\d):?(\d\d):?(\d\d)(?:\.(\d{1,6}))?([+-]\d{4})?")


def taken_of_dataset(dataset: "Dataset") -> Taken:
    """When and by which machine; dataset: with ELEMENTS. Raises any error of pydicom on a damaged element."""
    default = _text(dataset, "TimezoneOffsetFromUTC")
    moments = [
        _text(dataset, "AcquisitionDateTime"),
        _text(dataset, "AcquisitionDate") + _text(dataset, "AcquisitionTime"),
        _text(dataset, "ContentDate") + _text(dataset, "ContentTime"),
    ]
    at = next((time for moment in moments if (time := _time(moment, default))), None)
    serial = _text(dataset, "DeviceSerialNumber") or _text(dataset, "StationName")
    return Taken(at, camera_name(_text(dataset, "Manufacturer"), _text(dataset, "ManufacturerModelName"), serial))


def _time(moment: str, default_offset: str) -> datetime.datetime | None:
    if not (found := MOMENT.fullmatch(moment)):
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    return clock_time(f"{year}:{month}:{day} {hour}:{minute}:{second}", fraction or "", offset or default_offset)


def _text(dataset: "Dataset", name: str) -> str:
    found = dataset.get(name)
    return "" if found is None else str(found).strip("\0 ")


def hashes_of(dataset: "Dataset", key: bytes) -> tuple[str, str]:
    """Hashes of the patient and the study by HMAC-SHA256, empty where the file names none; dataset: with IDENTIFIERS.

    Raises any error of pydicom on a damaged element.
    """
    patient, study = _text(dataset, "PatientID"), _text(dataset, "StudyInstanceUID")
    of_patient = f"{_text(dataset, 'IssuerOfPatientID')}\0{patient}" if patient else ""  # issuers number alike
    return _hash("patient", of_patient, key), _hash("study", study, key)


def _hash(kind: str, identifier: str, key: bytes) -> str:
    if not identifier:
        return ""
    return hmac.new(key, f"{kind}\0{identifier}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:HEX_DIGITS]
