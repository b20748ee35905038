"""What the search talks about: cases, votes, chains, outcomes. Everything is frozen and picklable."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What the judge said of one intern's answer; ``UNKNOWN`` when a call was lost on the way.

    ``UNASKED`` is neither right nor wrong nor lost: nobody was asked, because the vote could not change the choice.
    """

    RIGHT = "right"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    UNASKED = "unasked"


class Outcome(StrEnum):
    """How a case ended, in the order in which reports list it."""

    SOLVED = "solved"
    """Every known vote of a candidate was right, and nearly all were known."""
    DEPTH = "depth"
    """The maximum depth was reached with a right vote and without such a candidate."""
    DEAD_END = "dead_end"
    """Every candidate of a round scored 0, in the last attempt too."""
    FAILED = "failed"
    """Calls were lost: nothing can be said about the case."""
    REJECTED = "rejected"
    """The input record could not be used; no call was made for it."""


KEPT_OUTCOMES = (Outcome.SOLVED, Outcome.DEPTH)
"""The outcomes whose search keeps a chain."""


class Quality(StrEnum):
    """The course of a search's best scores; only ``KEEP`` is meant for training."""

    KEEP = "keep"
    FLAT = "flat"
    ZERO = "zero"
    RISE_FALL = "rise_fall"


@dataclass(frozen=True, slots=True)
class Failure:
    """A lost call as data: ``kind`` is one lower-case word or two, ``message`` holds no medical text and no secret."""

    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"

    @classmethod
    def parse(cls, text: str) -> "Failure":
        """The failure that was written as ``text``, which is ``kind: message``."""
        kind, _, message = text.partition(": ")
        return cls(kind, message)


class LostCall(Exception):
    """A call to a model gave nothing that can be used; the vote is unknown or the mentor sits out the round."""

    def __init__(self, failure: Failure, text: str = "") -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.text = text
        """The reply that could not be used, kept as evidence; never part of the exception's own message."""

    def __reduce__(self) -> tuple[type["LostCall"], tuple[Failure, str]]:
        return type(self), (self.failure, self.text)


@dataclass(frozen=True, slots=True)
class Note:
    """One labelled line of the case notes, such as ``Complaint`` or ``Findings``. Interns see none but the context."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """One question about one patient. ``images`` are paths relative to the image folder, in reading order.

    ``context`` are the ``notes`` that interns and the trained model are told; see :mod:`mics_ray.core.context`.
    ``answer`` is the gold answer and ``others`` are further ones, any of which is right.
    """

    id: str
    question: str
    answer: str
    images: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    context: str = ""
    others: tuple[str, ...] = ()

    @property
    def golds(self) -> tuple[str, ...]:
        """Every answer that is right."""
        return (self.answer, *self.others)

    @property
    def gold(self) -> str:
        """Every answer that is right, as prompts name them: joined by "or"."""
        return " or ".join(self.golds)


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a mentor wrote after a prefix: the remaining steps, without their markers, and the final answer."""

    steps: tuple[str, ...]
    answer: str

    def split_steps(self, count: int | None) -> tuple[tuple[str, ...], "Continuation"]:
        """Split off the first ``count`` steps (all of them for ``None``)."""
        end = len(self.steps) if count is None else count
        return self.steps[:end], Continuation(self.steps[end:], self.answer)


@dataclass(frozen=True, slots=True)
class Finish:
    """How an intern finished the reasoning: its whole text and the answer found in it.

    ``answer`` is "" where its texts ended, or ran to their limit, without one; ``failure`` says which.
    """

    text: str
    answer: str
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judge's verdict (``RIGHT`` or ``WRONG``) and its reply, word for word."""

    verdict: Verdict
    reply: str


@dataclass(frozen=True, slots=True)
class Vote:
    """One intern's answer at one temperature, judged.

    ``text`` and ``judge_reply`` are whole replies, thoughts included. ``failure`` says why a verdict is unknown; of a
    wrong vote without an answer (``answer`` is "", no judge was asked), why there is none. A right vote whose
    ``judge_reply`` is "" was matched: its answer is the gold answer word for word, and no judge was asked.
    """

    intern: str
    temperature: float
    text: str = ""
    answer: str = ""
    verdict: Verdict = Verdict.UNKNOWN
    judge_reply: str = ""
    failure: Failure | None = None

    @property
    def matched(self) -> bool:
        """Whether the answer is right by its words alone."""
        return self.verdict is Verdict.RIGHT and bool(self.answer) and not self.judge_reply


class LeakVerdict(StrEnum):
    """What the judge said of one step; ``UNKNOWN`` when its call was lost or its reply cannot be read."""

    LEAK = "leak"
    CLEAN = "clean"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LeakCheck:
    """The judge's word on whether a step gives the gold answer away, and its reply; ``failure``: why it is unknown."""

    verdict: LeakVerdict
    reply: str = ""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls, tokens and US dollars. ``cached_calls`` are part of ``calls``; only the others were sent and paid.

    ``cached_tokens`` are the part of ``prompt_tokens`` that the provider had in its prefix cache, ``reasoning_tokens``
    the part of ``completion_tokens`` that was thoughts.
    """

    calls: int = 0
    cached_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Both together."""
        # Field by field, for every call adds one: `astuple`, which copies deeply, takes twenty times as long.
        return Usage(
            self.calls + other.calls,
            self.cached_calls + other.cached_calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost_usd + other.cost_usd,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )
