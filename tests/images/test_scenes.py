"""Scenes: a window is what the same part of the whole picture is, whatever the file; hostile files are refused."""

import io
import struct
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.images.decode import LargerThanTile, UnreadableImage, decode, first_frame
from pipeline.images.scenes import Scene, open_scene, place_of, read_tile
from pipeline.images.slide_scene import SlideScene, is_slide
from pipeline.images.windows import Window, windows
from pipeline.params.data import Images, Tiles
from tests.fixtures.nasty_formats import encoded, tiff
from tests.fixtures.scenes import HEIGHT, RULES, TILES, UTM_32, WGS_84, WIDTH, kinds, picture, tiff_of

KINDS = kinds()
WHOLE = Images.model_validate(RULES.model_dump() | {"tiles": None, "width": 4096, "height": 4096})


def scene_of(data: bytes, rules: Images = RULES) -> Scene:
    return open_scene(io.BytesIO(data), rules, None)


def tiles_with(**changes: object) -> Images:
    return Images.model_validate(RULES.model_dump() | {"tiles": TILES.model_dump() | changes})


@pytest.mark.parametrize("kind", KINDS)
def test_every_tile_is_the_same_part_of_the_picture_read_whole(kind: str) -> None:
    """Edges and overlaps too: cut by hand from what `decode` gives of the whole file."""
    whole = np.asarray(first_frame(KINDS[kind], WHOLE).image)
    scene = scene_of(KINDS[kind])
    found = [read_tile(scene, window, RULES) for window in windows(scene.width, scene.height, TILES)]
    assert len(found) == 6 * 4
    for tile in found:
        x, y, width, height = tile.window
        np.testing.assert_array_equal(np.asarray(tile.image), whole[y : y + height, x : x + width])


@pytest.mark.parametrize("kind", ["tiles, JPEG", "16 bits", "five bands", "JPEG"])
def test_a_tile_saved_as_an_image_gives_a_model_the_same_pixels(kind: str) -> None:
    scene = scene_of(KINDS[kind])
    for window in windows(scene.width, scene.height, TILES):
        tile = read_tile(scene, window, RULES)
        np.testing.assert_array_equal(decode(encoded(tile.image, "PNG"), RULES).pixels, tile.pixels)


def test_a_big_endian_bigtiff_is_read_too() -> None:
    scene = scene_of(tiff_of(picture(), bigtiff=True, byteorder=">"))
    np.testing.assert_array_equal(np.asarray(scene.read(Window(230, 130, 64, 64))), picture()[130:194, 230:294])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff_is_cut_as_a_person_sees_it(orientation: int) -> None:
    data = tiff_of(picture(), tile=(32, 48), extratags=[(274, 3, 1, orientation, True)])
    whole, scene = np.asarray(first_frame(data, WHOLE).image), scene_of(data)
    assert (scene.height, scene.width) == whole.shape[:2]
    for x, y, width, height in windows(scene.width, scene.height, TILES):
        found = np.asarray(scene.read(Window(x, y, width, height)))
        np.testing.assert_array_equal(found, whole[y : y + height, x : x + width])


def test_threads_that_read_at_once_get_the_same_pixels() -> None:
    scene = scene_of(KINDS["tiles, deflate"])
    all_windows = [*windows(WIDTH, HEIGHT, TILES)] * 4
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(scene.read, all_windows)]
    for (x, y, width, height), image in zip(all_windows, found, strict=True):
        np.testing.assert_array_equal(np.asarray(image), picture()[y : y + height, x : x + width])


def test_only_what_is_larger_than_a_tile_is_a_scene() -> None:
    small = Image.fromarray(picture()[:64, :64])
    assert decode(encoded(small, "PNG"), RULES).pixels.shape == (24, 32, 3)
    with pytest.raises(LargerThanTile, match=r"300 x 200 pixels is larger than a tile .* `nightshift data tiles"):
        decode(KINDS["PNG"], RULES)
    decode(KINDS["PNG"], WHOLE)


def test_a_blank_tile_is_ignored_and_others_are_not() -> None:
    pixels = picture().copy()
    pixels[:64, :64] = 250
    scene = scene_of(tiff_of(pixels))
    assert read_tile(scene, Window(0, 0, 64, 64), RULES).ignored == "blank"
    assert read_tile(scene, Window(48, 0, 64, 64), RULES).ignored == ""
    assert read_tile(scene, Window(0, 0, 64, 64), tiles_with(ignore=None)).ignored == ""


def test_a_damaged_tile_costs_the_windows_that_it_is_in() -> None:
    data = bytearray(KINDS["tiles, deflate"])
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as opened:
        offset, length = opened.pages.first.dataoffsets[8], opened.pages.first.databytecounts[8]  # row 1, column 1
    data[offset : offset + length] = bytes(length)
    scene = scene_of(bytes(data))
    failed = set()
    for window in windows(WIDTH, HEIGHT, TILES):
        try:
            read_tile(scene, window, RULES)
        except UnreadableImage as error:
            failed.add(window)
            assert str(error).startswith("damaged image: ")
    touched = {one for one in windows(WIDTH, HEIGHT, TILES) if one.x < 96 and one.x + 64 > 48 and one.y < 64}
    assert failed == touched
    assert len(failed) == 4


@pytest.mark.parametrize("options", [{}, {"tile": (32, 48)}, {"rowsperstrip": 10, "compression": "zlib"}])
def test_a_tile_behind_the_end_of_a_file_that_is_cut_off_says_so(options: dict[str, object]) -> None:
    data, last = tiff_of(picture(), **options), Window(WIDTH - 64, HEIGHT - 64, 64, 64)
    scene_of(data).read(last)
    scene = scene_of(data[:-100])
    with pytest.raises(UnreadableImage, match="damaged image: it is cut off"):
        scene.read(last)
    scene.read(Window(0, 0, 64, 64))


def test_the_bands_of_all_tiles_are_stretched_alike() -> None:
    grey = np.tile(np.linspace(0, 4000, WIDTH), (HEIGHT, 1)).astype(np.int32)
    scene = scene_of(tiff_of(grey, photometric="minisblack", tile=(32, 48)))
    left, right = (np.asarray(scene.read(Window(x, 0, 64, 64))) for x in (0, WIDTH - 64))
    assert left.max() < 60
    assert right.min() > 190


