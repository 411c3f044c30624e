"""What files are called and how they begin, as tables that need no decoder."""

import subprocess
import sys

import pytest

from pipeline.images.formats import EXTENSIONS, EXTENSIONS_OF, extension_matches
from tests.fixtures.project import REPOSITORY


@pytest.mark.parametrize(
    ("path", "kind", "matches"),
    [
        ("a/b.jpg", "JPEG", True),
        ("a/b.JPEG", "JPEG", True),
        ("a/b.jpg", "MPO", True),
        ("a/b.jpg", "PNG", False),
        ("a/b.png", "JPEG", False),
        ("a.png/b", "PNG", False),
        ("b.heic", "HEIF", True),
        ("b.heic", "JPEG", False),
        ("scan.dcm", "DICOM", True),
        ("IM000001", "DICOM", False),
        ("b.tif", "TIFF", True),
        ("b.jpg", "", False),
    ],
)
def test_a_name_matches_the_format_or_does_not(path: str, kind: str, matches: bool) -> None:
    assert extension_matches(path, kind) is matches


def test_every_extension_belongs_to_a_format() -> None:
    assert {"jpg", "tif", "dcm", "dicom", "heic", "heif", "hif"} <= EXTENSIONS
    assert frozenset().union(*EXTENSIONS_OF.values()) == EXTENSIONS


def test_listing_a_folder_needs_neither_pillow_nor_numpy() -> None:
    code = "import sys, pipeline.storage.listing; print({'PIL', 'numpy'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=REPOSITORY, text=True).strip() == "set()"
