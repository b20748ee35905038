"""Rows that Arrow can hold: their columns in the order of a schema, and no character in them that UTF-8 cannot hold."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from mics_ray.core.display import make_value_storable


def order_columns(columns: Mapping[str, object], names: Iterable[str]) -> dict[str, Any]:
    """The columns in the order of ``names``, every string in them storable."""
    ordered: dict[str, Any] = {name: columns[name] for name in names}
    return ordered if _is_storable(ordered) else {name: make_value_storable(value) for name, value in ordered.items()}


def _is_storable(value: object) -> bool:
    """Whether every string in ``value`` is storable, for certain; Python would take most of a row's time."""
    try:
        encoded = msgspec.json.encode(value)
    except (ValueError, TypeError, OverflowError):  # a lone surrogate is a ValueError
        return False
    return rb"\u0000" not in encoded
