"""Grey values of any range as 8 bits: the window that is asked for, the file's own, or one from the values."""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mics_ray.config.schema import PicturesConfig
from mics_ray.core.frames import Frames, read_frames

SOFT_TISSUE = (40.0, 400.0)
"""Centre and width, in Hounsfield units, of a CT that names no window of its own."""
_TAILS = (0.5, 99.5)  # percentiles
_SAMPLE = 1_000_000
_BLOCK = 1 << 20  # values converted at a time, so that no float copy of the whole picture is made
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_WINDOW = re.compile(rf"\s*({_NUMBER})\s*/\s*({_NUMBER})\s*")
_OF_FILE = re.compile(r"file:([1-9]\d?)")


@dataclass(frozen=True, slots=True)
class View:
    """How pictures are to be shown: ``pictures.window`` and ``pictures.frames`` as they are used.

    ``window``: (centre, width) in the file's units; ``number``: which of the file's own windows, from 1; ``frames``:
    of a file of several, where its path names none.
    """

    window: tuple[float, float] | None = None
    number: int = 1
    frames: Frames | None = None


AUTO = View()


def read_view(pictures: PicturesConfig) -> View:
    """The view that the settings ask for. Raises :class:`ValueError` that begins with the setting's name."""
    view, text, frames = View(), str(pictures.window), pictures.frames
    if found := _WINDOW.fullmatch(text):
        centre, width = float(found[1]), float(found[2])
        if not (math.isfinite(centre) and math.isfinite(width) and width >= 1):
            raise ValueError("window: the width must be 1 or more")
        view = View((centre, width))
    elif of_file := _OF_FILE.fullmatch(text):
        view = View(number=int(of_file[1]))
    elif text != "auto":
        raise ValueError(f"window: {text!r} is not auto, CENTER/WIDTH (40/400) or file:N (file:2)")
    if str(frames) == "auto":
        return view
    if (named := read_frames(str(frames))) is None:
        raise ValueError(f"frames: {frames!r} is not auto, a frame (42) or frames (10-40, 10-40:5; 100 at most)")
    return View(view.window, view.number, named)


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


def place_window(centre: float, width: float) -> tuple[float, float]:
    """The values that a linear window shows as black and as white (DICOM PS3.3 C.11.2.1.2; ``width`` above 1)."""
    return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2


def show_hounsfield(values: NDArray[Any], shown: NDArray[Any]) -> tuple[NDArray[np.uint8], str]:
    """A CT without a window: soft tissue; where that holds one single value (lung, a phantom), by its values.

    ``shown``: those of ``values`` that are no padding.
    """
    low, high = place_window(*SOFT_TISSUE)
    if shown.size and (shown.max() <= low or shown.min() >= high):
        return show_by_values(values, shown)
    return scale_to_8_bit(values, (low, high)), f"{SOFT_TISSUE[0]:g}/{SOFT_TISSUE[1]:g} HU"


def show_by_values(values: NDArray[Any], shown: NDArray[Any]) -> tuple[NDArray[np.uint8], str]:
    """The window that the values themselves suggest, and its words."""
    low, high = choose_window(shown)
    return scale_to_8_bit(values, (low, high)), f"values {low:g} to {high:g}"
