"""Text of models and input files as a terminal, a log or a report may show it: it is data, never a command to them."""

from unicodedata import category

TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of writing, so that a line reads otherwise than it is stored."""
UNSHOWN = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Categories of Unicode: control characters, lone surrogates, separators of lines and paragraphs."""


def printable(text: str) -> str:
    """``text`` in its lines, every character replaced that a terminal would obey or that turns the direction."""
    return "".join("\ufffd" if mark != "\n" and _obeyed(mark) else mark for mark in text)


def one_line(text: str) -> str:
    """:func:`printable` for a place that a line break would end: a line of a log, a cell of a table."""
    return "".join("\ufffd" if _obeyed(mark) else mark for mark in text)


def _obeyed(mark: str) -> bool:
    return category(mark) in UNSHOWN or mark in TURNING
