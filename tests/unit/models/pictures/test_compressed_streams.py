"""What compressed streams say of themselves, and which JPEGs are refused for their data."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from mics_ray.models.pictures.compressed_streams import read_stream_size, require_undamaged
from mics_ray.models.pictures.file_formats import PictureDefect

SIZE = (48, 32)


def encode_jpeg(mode: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], len(mode)), dtype="uint8")
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(), mode).save(file, "JPEG")
    return file.getvalue()


def make_siz(right: int, bottom: int, left: int, top: int) -> bytes:
    """The beginning of a JPEG 2000 code stream."""
    return b"\xff\x4f\xff\x51" + struct.pack(">HH4L", 41, 0, right, bottom, left, top)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_tells_its_size_with_padding_before_a_marker_too(mode: str) -> None:
    jpeg = encode_jpeg(mode)
    assert read_stream_size(jpeg) == SIZE
    frame = jpeg.index(b"\xff\xc0")
    assert read_stream_size(jpeg[:frame] + b"\xff\xff" + jpeg[frame:]) == SIZE


@pytest.mark.parametrize("before", [b"", b"\0" * 85, b"\0" * 4000])
def test_jpeg_2000_tells_the_size_of_what_is_shown_of_its_grid_also_inside_a_file(before: bytes) -> None:
    assert read_stream_size(before + make_siz(100, 80, 30, 20)) == (70, 60)


@pytest.mark.parametrize("stream", [b"", b"\xff\xd8", b"\xff\xd8\0\0" + bytes(40), make_siz(1, 1, 0, 0)[:20]])
def test_what_tells_no_size_is_no_error(stream: bytes) -> None:
    assert read_stream_size(stream) is None


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_data_that_do_not_fit_are_refused_in_every_colour_space(mode: str) -> None:
    jpeg = bytearray(encode_jpeg(mode))
    require_undamaged(bytes(jpeg))
    middle = len(jpeg) * 3 // 4
    jpeg[middle : middle + 40] = b"\x55" * 40
    with pytest.raises(PictureDefect, match="damaged"):
        require_undamaged(bytes(jpeg))


@pytest.mark.parametrize("jpeg", [b"", b"no picture", encode_jpeg("RGB")[:-200], encode_jpeg("L") + b"more"])
def test_what_others_refuse_or_what_is_of_no_harm_is_not_refused_here(jpeg: bytes) -> None:
    require_undamaged(jpeg)
