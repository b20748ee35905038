"""How tokens are drawn beside the temperature: what an entry or a preset says, read and checked."""

import difflib
import math
from collections.abc import Mapping
from typing import Any, Literal

OF_MODEL: Literal["model"] = "model"
"""In the place of the parameters: as the model's own generation_config says; to an API no parameter is sent."""
PARAMETERS = ("top_p", "top_k", "min_p", "repetition_penalty")
Sampling = dict[str, float] | Literal["model"] | None
"""The parameters that are given, ``"model"``, or ``None``: nothing is said."""


def read_sampling(value: Any) -> Sampling:
    """Read ``ModelConfig.sampling``. Raises :class:`ValueError` that says what is wrong, without the field's name."""
    if value is None or value == OF_MODEL:
        return value  # type: ignore[no-any-return]
    if not isinstance(value, Mapping):
        raise ValueError(f"must be {OF_MODEL} or a mapping of {', '.join(PARAMETERS)}")
    return {str(name): _read_parameter(str(name), given) for name, given in value.items() if given is not None}


def _read_parameter(name: str, value: Any) -> float:
    if name not in PARAMETERS:
        close = difflib.get_close_matches(name, PARAMETERS, n=1, cutoff=0.4)
        near = f"did you mean {close[0]!r}?" if close else f"there is: {', '.join(PARAMETERS)}"
        raise ValueError(f"unknown name {name[:40]!r}; {near}")
    # bool is a subclass of int; NaN is in no range.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is not a number")
    if name == "top_k":
        if value != int(value) or value < -1:
            raise ValueError(f"top_k {value:g} is not a whole number from 1 on (0 or -1: all tokens)")
        return int(value)
    if name == "top_p" and not 0 < value <= 1:
        raise ValueError(f"top_p {value:g} is not above 0 and at most 1")
    if name == "min_p" and not 0 <= value <= 1:
        raise ValueError(f"min_p {value:g} is not between 0 and 1")
    if name == "repetition_penalty" and value <= 0:
        raise ValueError(f"repetition_penalty {value:g} is not above 0")
    return float(value)
