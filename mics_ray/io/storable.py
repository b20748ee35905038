"""One rule for text that files cannot hold: a lone surrogate becomes U+FFFD, NUL becomes U+2400 (its picture)."""

import re
from typing import Any

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """``text`` with every character that UTF-8 or a C string cannot hold replaced; everything else is kept."""
    return _UNSTORABLE.sub(lambda match: "\u2400" if match[0] == "\0" else "\ufffd", text)


def storable_value(value: Any) -> Any:
    """The same for all strings in a value made of dicts, lists, tuples (which become lists) and scalars."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable_value(key): storable_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable_value(item) for item in value]
    return value
