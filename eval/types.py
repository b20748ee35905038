"""What evaluation talks about: items, and how each was answered. Everything is frozen and picklable."""

from dataclasses import dataclass
from enum import StrEnum

from mics_ray.core.types import Failure, Verdict


class Kind(StrEnum):
    """How an answer is checked."""

    CLOSED = "closed"
    """Yes or no (or another short fixed word), compared by rule."""
    CHOICE = "choice"
    """One of the options, compared by its letter."""
    OPEN = "open"
    """Free text, compared by the judge."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a benchmark.

    ``id`` is unique within the benchmark; ``question`` is what is asked, options left out; ``answer`` is the gold
    answer (of a choice: its letter); ``images`` are paths under the benchmark's picture root, in reading order;
    ``cluster`` names what items share (the picture, else the item itself), for the intervals; ``modality`` and
    ``topic`` (the set's own question type) are "" where the set does not say.
    """

    id: str
    kind: Kind
    question: str
    answer: str
    options: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    cluster: str = ""
    modality: str = ""
    topic: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """One item with what the model said. ``parsed`` is "" where no answer was found (then the verdict is wrong, and
    the item counts against the parse rate), a cut text among them; ``UNKNOWN`` where a call was lost. ``failure`` says
    why a call was lost, or that the text was cut."""

    item: Item
    benchmark: str
    output: str = ""
    parsed: str = ""
    verdict: Verdict = Verdict.UNKNOWN
    judge_reply: str = ""
    failure: Failure | None = None
