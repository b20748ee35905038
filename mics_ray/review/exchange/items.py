"""What goes to another tool and what comes back, whatever the form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mics_ray.errors import RefusedRun
from mics_ray.review.marks.mark import ReviewMark, Target

WHOLE = "chain"
"""In place of a step's number: the chain as a whole."""


@dataclass(frozen=True, slots=True)
class SentChain:
    """A row's chain with its pictures (paths beside the file) and what the reviewer has said of it so far."""

    row: Mapping[str, Any]
    targets: Sequence[Target]
    pictures: Sequence[str]
    marks: Mapping[Target, ReviewMark]

    def tell_mark(self, target: Target) -> tuple[str, str]:
        """Verdict and comment on a target; empty where there is none."""
        mark = self.marks.get(target)
        return (mark.verdict or "", mark.comment) if mark else ("", "")


@dataclass(frozen=True, slots=True)
class FilledMark:
    """What a file says of a target. ``place`` is where, such as ``line 7``."""

    place: str
    target: Target
    verdict: str | None
    comment: str


def read_step(text: str) -> int | None:
    """The step of a name or a cell. Raises ``ValueError``."""
    if text.strip() == WHOLE:
        return None
    number = int(text)
    if number < 1:
        raise ValueError("steps are counted from 1")
    return number


def refuse_file(path: object, problems: Sequence[str]) -> RefusedRun:
    """Why nothing of a file is taken. Its texts are not repeated."""
    more = f"\n  … and {len(problems) - 5} more" if len(problems) > 5 else ""
    listed = "".join(f"\n  {problem}" for problem in problems[:5])
    return RefusedRun(f"file: nothing of {path} is taken:{listed}{more}")
