"""Frames of a DICOM file, one at a time: decoded by pydicom and its plugins, shown by :mod:`.dicom_view`."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import get_decoder
from pydicom.pixels.utils import as_pixel_options, pixel_array
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGLossless, JPEGLosslessSV1, MPEGTransferSyntaxes, RLELossless

from mics_ray.models.pictures.compressed_streams import read_stream_size, require_undamaged
from mics_ray.models.pictures.dicom_header import PixelPlace, copy_elements, merge_groups, read_header, read_whole
from mics_ray.models.pictures.dicom_view import show_pixels
from mics_ray.models.pictures.file_formats import PictureDefect
from mics_ray.models.pictures.shown import Shown, refuse_plane
from mics_ray.models.pictures.windows import View

_PLUGINS = ("pillow", "pydicom", "pyjpegls", "pylibjpeg")
"""In this order, whatever else is installed: the same file gives the same pixels on every machine that reads it."""
_PACKAGES = {
    "50": "pillow",
    "51": "pylibjpeg-libjpeg (GPL)",
    "57": "python-gdcm",
    "70": "python-gdcm",
    "80": "pyjpegls",
}
_PACKAGES |= {"81": "pyjpegls", "90": "pylibjpeg-openjpeg", "91": "pylibjpeg-openjpeg"}
_PACKAGES |= {"201": "pylibjpeg-openjpeg", "202": "pylibjpeg-openjpeg", "203": "pylibjpeg-openjpeg"}


_LOSSLESS = (JPEGLossless, JPEGLosslessSV1)
_PATIENCE_S = 60.0


class DicomFile:
    """A DICOM file whose header is read."""

    first = 1

    def __init__(self, file: BinaryIO) -> None:
        """Raises :class:`PictureDefect`, or what pydicom raises on a damaged file."""
        self._data, self._place, self._file = read_header(file)
        self._value = self._file.tell()
        self.count = max(1, read_whole(self._data, "NumberOfFrames", 1))

    def count_frames(self, plane: str) -> int:
        """See :class:`~.shown.FrameFile`."""
        refuse_plane(plane)
        return self.count

    def show_frame(self, number: int, plane: str, view: View) -> Shown:
        """See :class:`~.shown.FrameFile`."""
        self._file.seek(self._value)
        syntax = self._data.file_meta.TransferSyntaxUID
        if syntax.is_compressed:
            pixels = _decompress(self._data, self._place, self._file, number, self.count)
        elif self._place.is_encapsulated:
            raise PictureDefect("compressed pixel data, and the DICOM header does not say how")
        else:
            pixels = self._read_native(number)
        return show_pixels(pixels, merge_groups(self._data, number), view)

    def _read_native(self, number: int) -> NDArray[Any]:
        options = as_pixel_options(self._data, pixel_keyword=self._place.keyword, number_of_frames=self.count)
        if self._place.vr:
            options["pixel_vr"] = self._place.vr
        syntax = UID(self._data.file_meta.TransferSyntaxUID)
        try:
            return np.asarray(get_decoder(syntax).as_array(self._file, index=number - 1, **options)[0])
        except ValueError:
            bits = int(options["bits_allocated"]) * int(options["samples_per_pixel"])
            needed = number * int(options["rows"]) * int(options["columns"]) * bits // 8
            if self._file.seek(0, 2) - self._value < needed:
                raise PictureDefect("its pixel data are shorter than the header says") from None
            raise
        except AttributeError:
            raise PictureDefect("the DICOM header lacks an element that says how pixels are stored") from None


def _decompress(data: Any, place: PixelPlace, file: BinaryIO, number: int, count: int) -> NDArray[Any]:
    """Decode one frame alone, after a look at the size that its own stream announces."""
    syntax = data.file_meta.TransferSyntaxUID
    if syntax in MPEGTransferSyntaxes:
        raise PictureDefect("a video, not a picture")
    if not place.is_encapsulated:
        raise PictureDefect("the DICOM header says that the pixel data are compressed, which they are not")
    table = data.get("ExtendedOffsetTable"), data.get("ExtendedOffsetTableLengths")
    offsets = table if all(table) else None
    frame = get_frame(file, number - 1, extended_offsets=offsets, number_of_frames=count)
    size = read_stream_size(frame)
    if syntax != RLELossless and size is not None and size != (data.Columns, data.Rows):
        raise PictureDefect("the pixel data are of another size than the header")
    if syntax == JPEGBaseline8Bit:
        require_undamaged(frame)
    one = copy_elements(data)
    one.NumberOfFrames, one.PixelData = 1, encapsulate([frame])
    return _decode_apart(one, frame) if syntax in _LOSSLESS else _ask_plugins(one, syntax)


def _decode_apart(data: Any, frame: bytes) -> NDArray[Any]:
    """By GDCM, in a process of its own: on hostile bytes it ends the one that it runs in."""
    options = as_pixel_options(data, pixel_keyword="PixelData", number_of_frames=1)
    told = json.dumps(options | {"syntax": data.file_meta.TransferSyntaxUID}, default=str).encode()
    child = [sys.executable, "-P", str(Path(__file__).with_name("gdcm_child.py"))]
    try:
        done = subprocess.run(child, input=told + b"\n" + frame, capture_output=True, timeout=_PATIENCE_S, check=True)
        return np.asarray(np.load(io.BytesIO(done.stdout), allow_pickle=False))
    except (subprocess.SubprocessError, ValueError, EOFError):
        name = data.file_meta.TransferSyntaxUID.name
        raise PictureDefect(f"compressed as {name}, which cannot be decoded") from None


def _ask_plugins(data: Any, syntax: UID) -> NDArray[Any]:
    try:
        there = get_decoder(syntax).available_plugins
    except NotImplementedError:
        there = ()
    for plugin in (name for name in _PLUGINS if name in there):
        try:
            return np.asarray(pixel_array(data, index=0, decoding_plugin=plugin))
        except Exception:
            continue
    if not syntax.is_private and syntax.name != syntax:
        needs = _PACKAGES.get(syntax.rpartition(".")[2])
        known = f": needs {needs}" if needs and (needs.endswith("(GPL)") or not there) else ", which cannot be decoded"
        raise PictureDefect(f"compressed as {syntax.name}{known}")
    raise PictureDefect("compressed in a form that is not known")
