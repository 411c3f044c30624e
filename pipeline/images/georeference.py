"""Where a GeoTIFF lies on the earth: from pixels to its own coordinates, by its tags. Opens no file.

GeoTIFF 1.1 (OGC 19-008r4): ModelPixelScale with ModelTiepoint, or ModelTransformation; the keys' directory names the
coordinate reference system by its EPSG code. Coordinates stay in that system: nothing is projected.
"""

from dataclasses import dataclass

from pipeline.images.tiff_tags import GEO_KEYS, PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, TiffTags

WGS_84 = 4326  # EPSG: longitude and latitude in degrees
MODEL_TYPE, RASTER_TYPE, GEOGRAPHIC, PROJECTED = 1024, 1025, 2048, 3072  # keys
IS_GEOGRAPHIC, IS_POINT, USER_DEFINED = 2, 2, 32767  # values


@dataclass(frozen=True, slots=True)
class Georeference:
    """The affine way from pixels of the full picture to coordinates."""

    epsg: int  # the coordinate reference system's code
    x: tuple[float, float, float]  # coordinate = first * column + second * row + third
    y: tuple[float, float, float]

    def point(self, column: float, row: float) -> tuple[float, float]:
        """Coordinates of a pixel's corner: in WGS 84 longitude and latitude, degrees; else in the system's unit."""
        (a, b, c), (d, e, f) = self.x, self.y
        return a * column + b * row + c, d * column + e * row + f


def georeference_of(tags: TiffTags) -> Georeference | None:
    """The georeference of a GeoTIFF; None where its tags name no place, or no system with an EPSG code."""
    keys = _keys(tags)
    epsg = keys.get(GEOGRAPHIC if keys.get(MODEL_TYPE) == IS_GEOGRAPHIC else PROJECTED, USER_DEFINED)
    matrix, scale, tie = tags.numbers(TRANSFORMATION), tags.numbers(PIXEL_SCALE), tags.numbers(TIE_POINTS)
    if epsg in (0, USER_DEFINED):
        return None
    if len(matrix) == 16:
        x, y = (matrix[0], matrix[1], matrix[3]), (matrix[4], matrix[5], matrix[7])
    elif len(scale) == 3 and len(tie) == 6:
        x = (scale[0], 0.0, tie[3] - tie[0] * scale[0])
        y = (0.0, -scale[1], tie[4] + tie[1] * scale[1])
    else:
        return None
    half = 0.5 if keys.get(RASTER_TYPE) == IS_POINT else 0.0  # the tie is then of a pixel's middle
    return Georeference(
        epsg, (x[0], x[1], x[2] - half * (x[0] + x[1])), (y[0], y[1], y[2] - half * (y[0] + y[1]))
    )  # fmt: skip


def _keys(tags: TiffTags) -> dict[int, int]:
    """The keys of the directory that hold a number."""
    numbers = [int(number) for number in tags.numbers(GEO_KEYS)]
    entries = [numbers[at : at + 4] for at in range(4, len(numbers) - 3, 4)]
    return {key: value for key, place, _, value in entries if place == 0}
