"""One picture as it is shown, and what a file of several gives them out by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mics_ray.models.pictures.file_formats import PictureDefect
from mics_ray.models.pictures.size_limits import require_size
from mics_ray.models.pictures.windows import View

SQUARE_WITHIN = 0.01
"""Pixels whose sides differ by less are square."""
MOST_STRETCHED = 20.0
"""A ratio of sides beyond this is no measure."""


@dataclass(frozen=True, slots=True)
class Shown:
    """8-bit RGB without metadata. ``window``: the grey values shown, in words; "" where nothing was windowed.

    ``constant``: one single value, padding apart.
    """

    image: Image.Image
    window: str = ""
    constant: bool = False


class FrameFile(Protocol):
    """An opened picture file of one or several frames."""

    count: int
    first: int
    """The frame that is shown where none is named, from 1."""

    def count_frames(self, plane: str) -> int:
        """How many frames there are in a plane ("": as a file has them). Raises :class:`PictureDefect`."""

    def show_frame(self, number: int, plane: str, view: View) -> Shown:
        """Frame ``number``, from 1, which is there. Raises :class:`PictureDefect`, or anything on a damaged file."""


def refuse_plane(plane: str) -> None:
    """Raises :class:`PictureDefect` where a plane is named of what is no volume."""
    if plane:
        raise PictureDefect("a plane is named, which only a NIfTI volume has")


def is_constant(image: Image.Image) -> bool:
    """Whether all pixels of an 8-bit picture are alike."""
    extrema: Any = image.getextrema()
    return all(low == high for low, high in (extrema if isinstance(extrema[0], tuple) else (extrema,)))


def from_pixels(pixels: NDArray[np.uint8], spacing: tuple[float, float] | None, window: str, constant: bool) -> Shown:
    """Pixels of shape (rows, columns) or (rows, columns, 3), ``spacing`` of (rows, columns) apart, as shown."""
    image = _make_square(Image.fromarray(pixels), spacing)
    return Shown(image.convert("RGB"), window, constant)


def _make_square(image: Image.Image, spacing: tuple[float, float] | None) -> Image.Image:
    """Stretch the side whose pixels lie further apart, so that nothing is lost."""
    ratio = spacing[0] / spacing[1] if spacing else 1.0
    if abs(ratio - 1) <= SQUARE_WITHIN or not 1 / MOST_STRETCHED <= ratio <= MOST_STRETCHED:
        return image
    width, height = image.size
    size = (width, round(height * ratio)) if ratio > 1 else (round(width / ratio), height)
    require_size(*size)
    return image.resize(size, Image.Resampling.BILINEAR)


def read_spacing(pair: Sequence[Any] | Any) -> tuple[float, float] | None:
    """Two numbers above 0, of rows and of columns, if that is what ``pair`` holds."""
    try:
        rows, columns = (float(value) for value in pair)
    except (TypeError, ValueError):
        return None
    return (rows, columns) if 0 < rows < float("inf") and 0 < columns < float("inf") else None
