"""What image files are called and how they begin, as tables, and what these answer. Reads and decodes nothing."""

EXTENSIONS_OF = {  # of each format that `Picture.format` can name
    "JPEG": ("jpg", "jpeg", "jpe", "jfif", "mpo"),
    "MPO": ("jpg", "jpeg", "jpe", "jfif", "mpo"),  # JPEG with more pictures behind the first, as phones write it
    "PNG": ("png", "apng"),
    "WEBP": ("webp",),
    "BMP": ("bmp", "dib"),
    "GIF": ("gif",),
    "TIFF": ("tif", "tiff", "gtif", "gtiff"),
    "JPEG2000": ("jp2", "j2k", "jpx", "jpf", "j2c", "jpc"),
    "AVIF": ("avif", "avifs"),
    "PPM": ("pbm", "pgm", "ppm", "pnm"),
    "HEIF": ("heic", "heif", "hif", "heics", "heifs"),
    "DICOM": ("dcm", "dicom"),
}
EXTENSIONS = frozenset(extension for extensions in EXTENSIONS_OF.values() for extension in extensions)

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the latter two: BigTIFF
PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"\0\0\0\x0cjP  ", *TIFF_STARTS)
# Of files that are made of boxes: bytes 8 to 12, after `ftyp`.
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
OPEN_BRANDS = frozenset({b"mif1", b"msf1"})  # HEIF, or AVIF when that is among the other brands
BRANDS = HEIF_BRANDS | AVIF_BRANDS | OPEN_BRANDS
DICOM_PREFIX_AT, DICOM_PREFIX = 128, b"DICM"
MAGIC_BYTES = DICOM_PREFIX_AT + len(DICOM_PREFIX)  # enough for all of the above and for RIFF....WEBP


NO_IMAGES = (  # how files begin that are often named like images, and what to do
    (b"version https://git-lfs.github.com/spec/v", "not an image, but a Git LFS pointer: run `git lfs pull` there"),
    (b"/annex/objects/", "not an image, but a git-annex pointer: run `git annex get` there"),
    (b"<!doctype html", "not an image, but a web page: the download failed"),
    (b"<html", "not an image, but a web page: the download failed"),
)
POINTER_BYTES = 1024  # a Git LFS pointer is shorter


def what_instead(data: bytes) -> str:
    """What a file is that no decoder knows, in words for its row."""
    start = data[:POINTER_BYTES].lstrip().lower()
    return next((words for begin, words in NO_IMAGES if start.startswith(begin)), "not an image in a known format")


def has_image_extension(name: str) -> bool:
    """Whether a file's name ends as an image's does, in any case."""
    return "." in name and name.rpartition(".")[2].lower() in EXTENSIONS


def extension_matches(path: str, format: str) -> bool:  # noqa: A002 - the word that Picture uses
    """Whether the name at the end of `path` is a usual one for files of this format (of `Picture.format`)."""
    return path.rpartition(".")[2].lower() in EXTENSIONS_OF.get(format, ())


def begins_like_image(start: bytes) -> bool:
    """Whether a file whose first `MAGIC_BYTES` bytes these are is an image."""
    is_branded = start[4:8] == b"ftyp" and start[8:12] in BRANDS
    is_dicom = start.startswith(DICOM_PREFIX, DICOM_PREFIX_AT)
    return start.startswith(PICTURE_STARTS) or start[8:12] == b"WEBP" or is_branded or is_dicom
