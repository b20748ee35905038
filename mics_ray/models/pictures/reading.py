"""Case pictures: safe loading to 8-bit RGB, scaling and encoding for each role. The one home of Pillow.

Rules: the type comes from content; an Exif rotation is applied; of an animation or a stack the first frame is taken;
transparent parts are shown on white, as a page shows them; grey values of more than 8 bits are windowed
(:mod:`mics_ray.models.pictures.dicom`), not clipped; colour profiles are ignored. Pictures leave here without metadata.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from PIL import GifImagePlugin, Image, ImageOps, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

from mics_ray.models.pictures import dicom
from mics_ray.models.pictures.dicom import automatic_window, to_8_bit
from mics_ray.models.pictures.file_formats import Defect, PictureError, kind_of, named, open_inside
from mics_ray.models.pictures.size_limits import HeaderReader, require_frames, require_size, walk
from mics_ray.models.types import Pictures

__all__ = ["PictureError", "case_pictures", "check", "decode", "encode", "for_roles", "load"]

PNG_MAX_SIDE = 256  # smaller pictures are kept exactly
JPEG_QUALITY = 92
# The classes themselves: `Image.open` guesses among all formats and checks sizes by a global setting.
_READERS: Mapping[str, type[ImageFile]] = {
    "png": PngImagePlugin.PngImageFile,
    "jpeg": JpegImagePlugin.JpegImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "gif": GifImagePlugin.GifImageFile,
}
_GREY = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_TIFF_PHOTOMETRIC, _TIFF_TILE = 262, (322, 323)


def load(root: Path, relative: str) -> Image.Image:
    """The picture ``relative`` under ``root`` as 8-bit RGB without metadata. Raises :class:`PictureError`."""
    with named(relative), open_inside(root, relative) as file:
        return _load(file)


def check(root: Path, relative: str) -> None:
    """Raises :class:`PictureError` where :func:`load` would: decodes (a JPEG at an eighth of its size) only."""
    with named(relative), open_inside(root, relative) as file:
        kind = kind_of(file)
        if kind == "dicom":
            dicom.first_frame(file, _stream_size)
            return
        picture = _open(kind, file)
        picture.draft("L", (picture.width // 8, picture.height // 8))
        picture.load()


def encode(image: Image.Image, max_side: int) -> bytes:
    """``image`` (RGB) scaled down, never up, to a longer side of ``max_side`` pixels.

    PNG up to 256 pixels, JPEG beyond. The same picture always gives the same bytes.
    """
    longer = max(image.size)
    if longer > max_side:
        width, height = (max(1, round(side * max_side / longer)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    bare = image.copy()
    bare.info = {}  # Pillow would write comments and profiles along
    out = io.BytesIO()
    if max(bare.size) <= PNG_MAX_SIDE:
        bare.save(out, "PNG")
    else:
        bare.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return out.getvalue()


def decode(data: bytes) -> Image.Image:
    """An encoded picture (:func:`encode`) as RGB."""
    file = io.BytesIO(data)
    image = _READERS[kind_of(file)](file).convert("RGB")
    image.info = {}
    return image


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of a file of :func:`encode`, from its head."""
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
        return picture.size


def case_pictures(root: Path, paths: Sequence[str], max_side: int) -> Pictures | None:
    """A case's pictures in order, at most ``max_side`` pixels long; None without paths. May raise PictureError."""
    return for_roles(root, paths, {"all": max_side})["all"]


def for_roles(root: Path, paths: Sequence[str], sides: Mapping[str, int]) -> dict[str, Pictures | None]:
    """The pictures of every role in ``sides`` (name -> longest side, pixels), each file decoded once.

    Roles that see the same share one object. Raises :class:`PictureError` for the first picture that cannot be used.
    """
    files: dict[int, list[bytes]] = {side: [] for side in sides.values()}
    for path in paths:
        image = load(root, path)
        encoded: dict[int, bytes] = {}
        for side, made in files.items():
            shown = min(side, max(image.size))
            if shown not in encoded:
                encoded[shown] = encode(image, shown)
            made.append(encoded[shown])
    pictures = {side: _pictures(made) for side, made in files.items()}
    return {role: pictures[side] for role, side in sides.items()}


def _pictures(files: list[bytes]) -> Pictures | None:
    """The digest is over the digests of the files, so that their bounds count."""
    if not files:
        return None
    return Pictures(hashlib.sha256(b"".join(hashlib.sha256(f).digest() for f in files)).hexdigest(), tuple(files))


def _load(file: BinaryIO) -> Image.Image:
    kind = kind_of(file)
    if kind == "dicom":
        return Image.fromarray(dicom.first_frame(file, _stream_size)).convert("RGB")
    picture = _open(kind, file)
    picture.load()
    upright = ImageOps.exif_transpose(picture)
    dark_is_high = kind == "tiff" and cast(TiffImagePlugin.TiffImageFile, picture).tag_v2.get(_TIFF_PHOTOMETRIC) == 0
    rgb = _grey_to_rgb(upright, dark_is_high) if upright.mode in _GREY else _colour_to_rgb(upright)
    rgb.info = {}
    return rgb


def _open(kind: str, file: BinaryIO) -> ImageFile:
    """Read the header only, under the limits."""
    walk(kind, file)
    header = HeaderReader(file)
    if kind == "webp":
        header.release()  # already walked; its reader takes the whole file
    picture = _READERS[kind](cast(BinaryIO, header))
    require_size(*picture.size)
    if picture.mode == "LAB":
        raise Defect("a LAB picture; only RGB, CMYK and grey ones are read")
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        require_size(*(int(picture.tag_v2.get(tag, 1)) for tag in _TIFF_TILE))
    if kind == "webp":
        require_frames(getattr(picture, "n_frames", 1))
    header.release()
    return picture


def _grey_to_rgb(picture: Image.Image, dark_is_high: bool) -> Image.Image:
    values = np.asarray(picture)
    grey = to_8_bit(values, automatic_window(values))
    return Image.fromarray(255 - grey if dark_is_high else grey).convert("RGB")


def _colour_to_rgb(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    page = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(page, picture.convert("RGBA")).convert("RGB")


def _stream_size(stream: bytes) -> tuple[int, int]:
    """(width, height) that a JPEG or JPEG 2000 stream announces; other codecs are not decoded here."""
    reader = JpegImagePlugin.JpegImageFile if stream.startswith(b"\xff\xd8\xff") else Jpeg2KImageFile
    return reader(io.BytesIO(stream)).size
