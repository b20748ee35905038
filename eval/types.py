"""What evaluation talks about: items, and how each was answered. Everything is frozen and picklable."""

from dataclasses import dataclass
from enum import StrEnum

from mics_ray.core.types import Failure, Verdict


class Kind(StrEnum):
    """How an answer is checked."""

    CLOSED = "closed"
    """Yes or no (or another short fixed word), compared by rule; the judge decides on other words."""
    CHOICE = "choice"
    """One of the options, compared by its letter; the judge decides on words that are no option's."""
    OPEN = "open"
    """Free text, compared by the judge unless the words are the same."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a benchmark.

    ``id`` is unique within the benchmark; ``question`` is what is asked, options left out; ``answer`` is the gold
    answer (of a choice: its letter) and ``others`` are further ones, any of which is right; ``images`` are paths under
    the benchmark's picture root, in reading order; ``cluster`` names what items share (the picture, else the item
    itself), for the intervals; ``modality`` and ``topic`` (the set's own question type) are "" where the set does not
    say. ``written`` is the question as the set has it, ``<image>`` for each picture or none, where it is asked so;
    ``context`` is what the model is told of the patient beside the question.
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
    others: tuple[str, ...] = ()
    written: str = ""
    context: str = ""

    @property
    def golds(self) -> tuple[str, ...]:
        """Every answer that is right."""
        return (self.answer, *self.others)


class ChainState(StrEnum):
    """Whether a model's own chain has a MICS-Score."""

    SCORED = "scored"
    NO_FORM = "no_form"
    """The reply holds no steps in the form that the prompt asks for: there is nothing to finish from."""
    LOST = "lost"
    """The model's call was lost, or too many of the interns' or the judge's."""


@dataclass(frozen=True, slots=True)
class OwnChain:
    """A model's own chain, finished by interns: ``score`` is right votes / known votes, ``None`` unless scored.

    ``leaks`` are the kinds of :class:`mics_ray.core.leaks.Leak` in its steps: where one names the gold answer interns
    need only repeat it.
    """

    state: ChainState
    score: float | None = None
    leaks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """One item with what the model said. ``parsed`` is "" where no one answer was found (then the verdict is wrong, and
    the item counts against the parse rate), a cut text among them; ``UNKNOWN`` where a call was lost. ``failure`` says
    why a call was lost, or that the text was cut.

    ``lenient`` is the verdict on any answer that leaves no doubt. ``kept_form``: it stands behind the marker that the
    prompt asks for (``None``: no reply). ``unread`` says why a reply gives no answer, or which ones."""

    item: Item
    benchmark: str
    output: str = ""
    parsed: str = ""
    lenient: Verdict = Verdict.UNKNOWN
    judge_reply: str = ""
    failure: Failure | None = None
    kept_form: bool | None = None
    unread: str = ""

    @property
    def strict(self) -> Verdict:
        """The verdict where the form counts: an answer without it is wrong, and a verdict that is unknown stays so."""
        return Verdict.WRONG if self.lenient is Verdict.RIGHT and not self.kept_form else self.lenient
