"""Case pictures: safe loading to 8-bit RGB, scaling and encoding for each role. The one home of Pillow.

Rules: the type comes from content; an Exif rotation is applied; of an animation or a stack the first frame is taken;
transparent parts are shown on white, as a page shows them; grey values of more than 8 bits are windowed
(:mod:`mics_ray.models.pictures.dicom`), not clipped; colour profiles are ignored. Pictures leave here without metadata.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from mics_ray.core.frames import split_address
from mics_ray.models.pictures.file_formats import (
    PictureError,
    PictureRoot,
    detect_kind,
    name_errors,
    open_picture,
)
from mics_ray.models.pictures.frame_files import read_one, read_pictures
from mics_ray.models.pictures.plain_files import READERS, open_header, require_undamaged_file
from mics_ray.models.pictures.shown import is_constant
from mics_ray.models.pictures.windows import AUTO, View
from mics_ray.models.types import Pictures

__all__ = [
    "PictureError",
    "check_picture",
    "decode_picture",
    "encode_picture",
    "load_case_pictures",
    "load_for_roles",
    "load_picture",
    "read_pictures",
]

PNG_MAX_SIDE = 256  # smaller pictures are kept exactly
JPEG_QUALITY = 92


def load_picture(root: PictureRoot, relative: str, view: View = AUTO) -> Image.Image:
    """The picture ``relative`` under ``root`` as 8-bit RGB without metadata. Raises :class:`PictureError`."""
    return read_one(root, relative, view).image


def check_picture(root: PictureRoot, relative: str, view: View = AUTO) -> int:
    """How many frames the file has. Decodes only (a JPEG at an eighth of its size).

    Raises :class:`PictureError` where the search would.
    """
    if split_address(relative)[1] is None and _is_seen_in_small(root, relative):
        return 1
    return read_pictures(root, relative, view)[0].count


def _is_seen_in_small(root: PictureRoot, relative: str) -> bool:
    """Whether it is a JPEG that holds more than one single value at an eighth of its size."""
    with name_errors(relative), open_picture(root, relative) as file:
        if detect_kind(file) != "jpeg":
            return False
        picture = open_header("jpeg", file)
        require_undamaged_file(file)
        picture.draft("L", (max(1, picture.width // 8), max(1, picture.height // 8)))
        picture.load()
        return not is_constant(picture)


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
    image = READERS[detect_kind(file)](file).convert("RGB")
    image.info = {}
    return image


def read_encoded_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of a file of :func:`encode`, from its head."""
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
        return picture.size


def load_case_pictures(
    root: PictureRoot, paths: Sequence[str], max_side: int, view: View = AUTO
) -> tuple[Pictures | None, tuple[str, ...]]:
    """A case's pictures in order, at most ``max_side`` pixels long (None without paths), and their names.

    Raises :class:`PictureError`.
    """
    seen = load_for_roles(root, paths, {"all": max_side}, view)
    return seen.by_role["all"], seen.names


@dataclass(frozen=True, slots=True)
class SeenPictures:
    """The pictures of a case: for each role, and their names (paths, with the frame where a file has several)."""

    by_role: Mapping[str, Pictures | None]
    names: tuple[str, ...]


def load_for_roles(
    root: PictureRoot, paths: Sequence[str], sides: Mapping[str, int], view: View = AUTO
) -> SeenPictures:
    """The pictures of every role in ``sides`` (name -> longest side, pixels), each file decoded once.

    Roles that see the same share one object. Raises :class:`PictureError` for the first picture that cannot be used.
    """
    files: dict[int, list[bytes]] = {side: [] for side in sides.values()}
    names = []
    for named in (named for path in paths for named in read_pictures(root, path, view)):
        names.append(named.name)
        image = named.shown.image
        encoded: dict[int, bytes] = {}
        for side, made in files.items():
            shown = min(side, max(image.size))
            if shown not in encoded:
                encoded[shown] = encode_picture(image, shown)
            made.append(encoded[shown])
    pictures = {side: _bundle_pictures(made) for side, made in files.items()}
    return SeenPictures({role: pictures[side] for role, side in sides.items()}, tuple(names))


def _bundle_pictures(files: list[bytes]) -> Pictures | None:
    """The digest is over the digests of the files, so that their bounds count."""
    if not files:
        return None
    return Pictures(hashlib.sha256(b"".join(hashlib.sha256(f).digest() for f in files)).hexdigest(), tuple(files))
