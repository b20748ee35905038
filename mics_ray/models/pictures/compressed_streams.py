"""What a compressed stream says of itself: the size that it announces, and whether its data fit together."""

import struct

import simplejpeg

from mics_ray.models.pictures.file_formats import PictureDefect

_NO_FRAME_HEADER = {0xC4, 0xC8, 0xCC}  # tables, not frames
_SOC_SIZ = b"\xff\x4f\xff\x51"
_DOES_NOT_FIT = "Corrupt JPEG data:"
"""How libjpeg's warnings of such data begin; others are of no harm to the picture."""


def read_stream_size(stream: bytes) -> tuple[int, int] | None:
    """(width, height) of a JPEG, JPEG-LS or JPEG 2000 stream; ``None`` where none is found."""
    if stream.startswith(b"\xff\xd8"):
        return _read_jpeg(stream)
    at = stream.find(_SOC_SIZ, 0, 4096)  # at its beginning, or inside a JP2 file
    if at < 0 or len(stream) < at + 24:
        return None
    right, bottom, left, top = struct.unpack_from(">4L", stream, at + 8)
    return right - left, bottom - top


def require_undamaged(jpeg: bytes) -> None:
    """Raises :class:`PictureDefect` for a JPEG whose data do not fit: Pillow shows one half grey, and says nothing.

    Decoded at an eighth of its size. What is cut short, or is no JPEG at all, Pillow refuses by itself.
    """
    try:
        simplejpeg.decode_jpeg(jpeg, "GRAY", min_height=1, min_width=1, strict=True)
    except ValueError as error:
        if str(error).startswith(_DOES_NOT_FIT):
            raise PictureDefect(f"damaged ({str(error).removeprefix(_DOES_NOT_FIT).strip()})") from None


def _read_jpeg(stream: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(stream):
        if stream[at] != 0xFF:
            return None
        marker = stream[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER) or marker == 0xF7:
            height, width = struct.unpack_from(">HH", stream, at + 5)
            return width, height
        if marker == 0xDA:
            return None
        at += 2 + struct.unpack_from(">H", stream, at + 2)[0]
    return None
