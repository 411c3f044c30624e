"""HEIC, and the facts that a file's own header tells: bits, orientation, format."""

import io
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from pipeline.images.decode import UnreadableImage, decode
from pipeline.images.formats import extension_matches
from pipeline.params.data import Images
from tests.fixtures.images import difference, noise
from tests.fixtures.nasty_formats import STORED_AS, encoded, tiff, with_orientation

RULES = Images(width=64, height=48, fit="stretch", max_megapixels=1)
PHOTO = Image.fromarray(noise(64, 48))


@pytest.fixture(autouse=True, scope="module")
def can_write_heic() -> Iterator[None]:
    """For writing only: reading needs nothing that is registered, and other tests see Pillow as it is."""
    before = {name: dict(getattr(Image, name)) for name in ("OPEN", "SAVE", "SAVE_ALL", "EXTENSION", "MIME")}
    ids = list(Image.ID)
    pillow_heif.register_heif_opener()
    yield
    for name, content in before.items():
        getattr(Image, name).clear()
        getattr(Image, name).update(content)
    Image.ID[:] = ids


def heic(image: Image.Image = PHOTO, **options: Any) -> bytes:
    """HEVC in HEIF, as a telephone writes it."""
    pillow_heif.register_heif_opener()
    return encoded(image, "HEIF", **({"quality": 95, "chroma": 444} | options))


def test_heic_gives_back_the_pixels() -> None:
    picture = decode(heic(), RULES)
    assert difference(picture.pixels, noise(64, 48)) <= 3
    assert (picture.format, picture.mode, picture.bits, picture.orientation) == ("HEIF", "RGB", 8, 1)


@pytest.mark.parametrize("number", range(1, 9))
def test_a_heic_is_turned_once(number: int) -> None:
    """The file says it twice: as a property of the picture, and in EXIF."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = number
    stored = PHOTO.transpose(STORED_AS[number]) if number in STORED_AS else PHOTO
    data = heic(stored, exif=exif.tobytes())
    assert (b"irot" in data or b"imir" in data) == (number > 1)
    turned = decode(data, RULES)
    assert difference(turned.pixels, noise(64, 48)) <= 3
    assert (turned.width, turned.height, turned.orientation) == (64, 48, number)


def test_exif_alone_turns_no_heic() -> None:
    """The format's standard has it so; telephones and computers show such a file as it is stored."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    data = heic(exif=exif)  # given so, pillow-heif writes EXIF and no property of the picture
    assert b"irot" not in data
    assert difference(decode(data, RULES).pixels, noise(64, 48)) <= 3


def test_heic_with_alpha_is_shown_over_white() -> None:
    clear = Image.new("RGBA", (64, 48), (10, 20, 30, 0))
    assert decode(heic(clear), RULES).pixels.min() >= 250


def test_deep_heic_tells_its_bits() -> None:
    deep = pillow_heif.from_bytes("RGB;16", (64, 48), (noise(64, 48).astype(np.uint16) * 257).tobytes())
    buffer = io.BytesIO()
    deep.save(buffer, quality=95, chroma=444)
    picture = decode(buffer.getvalue(), RULES)
    assert picture.bits == 10
    assert difference(picture.pixels, noise(64, 48)) <= 3


def test_of_a_heic_with_many_pictures_the_primary_one_is_judged() -> None:
    other = Image.new("RGB", (64, 48))
    data = heic(other, save_all=True, append_images=[PHOTO], primary_index=1)
    assert difference(decode(data, RULES).pixels, noise(64, 48)) <= 3


def test_a_thumbnail_inside_is_never_judged_for_the_picture() -> None:
    large = Image.fromarray(noise(640, 480))
    small = Images(width=8, height=8, fit="stretch", max_megapixels=1)
    plain, with_thumbnail = heic(large), heic(large, thumbnails=[64])
    np.testing.assert_array_equal(decode(plain, small).pixels, decode(with_thumbnail, small).pixels)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_any_brand_of_heif_is_known_by_its_bytes(brand: bytes) -> None:
    data = heic()
    assert decode(data[:8] + brand + data[12:], RULES).format == "HEIF"


def test_an_avif_of_the_open_brand_stays_avif() -> None:
    data = encoded(PHOTO, "AVIF")
    assert decode(data[:8] + b"mif1" + data[12:], RULES).format == "AVIF"


HEIC = heic(Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)))


