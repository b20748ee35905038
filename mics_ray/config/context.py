"""Which notes of a case interns and the trained model are told: ``data.context``, read and checked."""

import difflib
from typing import Any

from mics_ray.core.context import CONTEXT


def read_context(value: Any) -> tuple[str, ...]:
    """Read ``data.context``: a list of notes, one name, or ``none``; in the order of :data:`CONTEXT`.

    Raises :class:`ValueError` that says what is wrong, without the field's name.
    """
    if value is None or value == "none":
        return ()
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"must be none or a list of {', '.join(CONTEXT)}")
    for name in names:
        if name not in CONTEXT:
            close = difflib.get_close_matches(name, CONTEXT, n=1, cutoff=0.4)
            near = f"did you mean {close[0]!r}?" if close else f"there is: {', '.join(CONTEXT)}, or none"
            raise ValueError(f"unknown note {name[:40]!r}; {near}")
    return tuple(name for name in CONTEXT if name in names)
