"""The first frame of a DICOM file as 8-bit grey or RGB: rescaled, windowed, MONOCHROME1 inverted.

Private and descriptive elements are skipped, not read. Deflated files are refused: nothing limits what they inflate to.
"""

import logging
import warnings
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, get_frame
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi, pixel_array
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, RLELossless

from mics_ray.models.pictures.file_formats import PictureDefect
from mics_ray.models.pictures.size_limits import HeaderReader, require_size

_TAILS = (0.5, 99.5)  # percentiles
_SAMPLE = 1_000_000
_BLOCK = 1 << 20  # values converted at a time, so that no float copy of the whole picture is made


def choose_window(values: NDArray[Any]) -> tuple[float, float]:
    """The grey values that become black and white, for a picture that names none.

    They are the smallest and the largest value, so nothing is clipped; but where the 0.5 % at each end (hot pixels,
    burned-in marks) would take up more than half of that range, they are the 0.5th and the 99.5th percentile.
    """
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    if not finite.size:
        return 0.0, 0.0
    low, high = float(finite.min()), float(finite.max())
    inner_low, inner_high = (float(v) for v in np.percentile(finite[:: finite.size // _SAMPLE + 1], _TAILS))
    if inner_low < inner_high and high - low > 2 * (inner_high - inner_low):
        return inner_low, inner_high
    return low, high


def scale_to_8_bit(values: NDArray[Any], window: tuple[float, float]) -> NDArray[np.uint8]:
    """``values`` of any shape, linear from 0 at ``window[0]`` to 255 at ``window[1]``; without width: black."""
    low, high = window
    grey = np.zeros(values.size, np.uint8)
    if high > low:
        flat = values.ravel()
        for start in range(0, flat.size, _BLOCK):
            block = np.nan_to_num((flat[start : start + _BLOCK].astype(np.float64) - low) * (255.0 / (high - low)))
            grey[start : start + _BLOCK] = np.clip(block + 0.5, 0.0, 255.0)
    return grey.reshape(values.shape)


# What pydicom has to say about a value quotes the value, which is a patient's.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"pydicom\b")

_PIXEL_GROUP = 0x0028
_PIXEL_DATA = {0x7FE00008, 0x7FE00009, 0x7FE00010}
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_GROUP_ITEMS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
_WANTED = [Tag(name) for name in _GROUPS]


def read_first_frame(file: BinaryIO, size_of: Callable[[bytes], tuple[int, int]]) -> NDArray[np.uint8]:
    """Shape (rows, columns) or (rows, columns, 3). ``size_of`` reads (width, height) from a JPEG or JPEG 2000 header.

    Raises :class:`PictureDefect`, or whatever pydicom raises on a damaged file.
    """
    header = HeaderReader(file)
    data = _read_header(header)
    require_size(int(data.Columns), int(data.Rows))
    header.lift_limit()
    if data.file_meta.TransferSyntaxUID.is_compressed:
        pixels = _decompress_first_frame(data, file, size_of)
    else:
        file.seek(0)
        pixels = pixel_array(file, index=0)
    return _render_pixels(pixels, data)


def _read_header(header: HeaderReader) -> Any:
    """The elements that say how to decode and to show the pixels; leaves ``header`` at the pixel data."""
    read_preamble(header, force=False)
    meta = read_dataset(header, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    syntax = UID(meta.TransferSyntaxUID)
    if syntax == DeflatedExplicitVRLittleEndian:
        raise PictureDefect("a deflated DICOM file")
    data = read_dataset(
        header,
        syntax.is_implicit_VR,
        syntax.is_little_endian,
        stop_when=lambda tag, vr, length: int(tag) in _PIXEL_DATA,
        specific_tags=[*_WANTED, *_list_pixel_tags()],
    )
    data.file_meta = meta
    for group in _GROUPS:  # enhanced objects keep the window and the rescaling of a frame here
        for item in data.get(group, [])[:1]:
            for inner in _GROUP_ITEMS:
                data.update(item[inner][0] if inner in item else {})
    return data


def _list_pixel_tags() -> list[Any]:
    return [Tag(tag) for tag in pydicom.datadict.DicomDictionary if tag >> 16 == _PIXEL_GROUP]


def _decompress_first_frame(data: Any, file: BinaryIO, size_of: Callable[[bytes], tuple[int, int]]) -> NDArray[Any]:
    """Decode the first frame alone, after a look at the size that its own stream announces."""
    file.seek(12, 1)  # past the element's tag, type and length
    frame = get_frame(file, 0, number_of_frames=int(data.get("NumberOfFrames", 1) or 1))
    if data.file_meta.TransferSyntaxUID != RLELossless and size_of(frame) != (data.Columns, data.Rows):
        raise PictureDefect("the pixel data are of another size than the header")
    data.NumberOfFrames = 1
    data.PixelData = encapsulate([frame])
    return np.asarray(pixel_array(data, index=0))


def _render_pixels(pixels: NDArray[Any], data: Any) -> NDArray[np.uint8]:
    """Stored values to shown values."""
    kind = data.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, data)
    if pixels.ndim == 3:
        full = 2 ** (8 * pixels.dtype.itemsize if kind == "PALETTE COLOR" else data.BitsStored) - 1
        return scale_to_8_bit(pixels, (0, full))
    grey = _apply_window(apply_modality_lut(pixels, data), data)
    return 255 - grey if kind == "MONOCHROME1" else grey


def _apply_window(values: NDArray[Any], data: Any) -> NDArray[np.uint8]:
    """By the file's own table or (first) window; 8 stored bits without one are as they are; otherwise automatically."""
    if data.get("VOILUTSequence"):
        bits = int(data.VOILUTSequence[0].LUTDescriptor[2])
        return scale_to_8_bit(apply_voi(values, data), (0, 2**bits - 1))
    centre, width = _first_number(data.get("WindowCenter")), _first_number(data.get("WindowWidth"))
    form = data.get("VOILUTFunction") or "LINEAR"
    if centre is None or width is None or width < 1 or (width == 1 and form == "LINEAR"):
        plain = data.get("BitsStored") == 8 and values.dtype == np.uint8
        return scale_to_8_bit(values, (0, 255) if plain else choose_window(values))
    if form == "SIGMOID":
        return scale_to_8_bit(1 / (1 + np.exp(-4 * (values - centre) / width)), (0, 1))
    if form == "LINEAR_EXACT":
        return scale_to_8_bit(values, (centre - width / 2, centre + width / 2))
    return scale_to_8_bit(values, (centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2))  # PS3.3 C.11.2.1.2


def _first_number(value: Any) -> float | None:
    """Of one or several numbers, the first."""
    if value is None:  # an empty element too
        return None
    return float(value) if not isinstance(value, pydicom.multival.MultiValue) else float(value[0])
