"""Case pictures: safe loading to 8-bit RGB, scaling and encoding for each role. The one home of Pillow.

Rules: the type comes from content; an Exif rotation is applied; of an animation or a stack the first frame is taken;
transparent parts are shown on white, as a page shows them; grey values of more than 8 bits are windowed
(:mod:`mics_ray.models.pictures.dicom`), not clipped; colour profiles are ignored. Pictures leave here without metadata.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import BinaryIO, cast

import numpy as np
from PIL import GifImagePlugin, Image, ImageOps, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

from mics_ray.models.pictures import dicom
from mics_ray.models.pictures.dicom import choose_window, scale_to_8_bit
from mics_ray.models.pictures.file_formats import (
    PictureDefect,
    PictureError,
    PictureRoot,
    detect_kind,
    name_errors,
    open_picture,
)
from mics_ray.models.pictures.size_limits import HeaderReader, require_frames, require_size, walk_file
from mics_ray.models.types import Pictures

__all__ = [
    "PictureError",
    "check_picture",
    "decode_picture",
    "encode_picture",
    "load_case_pictures",
    "load_for_roles",
    "load_picture",
]

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


def load_picture(root: PictureRoot, relative: str) -> Image.Image:
    """The picture ``relative`` under ``root`` as 8-bit RGB without metadata. Raises :class:`PictureError`."""
    with name_errors(relative), open_picture(root, relative) as file:
        return _read_rgb(file)


def check_picture(root: PictureRoot, relative: str) -> None:
    """Raises :class:`PictureError` where :func:`load` would: decodes (a JPEG at an eighth of its size) only."""
    with name_errors(relative), open_picture(root, relative) as file:
        kind = detect_kind(file)
        if kind == "dicom":
            dicom.read_first_frame(file, _read_stream_size)
            return
        picture = _open_header(kind, file)
        picture.draft("L", (picture.width // 8, picture.height // 8))
        picture.load()


def encode_picture(image: Image.Image, max_side: int) -> bytes:
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


def decode_picture(data: bytes) -> Image.Image:
    """An encoded picture (:func:`encode`) as RGB."""
    file = io.BytesIO(data)
    image = _READERS[detect_kind(file)](file).convert("RGB")
    image.info = {}
    return image


def read_encoded_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of a file of :func:`encode`, from its head."""
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
        return picture.size


def load_case_pictures(root: PictureRoot, paths: Sequence[str], max_side: int) -> Pictures | None:
    """A case's pictures in order, at most ``max_side`` pixels long; None without paths. May raise PictureError."""
    return load_for_roles(root, paths, {"all": max_side})["all"]


def load_for_roles(root: PictureRoot, paths: Sequence[str], sides: Mapping[str, int]) -> dict[str, Pictures | None]:
    """The pictures of every role in ``sides`` (name -> longest side, pixels), each file decoded once.

    Roles that see the same share one object. Raises :class:`PictureError` for the first picture that cannot be used.
    """
    files: dict[int, list[bytes]] = {side: [] for side in sides.values()}
    for path in paths:
        image = load_picture(root, path)
        encoded: dict[int, bytes] = {}
        for side, made in files.items():
            shown = min(side, max(image.size))
            if shown not in encoded:
                encoded[shown] = encode_picture(image, shown)
            made.append(encoded[shown])
    pictures = {side: _bundle_pictures(made) for side, made in files.items()}
    return {role: pictures[side] for role, side in sides.items()}


def _bundle_pictures(files: list[bytes]) -> Pictures | None:
    """The digest is over the digests of the files, so that their bounds count."""
    if not files:
        return None
    return Pictures(hashlib.sha256(b"".join(hashlib.sha256(f).digest() for f in files)).hexdigest(), tuple(files))


def _read_rgb(file: BinaryIO) -> Image.Image:
    kind = detect_kind(file)
    if kind == "dicom":
        return Image.fromarray(dicom.read_first_frame(file, _read_stream_size)).convert("RGB")
    picture = _open_header(kind, file)
    picture.load()
    upright = ImageOps.exif_transpose(picture)
    dark_is_high = kind == "tiff" and cast(TiffImagePlugin.TiffImageFile, picture).tag_v2.get(_TIFF_PHOTOMETRIC) == 0
    rgb = _grey_to_rgb(upright, dark_is_high) if upright.mode in _GREY else _colour_to_rgb(upright)
    rgb.info = {}
    return rgb


def _open_header(kind: str, file: BinaryIO) -> ImageFile:
    """Read the header only, under the limits."""
    walk_file(kind, file)
    header = HeaderReader(file)
    if kind == "webp":
        header.lift_limit()  # already walked; its reader takes the whole file
    picture = _READERS[kind](cast(BinaryIO, header))
    require_size(*picture.size)
    if picture.mode == "LAB":
        raise PictureDefect("a LAB picture; only RGB, CMYK and grey ones are read")
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        require_size(*(int(picture.tag_v2.get(tag, 1)) for tag in _TIFF_TILE))
    if kind == "webp":
        require_frames(getattr(picture, "n_frames", 1))
    header.lift_limit()
    return picture


def _grey_to_rgb(picture: Image.Image, dark_is_high: bool) -> Image.Image:
    values = np.asarray(picture)
    grey = scale_to_8_bit(values, choose_window(values))
    return Image.fromarray(255 - grey if dark_is_high else grey).convert("RGB")


def _colour_to_rgb(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    page = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(page, picture.convert("RGBA")).convert("RGB")


def _read_stream_size(stream: bytes) -> tuple[int, int]:
    """(width, height) that a JPEG or JPEG 2000 stream announces; other codecs are not decoded here."""
    reader = JpegImagePlugin.JpegImageFile if stream.startswith(b"\xff\xd8\xff") else Jpeg2KImageFile
    return reader(io.BytesIO(stream)).size
