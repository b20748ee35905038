"""Text of models and input files as a terminal, a log or a report may show it: it is data, never a command to them."""

import re
from typing import Any

# Control characters, lone surrogates, separators of lines and paragraphs (categories Cc, Cs, Zl, Zp of Unicode), and
# marks that turn the direction of writing, so that a line reads otherwise than it is stored. A pattern, for texts are
# long, and a look at each character costs fifty times as much.
OBEYED = (
    r"\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029"
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
)
_UNPRINTABLE = re.compile(f"[{OBEYED}]")
_UNPRINTABLE_IN_LINE = re.compile(rf"[\n{OBEYED}]")


def make_printable(text: str) -> str:
    """``text`` in its lines, every character replaced that a terminal would obey or that turns the direction."""
    return _UNPRINTABLE.sub("\ufffd", text)


def make_one_line(text: str) -> str:
    """:func:`make_printable` for a place that a line break would end: a line of a log, a cell of a table."""
    return _UNPRINTABLE_IN_LINE.sub("\ufffd", text)


# JSON can carry a NUL (\u0000) and a lone surrogate; Arrow strings are UTF-8, which has no lone surrogates.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def make_storable(text: str) -> str:
    """``text`` with every character that UTF-8 or a C string cannot hold replaced; everything else is kept."""
    # Most texts are plain, a row holds hundreds of them, and the pattern takes longer to find nothing.
    if text.isascii() and "\0" not in text:
        return text
    return _UNSTORABLE.sub(lambda match: "\u2400" if match[0] == "\0" else "\ufffd", text)


def make_value_storable(value: Any) -> Any:
    """The same for all strings in a value made of dicts (whose keys, names of columns, are kept), lists, tuples (which
    become lists) and scalars."""
    if isinstance(value, str):
        return make_storable(value)
    if isinstance(value, dict):
        return {key: make_value_storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):  # a union would be made anew for each value
        return [make_value_storable(item) for item in value]
    return value
