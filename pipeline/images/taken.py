"""When, where and with which camera a picture was taken, as its bytes say. Opens no file, decodes no pixel.

Whoever decodes a picture finds this in `Picture.taken`; here is the way for bytes that are not decoded.
"""

import dataclasses
import io

from PIL import Image

from pipeline.images.dicom import is_dicom, read_elements
from pipeline.images.pillow import FORMATS, heif_opener, is_heif
from pipeline.images.taken_dicom import ELEMENTS, IDENTIFIERS, hashes_of, taken_of_dataset
from pipeline.images.taken_exif import taken_of
from pipeline.images.taken_values import UNKNOWN
from pipeline.images.taken_values import Taken as Taken  # whoever reads it finds it here

MOST_MEGAPIXELS = 100  # of a deflated DICOM file, which must be inflated


def read_taken(data: bytes, key: bytes = b"") -> Taken:
    """What the bytes of a file say; never raises, on any bytes: what cannot be read is unknown.

    key: of the hashes of a DICOM file's patient and study; empty: no hashes.
    """
    try:
        if is_dicom(data):
            header = read_elements(data, (*ELEMENTS, *(IDENTIFIERS if key else ())), MOST_MEGAPIXELS, pixels=False)
            patient, study = hashes_of(header, key) if key else ("", "")
            return dataclasses.replace(taken_of_dataset(header), patient=patient, study=study)
        with heif_opener()(io.BytesIO(data)) if is_heif(data) else Image.open(io.BytesIO(data), formats=FORMATS) as one:
            return taken_of(one)
    except Exception:  # noqa: BLE001 - as in `decode`: on hostile bytes a parser can raise any error
        return UNKNOWN