def test_a_heic_whose_pixels_are_cut_is_never_judged() -> None:
    judged = []
    for length in sorted({*range(1, len(HEIC), len(HEIC) // 100), *range(len(HEIC) - 8, len(HEIC))}):
        try:
            decode(HEIC[:length], RULES)
        except UnreadableImage:
            continue
        judged.append(length)
    assert judged == []


def test_bytes_behind_a_heic_do_no_harm() -> None:
    assert difference(decode(HEIC + b"\xff" * 50, RULES).pixels, decode(HEIC, RULES).pixels) == 0


@given(
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12),
    near_start=st.booleans(),
)
def test_a_damaged_heic_raises_nothing_else(changes: list[tuple[float, int]], near_start: bool) -> None:
    damaged = bytearray(HEIC)
    for place, value in changes:
        damaged[12 + int(place * ((400 if near_start else len(HEIC)) - 12))] = value
    try:
        assert decode(bytes(damaged), RULES).pixels.shape == (48, 64, 3)
    except UnreadableImage as error:
        assert "\n" not in str(error)


@given(data=st.binary(max_size=200), brand=st.sampled_from([b"heic", b"mif1", b"hevc"]))
def test_arbitrary_bytes_raise_nothing_else(data: bytes, brand: bytes) -> None:
    with pytest.raises(UnreadableImage):
        decode(b"\0\0\0\x18ftyp" + brand + data, RULES)


def test_a_heic_that_declares_too_much_is_refused() -> None:
    with pytest.raises(UnreadableImage, match=r"1024 x 1024 pixels is more than images\.max_megapixels"):
        decode(heic(Image.new("RGB", (1024, 1024))), RULES)
    at = HEIC.find(b"ispe") + 8
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnreadableImage):
        decode(HEIC[:at] + struct.pack(">II", 30_000, 30_000) + HEIC[at + 8 :], RULES)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_without_the_extra_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnreadableImage) as caught:
        decode(HEIC, RULES)
    assert str(caught.value) == "HEIC images need the package pillow-heif: pip install 'nightshift[heic]'"


def adobe_jpeg(mode: str) -> bytes:
    """CMYK as Photoshop writes it: inverted, with a marker that says so."""
    return encoded(Image.new(mode, (64, 48), (0, 255, 255, 0)), "JPEG", quality=100)


@pytest.mark.parametrize("transform", [0, 2], ids=["CMYK", "YCCK"])
def test_adobes_inverted_cmyk_has_its_colours(transform: int) -> None:
    cmyk = Image.new("CMYK", (64, 48), (0, 255, 255, 0))
    data = adobe_jpeg("CMYK")
    assert b"Adobe" in data
    if transform == 2:
        import imagecodecs

        data = imagecodecs.jpeg8_encode(255 - np.asarray(cmyk), colorspace="CMYK", outcolorspace="YCCK", level=100)
    assert data[data.find(b"Adobe") + 11] == transform
    picture = decode(data, RULES)
    assert picture.mode == "CMYK"
    assert np.abs(picture.pixels.astype(int) - (255, 0, 0)).max() <= 3


def grey(dtype: type, value: int) -> Image.Image:
    return Image.fromarray(np.full((48, 64), value, dtype))


BITS = {
    "1-bit PNG": (encoded(Image.new("1", (64, 48)), "PNG"), 1),
    "PNG": (encoded(PHOTO, "PNG"), 8),
    "palette PNG of 4 colours": (encoded(PHOTO.quantize(4), "PNG", bits=2), 2),
    "16-bit PNG": (encoded(grey(np.uint16, 9), "PNG"), 16),
    "JPEG": (encoded(PHOTO, "JPEG"), 8),
    "fax TIFF": (encoded(Image.new("1", (64, 48)), "TIFF", compression="group4"), 1),
    "TIFF": (encoded(PHOTO, "TIFF"), 8),
    "16-bit TIFF": (encoded(grey(np.uint16, 9), "TIFF"), 16),
    "float TIFF": (encoded(grey(np.float32, 9), "TIFF"), 32),
    "16-bit PGM": (b"P5 64 48 65535\n" + bytes(64 * 48 * 2), 16),
    "16-bit JPEG 2000": (encoded(grey(np.uint16, 9), "JPEG2000"), 16),
    "AVIF": (encoded(PHOTO, "AVIF"), 8),
}


