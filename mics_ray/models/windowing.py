"""From measured grey values (16-bit, 32-bit, float) to the 8 bits that models see, without clipping what matters."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_TAILS = (0.5, 99.5)  # percentiles
_SAMPLE = 1_000_000
_BLOCK = 1 << 20  # values converted at a time, so that no float copy of the whole picture is made


def automatic_window(values: NDArray[Any]) -> tuple[float, float]:
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


def to_8_bit(values: NDArray[Any], window: tuple[float, float]) -> NDArray[np.uint8]:
    """``values`` of any shape, linear from 0 at ``window[0]`` to 255 at ``window[1]``; without width: black."""
    low, high = window
    grey = np.zeros(values.size, np.uint8)
    if high > low:
        flat = values.ravel()
        for start in range(0, flat.size, _BLOCK):
            block = np.nan_to_num((flat[start : start + _BLOCK].astype(np.float64) - low) * (255.0 / (high - low)))
            grey[start : start + _BLOCK] = np.clip(block + 0.5, 0.0, 255.0)
    return grey.reshape(values.shape)
