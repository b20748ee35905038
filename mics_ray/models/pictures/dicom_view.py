"""DICOM pixels as 8-bit grey or RGB: rescaled, windowed, padding black, MONOCHROME1 inverted, pixels made square."""

import math
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi

from mics_ray.models.pictures.file_formats import PictureDefect
from mics_ray.models.pictures.shown import Shown, from_pixels, read_spacing
from mics_ray.models.pictures.windows import View, place_window, scale_to_8_bit, show_by_values, show_hounsfield

_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")


def show_pixels(pixels: NDArray[Any], data: Any, view: View) -> Shown:
    """Stored values to shown values; ``data`` is the header of this frame. Raises :class:`PictureDefect`."""
    kind, spacing = str(data.PhotometricInterpretation).strip(), _find_spacing(data)
    if kind == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, data)
    if pixels.ndim == 3:
        if kind not in _COLOURS:
            raise PictureDefect("colours of a photometric interpretation that is not read")
        bits = 8 * pixels.dtype.itemsize if kind == "PALETTE COLOR" else int(data.BitsStored)
        colours = scale_to_8_bit(pixels, (0, 2**bits - 1))
        return from_pixels(colours, spacing, "", bool((colours == colours[:1, :1]).all()))
    padding = _find_padding(pixels, data)
    values = _rescale(pixels, data)
    # A copy of the values only where there is padding to leave out.
    shown = values if padding is None else values[~padding]
    grey, words = _apply_window(values, shown, data, view)
    if kind == "MONOCHROME1":
        grey = 255 - grey
    inside = grey if padding is None else grey[~padding]
    constant = not inside.size or bool(inside.min() == inside.max())
    if padding is not None:
        grey[padding] = 0
    return from_pixels(grey, spacing, words, constant)


def _find_padding(pixels: NDArray[Any], data: Any) -> NDArray[np.bool_] | None:
    """Where padding is: the value, or the range, taken in the type of the pixels (headers write -32768 as 32768)."""
    value, limit = _first_number(data.get("PixelPaddingValue")), _first_number(data.get("PixelPaddingRangeLimit"))
    if value is None or pixels.dtype.kind not in "iu":
        return None
    low, high = sorted(_wrap(number, pixels.dtype) for number in (value, value if limit is None else limit))
    mask = (pixels >= low) & (pixels <= high)
    return mask if mask.any() else None


def _wrap(number: float, dtype: np.dtype[Any]) -> int:
    bits = 8 * dtype.itemsize
    whole = int(number) % (1 << bits)
    return whole - (1 << bits) if dtype.kind == "i" and whole >= 1 << (bits - 1) else whole


def _rescale(pixels: NDArray[Any], data: Any) -> NDArray[Any]:
    """By the file's own table, or by slope and intercept where both are there and mean something."""
    if data.get("ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(pixels, data))
    slope, intercept = _read_rescaling(data)
    return pixels if (slope, intercept) == (1.0, 0.0) else pixels.astype(np.float64) * slope + intercept


def _read_rescaling(data: Any) -> tuple[float, float]:
    slope, intercept = _first_number(data.get("RescaleSlope")), _first_number(data.get("RescaleIntercept"))
    return (1.0, 0.0) if not slope or intercept is None else (slope, intercept)


def _apply_window(values: NDArray[Any], shown: NDArray[Any], data: Any, view: View) -> tuple[NDArray[np.uint8], str]:
    """By the window that is asked for, the file's own table or window, else automatically; and its words."""
    if view.window is not None:
        return _use_window(values, *view.window, "LINEAR"), "{:g}/{:g}".format(*view.window)
    if data.get("VOILUTSequence"):
        number = _pick(len(data.VOILUTSequence), view.number)
        bits = int(data.VOILUTSequence[number].LUTDescriptor[2])
        return scale_to_8_bit(apply_voi(values, data, number), (0, 2**bits - 1)), "table of the file"
    form = str(data.get("VOILUTFunction") or "LINEAR")
    if windows := _list_windows(data, form):
        number = _pick(len(windows), view.number)
        centre, width = windows[number]
        words = f"{centre:g}/{width:g}" + (f" ({number + 1} of {len(windows)})" if len(windows) > 1 else "")
        return _use_window(values, centre, width, form), words
    if _is_hounsfield(data):
        return show_hounsfield(values, shown)
    if data.get("BitsStored") == 8 and values.dtype == np.uint8:
        return values.copy(), ""
    return show_by_values(values, shown)


def _pick(count: int, number: int) -> int:
    """The place of a window; the first one where the file has fewer."""
    return number - 1 if number <= count else 0


def _list_windows(data: Any, form: str) -> list[tuple[float, float]]:
    """The file's windows that have a width."""
    pairs = zip(_numbers(data.get("WindowCenter")), _numbers(data.get("WindowWidth")), strict=False)
    least = 1 if form == "LINEAR" else 0
    return [
        (centre, width)
        for centre, width in pairs
        if centre is not None and width is not None and width >= 1 and width > least
    ]


def _use_window(values: NDArray[Any], centre: float, width: float, form: str) -> NDArray[np.uint8]:
    if form == "SIGMOID":
        return scale_to_8_bit(1 / (1 + np.exp(-4 * (values - centre) / width)), (0, 1))
    if form == "LINEAR_EXACT":
        return scale_to_8_bit(values, (centre - width / 2, centre + width / 2))
    return scale_to_8_bit(values, place_window(centre, width))


def _is_hounsfield(data: Any) -> bool:
    """Whether values are Hounsfield units: a CT, no localizer, rescaled without a word of another unit."""
    is_ct = data.get("Modality") == "CT" or "CT Image" in getattr(data.get("SOPClassUID"), "name", "")
    rescaled = _first_number(data.get("RescaleSlope")) and _first_number(data.get("RescaleIntercept")) is not None
    other = str(data.get("RescaleType") or "HU").strip().upper() not in ("HU", "US")
    localizer = "LOCALIZER" in [str(word).upper() for word in _items(data.get("ImageType"))]
    return bool(is_ct and rescaled and not other and not localizer)


def _find_spacing(data: Any) -> tuple[float, float] | None:
    """Distances of rows and of columns, or their ratio."""
    return next((pair for name in _SPACINGS if (pair := read_spacing(data.get(name)))), None)


def _items(value: Any) -> list[Any]:
    """One or several values as a list; none of an empty element."""
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, pydicom.multival.MultiValue | list | tuple) else [value]


def _numbers(value: Any) -> list[float | None]:
    return [_read_number(item) for item in _items(value)]


def _first_number(value: Any) -> float | None:
    """Of one or several numbers, the first."""
    return next(iter(_numbers(value)), None)


def _read_number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):  # a mislabelled element may hold bytes or text
        return None
    return number if math.isfinite(number) else None