@pytest.mark.parametrize(("data", "bits"), BITS.values(), ids=BITS)
def test_a_picture_tells_the_bits_of_a_sample_as_stored(data: bytes, bits: int) -> None:
    assert decode(data, RULES).bits == bits


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_picture_tells_the_orientation_that_was_made_upright(kind: str) -> None:
    assert [decode(with_orientation(PHOTO, number, kind), RULES).orientation for number in (1, 3, 6)] == [1, 3, 6]
    assert decode(encoded(PHOTO, kind), RULES).orientation == 1


def test_an_orientation_that_is_none_counts_as_upright() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 77
    assert decode(encoded(PHOTO, "JPEG", exif=exif), RULES).orientation == 1


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "bmp", "gif", "tif", "jp2", "avif", "ppm"])
def test_what_is_written_under_a_usual_name_matches_it(tmp_path: Path, kind: str) -> None:
    PHOTO.save(tmp_path / f"a.{kind}")
    assert extension_matches(f"a.{kind}", decode((tmp_path / f"a.{kind}").read_bytes(), RULES).format)


@pytest.mark.parametrize("height", [1, 255, 256, 257, 1000])
def test_a_picture_changed_strip_by_strip_is_the_same(height: int) -> None:
    rules = Images(width=40, height=max(height, 8), fit="stretch", max_megapixels=1, stretch=(0.0, 100.0))
    clear = Image.merge(
        "RGBA", [*Image.fromarray(noise(40, height)).split(), Image.fromarray(noise(40, height, 1)[..., 0])]
    )
    over_white = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    assert (decode(encoded(clear, "PNG"), rules).pixels == decode(encoded(over_white, "PNG"), rules).pixels).all()
    deep = np.linspace(-5, 9, 40 * height, dtype=np.float32).reshape(height, 40)
    shown = Image.fromarray(np.rint((deep.astype(float) + 5) / 14 * 255).astype(np.uint8))
    assert (
        difference(
            decode(encoded(Image.fromarray(deep), "TIFF"), rules).pixels, decode(encoded(shown, "PNG"), rules).pixels
        )
        < 0.1
    )


@pytest.mark.parametrize("mode", ["I;16", "F", "RGBA"])
def test_a_large_picture_of_any_mode_takes_little_more_memory_than_its_pixels(mode: str) -> None:
    data = encoded(Image.new(mode, (6000, 5000)), "TIFF", compression="tiff_lzw")  # 30 megapixels, of 2 to 4 bytes
    rules = Images(width=64, height=48, fit="stretch", max_megapixels=30)
    code = MEMORY.format(rules=rules.model_dump())
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert int(done.stdout) < 350, "MB; as float64 alone the values are 240"


MEMORY = """
import sys
from pipeline.images.decode import decode
from pipeline.params.data import Images

def most():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

data = sys.stdin.buffer.read()
before = most()
decode(data, Images.model_validate({rules!r}))
print((most() - before) // 1024)
"""


def test_nonsense_in_exif_costs_neither_the_picture_nor_its_orientation() -> None:
    broken = struct.pack("<HHII", 274, 3, 1, 6) + struct.pack("<HHII", 0x0132, 5, 1, 8)  # a date that is a fraction
    exif = b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + broken + bytes(4)
    data = encoded(PHOTO.transpose(STORED_AS[6]), "PNG", exif=exif)
    np.testing.assert_array_equal(decode(data, RULES).pixels, decode(encoded(PHOTO, "PNG"), RULES).pixels)
    assert decode(encoded(PHOTO, "PNG", exif=b"II no TIFF at all"), RULES).orientation == 1


def test_a_tile_may_not_be_much_larger_than_its_picture() -> None:
    tags = {256: 64, 257: 48, 258: 8, 259: 8, 262: 1, 277: 1}
    body = zlib.compress(bytes(1024 * 1024))
    assert decode(tiff({**tags, 322: 1024, 323: 1024}, body), RULES).width == 64
    with pytest.raises(UnreadableImage, match="tiles are larger"):
        decode(tiff({**tags, 322: 30_000, 323: 30_000}, body), RULES)


@pytest.mark.parametrize("data", [encoded(PHOTO, "PNG")[:20], encoded(PHOTO, "GIF")[:12], b"\xff\xd8\xff\xe0"])
def test_what_begins_as_a_picture_is_called_a_damaged_one(data: bytes) -> None:
    with pytest.raises(UnreadableImage, match="damaged image"):
        decode(data, RULES)
