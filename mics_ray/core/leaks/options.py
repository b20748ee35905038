"""The options of a multiple-choice question, as questions list them: lettered, numbered, in Roman numbers."""

import re
from collections.abc import Mapping

_MARK = re.compile(r"(?:^|(?<=[\s,;]))[(\[]?(?P<mark>[a-jA-J]|\d{1,2}|[ivx]{1,4}|[IVX]{1,4})[.):\]](?=\s)")
_ROWS = (tuple("abcdefghij"), tuple(map(str, range(1, 11))), ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii"))
_OWN = re.compile(r"\s*[(\[]?(?P<mark>[a-jA-J]|\d|[ivIV]{1,3})[.):\]]\s+(?=\S)")


def read_options(question: str) -> Mapping[str, str]:
    """Text by mark (lower case) of the options that ``question`` lists; empty where it lists fewer than two.

    Marks count only where they follow one another from the first (A, B, C; 1, 2, 3; i, ii, iii).
    """
    marks = list(_MARK.finditer(question))
    for row in _ROWS:
        found: list[re.Match[str]] = []
        for mark in marks:
            # The last list counts: a question may number its parts before it lists the options.
            if mark["mark"].lower() == row[0]:
                found = [mark]
            elif found and len(found) < len(row) and mark["mark"].lower() == row[len(found)]:
                found.append(mark)
        if len(found) > 1:
            ends = [*(mark.start() for mark in found[1:]), len(question)]
            return {
                mark["mark"].lower(): question[mark.end() : end].strip().partition("\n")[0].strip(" .,;:*(")
                for mark, end in zip(found, ends, strict=True)
            }
    return {}


def split_mark(answer: str) -> tuple[str, str]:
    """The mark (lower case, "" for none) that a gold answer begins with, and the answer without it."""
    own = _OWN.match(answer)
    return (own["mark"].lower(), answer[own.end() :]) if own else ("", answer)
