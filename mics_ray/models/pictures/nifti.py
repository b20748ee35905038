"""Slices of a NIfTI volume (``.nii``, ``.nii.gz``), in the planes of the body, as radiologists look at them.

Axial slices are counted from the feet up, coronal ones from the back, sagittal ones from the left. The patient's right
is on the left of axial and coronal slices; the front is up in axial ones and on the left in sagittal ones. Of a series
in time the first volume is shown.
"""

import io
import math
import zlib
from typing import Any, BinaryIO

import nibabel
import numpy as np
from numpy.typing import NDArray

from mics_ray.core.frames import PLANES
from mics_ray.models.pictures.file_formats import GZIP, MAX_FILE_BYTES, PictureDefect
from mics_ray.models.pictures.shown import Shown, from_pixels
from mics_ray.models.pictures.size_limits import require_size
from mics_ray.models.pictures.windows import View, place_window, scale_to_8_bit, show_by_values, show_hounsfield

AIR = -900.0
"""A volume with values below and no fractions is taken for a CT: no other kind of picture has air at -1000."""
_HEADERS = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
_AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
_INTEGERS = ("i", "u")


class NiftiFile:
    """A volume whose header is read. Raises :class:`PictureDefect`, or what nibabel raises on a damaged file."""

    def __init__(self, file: BinaryIO) -> None:
        data = _unpack(file)
        size = 540 if 540 in (int.from_bytes(data[:4], "little"), int.from_bytes(data[:4], "big")) else 348
        self._header = _HEADERS[size].from_fileobj(io.BytesIO(data))
        shape = tuple(int(side) for side in self._header.get_data_shape())
        if len(shape) < 2 or not all(shape):
            raise PictureDefect("a NIfTI file without a picture in it")
        shape = (*shape, 1)[:3]
        dtype = self._header.get_data_dtype()
        self._is_colour = dtype.names == ("R", "G", "B")
        if not self._is_colour and dtype.kind not in "iuf":
            raise PictureDefect("a NIfTI file of RGBA, complex or extended numbers; only RGB and grey ones are read")
        require_size(max(shape) ** 2, 1)
        self._stored = _view_volume(data, self._header, shape)
        self._orient()
        self._is_ct = not self._is_colour and self._looks_like_ct()
        self.count = self._stored.shape[2]
        self.first = 1 + self.count // 2

    def count_frames(self, plane: str) -> int:
        """See :class:`~.shown.FrameFile`."""
        return int(self._stored.shape[_AXES[plane or PLANES[0]]])

    def show_frame(self, number: int, plane: str, view: View) -> Shown:
        """See :class:`~.shown.FrameFile`. ``plane``: one of :data:`PLANES`, "" for the axial one."""
        axis = _AXES[plane or PLANES[0]]
        cut = np.take(self._stored, number - 1, axis=axis)
        # Columns from the patient's right, or from the front; rows from the top, or from the front.
        stored = np.ascontiguousarray(cut[::-1, ::-1].T)
        across, down = [side for at, side in enumerate(self._sides) if at != axis]
        if self._is_colour:
            pixels = stored.view(np.uint8).reshape(*stored.shape, 3)
            return from_pixels(pixels, (down, across), "", bool((pixels == pixels[0, 0]).all()))
        values = self._rescale(stored)
        if view.window is not None:
            grey, words = scale_to_8_bit(values, place_window(*view.window)), "{:g}/{:g}".format(*view.window)
        elif self._is_ct:
            grey, words = show_hounsfield(values, values)
        else:
            grey, words = show_by_values(values, values)
        return from_pixels(grey, (down, across), words, bool(grey.min() == grey.max()))

    def _orient(self) -> None:
        """Turn the axes to the patient's right, front and head, as far as the header knows."""
        sides = [float(side) for side in (*self._header.get_zooms(), 1.0, 1.0)[:3]]
        orientation = nibabel.io_orientation(self._header.get_best_affine())
        if not np.isnan(orientation).any():
            self._stored = nibabel.apply_orientation(self._stored, orientation)
            sides = [sides[list(orientation[:, 0]).index(axis)] for axis in range(3)]
        self._sides = [side if math.isfinite(side) and side > 0 else 1.0 for side in sides]

    def _rescale(self, values: NDArray[Any]) -> NDArray[Any]:
        slope, intercept = self._header.get_slope_inter()
        return values if slope in (None, 0) else values.astype(np.float64) * slope + (intercept or 0)

    def _looks_like_ct(self) -> bool:
        slope, intercept = self._header.get_slope_inter()
        whole = self._stored.dtype.kind in _INTEGERS or bool((self._stored[..., 0] % 1 == 0).all())
        lowest = float(self._stored.min()) * (slope or 1.0) + (intercept or 0.0)
        return whole and lowest <= AIR


def _unpack(file: BinaryIO) -> bytes:
    data = file.read(MAX_FILE_BYTES + 1)
    if data.startswith(GZIP):
        data = zlib.decompressobj(31).decompress(data, MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise PictureDefect(f"more than {MAX_FILE_BYTES >> 20} MB")
    return data


def _view_volume(data: bytes, header: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """The first volume, not copied."""
    dtype, start = header.get_data_dtype(), int(header.get_data_offset())
    if len(data) < start + math.prod(shape) * dtype.itemsize:
        raise PictureDefect("cut short")
    return np.ndarray(shape, dtype, data, start, order="F")
