"""Plain picture files, by Pillow's own readers, under our limits: a frame of one as 8-bit RGB."""

import io
import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO, cast

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.ImageFile import ImageFile

from mics_ray.models.pictures.compressed_streams import require_undamaged
from mics_ray.models.pictures.file_formats import PictureDefect
from mics_ray.models.pictures.shown import Shown, is_constant, refuse_plane
from mics_ray.models.pictures.size_limits import HeaderReader, require_frames, require_size, walk_file
from mics_ray.models.pictures.windows import View, show_by_values

# The classes themselves: `Image.open` guesses among all formats and checks sizes by a global setting.
READERS: Mapping[str, type[ImageFile]] = {
    "png": PngImagePlugin.PngImageFile,
    "jpeg": JpegImagePlugin.JpegImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
}
_GREY = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_WHOLE = ("webp", "avif")  # their readers take the whole file, which is walked already
_TIFF_PHOTOMETRIC, _TIFF_TILE = 262, (322, 323)
_UNREAD_CHUNKS = (b"iCCP", b"tEXt", b"zTXt", b"iTXt")  # Pillow refuses a file for what they inflate to


class PlainFile:
    """A file whose header is read. Raises :class:`PictureDefect`, or what Pillow raises on a damaged file."""

    first = 1

    def __init__(self, kind: str, file: BinaryIO) -> None:
        self._kind, self._file = kind, file
        self.picture = open_header(kind, file)
        self.count = _count_frames(self.picture)

    def count_frames(self, plane: str) -> int:
        """See :class:`~.shown.FrameFile`."""
        refuse_plane(plane)
        return self.count

    def show_frame(self, number: int, plane: str, view: View) -> Shown:
        """See :class:`~.shown.FrameFile`."""
        picture = self.picture
        if number > 1:
            picture.seek(number - 1)
            require_size(*picture.size)
        if self._kind == "jpeg":
            require_undamaged_file(self._file)
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        tiff = cast(TiffImagePlugin.TiffImageFile, picture) if self._kind == "tiff" else None
        if upright.mode in _GREY:
            rgb, window = _grey_to_rgb(upright, tiff is not None and tiff.tag_v2.get(_TIFF_PHOTOMETRIC) == 0)
        else:
            rgb, window = _colour_to_rgb(upright), ""
        rgb.info = {}
        return Shown(rgb, window, is_constant(rgb))


def open_header(kind: str, file: BinaryIO) -> ImageFile:
    """Read the header only, under the limits."""
    walk_file(kind, file)
    header = HeaderReader(_skip_texts(file) if kind == "png" else file)
    if kind in _WHOLE:
        header.lift_limit()
    picture = READERS[kind](cast(BinaryIO, header))
    require_size(*picture.size)
    if picture.mode == "LAB":
        raise PictureDefect("a LAB picture; only RGB, CMYK and grey ones are read")
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        require_size(*(int(picture.tag_v2.get(tag, 1)) for tag in _TIFF_TILE))
    if kind in _WHOLE:
        require_frames(getattr(picture, "n_frames", 1))
    header.lift_limit()
    return picture


def require_undamaged_file(file: BinaryIO) -> None:
    """Raises :class:`PictureDefect` for a JPEG whose data do not fit together."""
    file.seek(0)
    require_undamaged(file.read())


def _count_frames(picture: ImageFile) -> int:
    """How many frames there are; 1 where what comes after the first is damaged, which is none of its business."""
    try:
        return max(1, int(getattr(picture, "n_frames", 1)))
    except Exception:  # hostile bytes raise anything
        return 1
    finally:
        picture.seek(0)


def _skip_texts(file: BinaryIO) -> BinaryIO:
    """A walked PNG without its colour profile and texts; the file itself where it has none."""
    chunks = list(_list_chunks(file))
    if not any(kind in _UNREAD_CHUNKS for _, kind, _ in chunks):
        return file
    kept = io.BytesIO()
    kept.write(file.read(8))
    for at, kind, length in chunks:
        if kind not in _UNREAD_CHUNKS:
            file.seek(at)
            kept.write(file.read(length + 12))
    file.seek(0)
    kept.seek(0)
    return kept


def _list_chunks(file: BinaryIO) -> Iterator[tuple[int, bytes, int]]:
    """Place, kind and length of every chunk; leaves the file at its beginning."""
    at, kind = 8, b""
    while kind != b"IEND":
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        yield at, kind, length
        at += length + 12
    file.seek(0)


def _grey_to_rgb(picture: Image.Image, dark_is_high: bool) -> tuple[Image.Image, str]:
    values = np.asarray(picture)
    grey, window = show_by_values(values, values)
    return Image.fromarray(255 - grey if dark_is_high else grey).convert("RGB"), window


def _colour_to_rgb(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    page = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(page, picture.convert("RGBA")).convert("RGB")
