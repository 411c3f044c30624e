"""In which encoding a zip file's names are. Opens no file.

The format knows code page 437, and UTF-8 where a bit says so (APPNOTE.TXT 4.4.4 and appendix D). Many archivers write
UTF-8 without that bit (macOS), or the code page of their country. Info-ZIP's extra field 0x7075 has the name in UTF-8.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterable

from pipeline.core.text import named

IS_UTF8 = 0x800  # the bit in a member's flags
UNICODE_PATH = 0x7075  # Info-ZIP's extra field: version 1, CRC-32 of the name as it stands in the header, name in UTF-8
CANDIDATES = ("cp437", "cp850", "cp1252", "gbk", "shift_jis", "cp1251", "big5", "euc_kr")


def encoding_of(members: Iterable[zipfile.ZipInfo]) -> str:
    """The encoding of the names that have no mark: UTF-8 if all of them are, since few other texts are by chance."""
    try:
        for info in members:
            if not info.flag_bits & IS_UTF8:
                info.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeDecodeError:
        return "ascii"
    return "utf-8"


def name_of(info: zipfile.ZipInfo, encoding: str) -> str | None:
    """The member's name; None where its encoding is not known. encoding: of names without any mark."""
    if info.flag_bits & IS_UTF8:
        return info.filename
    raw = info.orig_filename.encode("cp437")  # what zipfile made of the bytes is undone exactly
    if (path := _unicode_path(info.extra, raw)) is not None:
        return path
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and len(field) > 5 and field[0] == 1:
            (checksum,) = struct.unpack("<I", field[1:5])
            try:
                return field[5:].decode("utf-8") if checksum == zlib.crc32(raw) else None  # else renamed since
            except UnicodeDecodeError:
                return None
    return None


def refusal(archive: str, odd: list[bytes]) -> str:
    """Why an archive whose names could be anything is not imported, and the way out; odd: the names of images."""
    raw, ways = odd[0], []
    for encoding in CANDIDATES:
        try:
            ways.append(f"{encoding}: {named([raw.decode(encoding)])}")
        except UnicodeDecodeError:
            continue
    return (
        f"{archive}: the names of {len(odd):,} images are in an encoding that the archive does not say, and they would "
        f"become labels. Nothing was imported. One of them would be, in {'; '.join(ways)}. Name the right one with "
        "--names, such as `--names gbk`, or unpack the archive by hand and import the folder."
    )