def test_a_level_of_a_pyramid_is_read_and_its_scale_known() -> None:
    buffer, half = io.BytesIO(), picture()[::2, ::2]
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(picture(), tile=(64, 64), photometric="rgb", subifds=1)
        writer.write(half, tile=(64, 64), photometric="rgb", subfiletype=1)
    scene = scene_of(buffer.getvalue(), tiles_with(level=1))
    assert (scene.width, scene.height, scene.scale) == (WIDTH // 2, HEIGHT // 2, 2.0)
    np.testing.assert_array_equal(np.asarray(scene.read(Window(80, 30, 64, 64))), half[30:94, 80:144])
    with pytest.raises(UnreadableImage, match=r"asks for level 2; the file has 1 below the first"):
        scene_of(buffer.getvalue(), tiles_with(level=2))


def test_a_geotiff_says_where_it_is_and_a_picture_does_not() -> None:
    place = place_of(scene_of(tiff_of(picture(), extratags=WGS_84)))
    assert place is not None
    assert place.epsg == 4326
    assert place.point(100, 50) == pytest.approx((10.01, 49.995))
    metric = place_of(scene_of(tiff_of(picture(), extratags=UTM_32)))
    assert metric is not None
    assert metric.epsg == 32632
    assert metric.point(2, 4) == pytest.approx((500_001, 5_499_998))
    assert place_of(scene_of(KINDS["tiles"])) is None
    assert place_of(scene_of(KINDS["PNG"])) is None


def test_a_scanners_slide_is_read_by_openslide(tmp_path: Path) -> None:
    about = "Aperio Image Library v11.2.1\r\n300x200 [0,0 300x200] (64x64) JPEG/RGB Q=95|AppMag = 20|MPP = 0.5"
    file, plain = tmp_path / "slide.svs", tmp_path / "plain.tif"
    tifffile.imwrite(
        file, picture(), tile=(64, 64), photometric="rgb", compression="jpeg", compressionargs={"level": 95},
        description=about, metadata=None,
    )  # fmt: skip
    plain.write_bytes(KINDS["tiles"])
    assert not is_slide(str(plain))
    with file.open("rb") as opened:
        scene = open_scene(opened, RULES, str(file))
        assert isinstance(scene, SlideScene)
        assert (scene.width, scene.height) == (WIDTH, HEIGHT)
        whole = tifffile.imread(file)
        for x, y, width, height in windows(WIDTH, HEIGHT, TILES):
            found = np.asarray(scene.read(Window(x, y, width, height))).astype(int)
            assert np.abs(found - whole[y : y + height, x : x + width]).max() <= 2
        with pytest.raises(UnreadableImage, match="level 3"):
            open_scene(opened, tiles_with(level=3), str(file))


PLAIN = {256: 4096, 257: 4096, 258: 8, 259: 8, 262: 1, 277: 1}
ZEROS, BOMB = zlib.compress(bytes(1 << 20)), zlib.compress(bytes(1 << 26), 9)


def patched(data: bytes, tag: int, values: list[int]) -> bytes:
    """The file with other values in a tag that holds as many 4-byte numbers."""
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        found = opened.pages.first.tags[tag]
        at, form = found.valueoffset, "<" + {4: "I", 16: "Q"}[int(found.dtype)] * len(values)
    return data[:at] + struct.pack(form, *values) + data[at + struct.calcsize(form) :]


def hostile() -> dict[str, tuple[bytes, str]]:
    """By name: a file, and the reason why it is refused."""
    grid = tiff_of(picture(), tile=(32, 48), compression="zlib")
    with tifffile.TiffFile(io.BytesIO(grid)) as opened:
        offsets = [*opened.pages.first.dataoffsets]
    jpeg = encoded(Image.new("L", (3000, 3000)), "JPEG")
    many = tiff({**PLAIN, 322: 64, 323: 64}, ZEROS)
    return {
        "2^31 pixels a side": (tiff({**PLAIN, 256: 1 << 31, 257: 1 << 31, 322: 256, 323: 256}, ZEROS),
                               "2147483648 x 2147483648 pixels is more than images.tiles.max_gigapixels"),
        "a strip of 10 GB": (tiff({**PLAIN, 256: 100_000, 257: 100_000, 278: 100_000}, ZEROS), "too large to be read"),
        "a tile of a gigabyte": (tiff({**PLAIN, 322: 32_768, 323: 32_768}, ZEROS), "too large to be read"),
        "tiles upon each other": (patched(grid, 324, [offset // 2 for offset in offsets]), "overlap"),
        "tiles that are missing": (many, "strips or tiles are missing"),
        "a tag of gigabytes": (many.replace(struct.pack("<HHI", 262, 4, 1), struct.pack("<HHI", 262, 4, 1 << 30)),
                               f"its tag 262 claims {1 << 32} bytes"),
        "offsets outside": (many.replace(struct.pack("<HHI", 324, 4, 1), struct.pack("<HHI", 324, 4, 100_000)),
                            "cut off"),
        "a larger JPEG in a tile": (tiff({**PLAIN, 256: 128, 257: 128, 259: 7, 322: 128, 323: 128}, jpeg),
                                    "a tile of 128 pixels holds a JPEG of 3000 x 3000"),
        "a deflate bomb": (tiff({**PLAIN, 256: 128, 257: 128, 322: 128, 323: 128}, BOMB), "damaged image"),
        "a lossy codec": (tiff({**PLAIN, 259: 34925, 322: 256, 323: 256}, ZEROS), "compression 34925 is not read"),
        "two million tiles": (tiff({**PLAIN, 256: 60_000, 257: 60_000, 278: 1}, ZEROS), "are .* tiles|missing"),
        "no page": (b"II*\0\xff\xff\xff\x7f" + bytes(100), "cut off"),
    }  # fmt: skip


HOSTILE = hostile()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_before_its_memory_is_used(name: str) -> None:
    data, reason = HOSTILE[name]

    def read() -> None:
        scene = scene_of(data)
        for window in [Window(0, 0, 64, 64), Window(scene.width - 64, scene.height - 64, 64, 64)]:
            read_tile(scene, window, RULES)

    tracemalloc.start()
    try:
        with pytest.raises(UnreadableImage, match=reason):
            read()
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


def test_no_damaged_bytes_do_harm() -> None:
    """Bytes changed anywhere give pixels or a reason, and never another error."""
    draw = np.random.default_rng(1)
    for kind in ("tiles, JPEG", "tiles, deflate", "strips, LZW", "one bit", "palette"):
        for _ in range(25):
            data = bytearray(KINDS[kind])
            for at in draw.integers(0, len(data), 6):
                data[at] = draw.integers(0, 256)
            for at in draw.integers(0, 300, 1):
                data[at] = draw.integers(0, 256)
            try:
                scene = scene_of(bytes(data), tiles_with(max_gigapixels=0.01))
            except UnreadableImage:
                continue
            for window in [*windows(scene.width, scene.height, Tiles(size=64, overlap=0.0))][:20]:
                try:
                    scene.read(window)
                except UnreadableImage:
                    continue


def test_too_many_tiles_are_refused() -> None:
    rules = Images.model_validate(RULES.model_dump() | {"max_megapixels": 100, "tiles": {"size": 32, "overlap": 0.9}})
    with pytest.raises(UnreadableImage, match=r"are 1,\d{3},\d{3} tiles"):
        scene_of(encoded(Image.new("1", (4000, 3000)), "PNG"), rules)
