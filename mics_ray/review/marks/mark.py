"""A mark: what a reviewer says of one step of a kept chain, or of the chain as a whole; and its line in a file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

STEP_VERDICTS = ("right", "wrong", "unsure")
CHAIN_VERDICTS = ("accept", "reject")
MOST_COMMENT = 10_000
"""Characters of a comment."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is marked: step ``step`` (from 1) of the case's kept chain, the whole chain where it is ``None``.

    ``chain`` is the digest of the chain: a mark says nothing of another chain of the same case.
    """

    case_id: str
    chain: str
    step: int | None

    @property
    def verdicts(self) -> tuple[str, ...]:
        """The verdicts that may be given."""
        return CHAIN_VERDICTS if self.step is None else STEP_VERDICTS


@dataclass(frozen=True, slots=True)
class ReviewMark:
    """One line of a reviewer's file. ``number`` counts its lines from 1.

    ``verdict`` is ``None`` where there is none (any more). ``answers`` is the number of the mark that stood for this
    target before, 0 where there was none. A mark that undoes another holds again what stood before that one, and its
    number in ``undoes``. ``time`` is UTC, ISO 8601.
    """

    number: int
    case_id: str
    chain: str
    step: int | None
    verdict: str | None
    comment: str
    answers: int
    undoes: int | None
    time: str

    @property
    def target(self) -> Target:
        """What is marked."""
        return Target(self.case_id, self.chain, self.step)

    def says(self, verdict: str | None, comment: str) -> bool:
        """Whether it says just this."""
        return self.verdict == verdict and self.comment == comment

    def dump_line(self) -> bytes:
        """Its line, in ASCII: whatever a comment holds, it is one line."""
        return f"{json.dumps(asdict(self), separators=(',', ':'))}\n".encode("ascii")


_TYPES: Mapping[str, tuple[type, ...]] = {
    "number": (int,), "case_id": (str,), "chain": (str,), "step": (int, type(None)), "verdict": (str, type(None)),
    "comment": (str,), "answers": (int,), "undoes": (int, type(None)), "time": (str,),
}  # fmt: skip


def parse_line(line: bytes) -> ReviewMark:
    """The mark of a line. Raises ``ValueError`` that says what is wrong, without the line's text."""
    try:
        found = json.loads(line)
    except ValueError:
        raise ValueError("not JSON") from None
    if not isinstance(found, dict) or set(found) != {field.name for field in fields(ReviewMark)}:
        raise ValueError("not a mark")
    values: dict[str, Any] = found
    for name, types in _TYPES.items():
        # A bool is an int to Python.
        if not isinstance(values[name], types) or isinstance(values[name], bool):
            raise ValueError(f"{name} has another type")
    mark = ReviewMark(**values)
    if mark.step is not None and mark.step < 1:
        raise ValueError("step is below 1")
    check_saying(mark.target, mark.verdict, mark.comment)
    return mark


def check_saying(target: Target, verdict: str | None, comment: str) -> None:
    """Raise ``ValueError`` for what cannot be said of ``target``."""
    if verdict is not None and verdict not in target.verdicts:
        raise ValueError(f"verdict is none of {', '.join(target.verdicts)}")
    if len(comment) > MOST_COMMENT:
        raise ValueError(f"a comment holds at most {MOST_COMMENT:,} characters")
