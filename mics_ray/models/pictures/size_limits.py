"""What a picture may cost: limits that hold before anything is decoded, so that hostile files cost no time or memory.

They are constants of this module, not Pillow's global settings, which other libraries in the process may change.
"""

import os
import struct
from typing import BinaryIO

from mics_ray.models.pictures.file_formats import PictureDefect

MAX_WHOLE_BYTES = 32 << 20  # GIF, WebP and AVIF, which are walked or held whole; what a deflated file becomes
MAX_HEADER_BYTES = 4 << 20  # all that is not pixels: colour profiles are at most 4 MB, Exif 64 kB
MAX_HEADER_READS = 10_000  # at up to 6 microseconds each
MAX_PIXELS = 64_000_000  # the largest radiographs (digitised mammograms) have about 40 million
MAX_FRAMES = 1_000  # of an animation; pages and DICOM frames after the first are never touched


class HeaderReader:
    """A binary file whose header may cost only so much; after :meth:`release` it reads without limit."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._limited = True
        self._bytes_left = MAX_HEADER_BYTES
        self._reads_left = MAX_HEADER_READS
        self.seek, self.tell, self.fileno = file.seek, file.tell, file.fileno

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes (negative: the rest). Raises :class:`PictureDefect` beyond the limit."""
        if not self._limited:
            return self._file.read(size)
        most = self._bytes_left + 1
        data = self._file.read(most if size < 0 else min(size, most))
        self._bytes_left -= len(data)
        self._reads_left -= 1
        if self._bytes_left < 0 or self._reads_left < 0:
            raise PictureDefect("too much metadata")
        return data

    def lift_limit(self) -> None:
        """The header is read and its sizes are fit: lift the limit."""
        self._limited = False


def require_size(width: int, height: int) -> None:
    """Raises :class:`PictureDefect` unless the picture has pixels, and not too many."""
    if not 0 < width * height <= MAX_PIXELS:
        raise PictureDefect(f"{width} x {height} pixels; at most {MAX_PIXELS // 1_000_000} million are read")


def require_frames(frames: int) -> None:
    """Raises :class:`PictureDefect` for an animation of too many frames."""
    if frames > MAX_FRAMES:
        raise PictureDefect(f"more than {MAX_FRAMES} frames")


def walk_file(kind: str, file: BinaryIO) -> None:
    """Raises :class:`PictureDefect` for too much of what Pillow reads without a limit.

    That is PNG's chunks, a GIF's blocks and WebP's canvas.
    """
    walker = {"png": _walk_png, "gif": _walk_gif, "webp": _walk_webp, "avif": _read_whole}.get(kind)
    if walker is not None:
        walker(file)
        file.seek(0)


def _walk_png(file: BinaryIO) -> None:
    """Chunks are 4 bytes length, 4 bytes type, data, 4 bytes checksum; the metadata may also come after the pixels."""
    file.seek(8)
    metadata, kind = 0, b""
    while kind != b"IEND":
        head = file.read(8)
        if len(head) < 8:
            raise PictureDefect("cut short")
        length, kind = struct.unpack(">I4s", head)
        if kind == b"acTL":
            require_frames(struct.unpack(">I", file.read(4))[0])
            file.seek(-4, os.SEEK_CUR)
        if kind not in (b"IDAT", b"fdAT"):
            metadata += length + 256  # a chunk costs, however short
        if metadata > MAX_HEADER_BYTES:
            raise PictureDefect("too much metadata")
        file.seek(length + 4, os.SEEK_CUR)
    if file.tell() > file.seek(0, os.SEEK_END):
        raise PictureDefect("cut short")


def _walk_gif(file: BinaryIO) -> None:
    """Count the frames and look at the size of each."""
    data = _read_whole(file)
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    require_size(width, height)
    at, frames = 13 + _colour_table_bytes(flags), 0
    while at < len(data) and data[at] != 0x3B:
        if data[at] == 0x2C:  # a frame
            left, top, width, height, flags = struct.unpack_from("<HHHHB", data, at + 1)
            require_size(left + width, top + height)
            frames += 1
            require_frames(frames)
            at += 11 + _colour_table_bytes(flags)
        elif data[at] == 0x21:  # an extension
            at += 2
        else:
            raise PictureDefect("damaged or cut short")
        while data[at]:
            at += 1 + data[at]
        at += 1


def _colour_table_bytes(flags: int) -> int:
    """Bytes of the colour table that ``flags`` announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _walk_webp(file: BinaryIO) -> None:
    """The canvas is allocated by opening; metadata chunks are copied by it."""
    data = _read_whole(file)
    if data[12:16] == b"VP8X":
        require_size(int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1)
    at, metadata, frames = 12, 0, 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        frames += kind == b"ANMF"
        metadata += 256 + (0 if kind in (b"ANMF", b"VP8 ", b"VP8L", b"ALPH") else length)
        if metadata > MAX_HEADER_BYTES:
            raise PictureDefect("too much metadata")
        at += 8 + length + (length & 1)
    require_frames(frames)


def _read_whole(file: BinaryIO) -> bytes:
    data = file.read(MAX_WHOLE_BYTES + 1)
    if len(data) > MAX_WHOLE_BYTES:
        raise PictureDefect(f"more than {MAX_WHOLE_BYTES >> 20} MB")
    return data
