"""Text of models and input files as a terminal, a log or a report may show it: it is data, never a command to them."""

import re
from typing import Any
from unicodedata import category

TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of writing, so that a line reads otherwise than it is stored."""
UNSHOWN = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Categories of Unicode: control characters, lone surrogates, separators of lines and paragraphs."""


def make_printable(text: str) -> str:
    """``text`` in its lines, every character replaced that a terminal would obey or that turns the direction."""
    return "".join("\ufffd" if mark != "\n" and _is_unprintable(mark) else mark for mark in text)


def make_one_line(text: str) -> str:
    """:func:`make_printable` for a place that a line break would end: a line of a log, a cell of a table."""
    return "".join("\ufffd" if _is_unprintable(mark) else mark for mark in text)


def _is_unprintable(mark: str) -> bool:
    return category(mark) in UNSHOWN or mark in TURNING


# JSON can carry a NUL (\u0000) and a lone surrogate; Arrow strings are UTF-8, which has no lone surrogates.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def make_storable(text: str) -> str:
    """``text`` with every character that UTF-8 or a C string cannot hold replaced; everything else is kept."""
    return _UNSTORABLE.sub(lambda match: "\u2400" if match[0] == "\0" else "\ufffd", text)


def make_value_storable(value: Any) -> Any:
    """The same for all strings in a value made of dicts, lists, tuples (which become lists) and scalars."""
    if isinstance(value, str):
        return make_storable(value)
    if isinstance(value, dict):
        return {make_value_storable(key): make_value_storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [make_value_storable(item) for item in value]
    return value
