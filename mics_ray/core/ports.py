"""The seams of the search: who proposes, who finishes, who judges, and who decides what comes next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mics_ray.core.tree import SearchTree
from mics_ray.core.types import Case, Continuation, Finish, Judgement, LeakCheck, Outcome


class Mentor(Protocol):
    """A strong model that writes a complete continuation of a chain."""

    async def propose(self, case: Case, prefix: tuple[str, ...], seed: int) -> Continuation:
        """Continue ``prefix`` to the final answer. Raises :class:`LostCall`."""
        ...


class Intern(Protocol):
    """A small vision-language model that finishes a chain from the pictures, the question and a prefix."""

    async def finish(self, case: Case, prefix: tuple[str, ...], temperature: float, seed: int) -> Finish:
        """Finish the chain and answer, if it comes to an answer. Raises :class:`LostCall`."""
        ...


class Judge(Protocol):
    """A model that says whether an answer means the same as the gold answer."""

    async def compare(self, case: Case, answer: str, seed: int) -> Judgement:
        """Judge ``answer``. Raises :class:`LostCall`."""
        ...


class LeakJudge(Protocol):
    """A model that says whether a step gives the gold answer away in words of its own."""

    async def check_step(self, case: Case, step: str, seed: int) -> LeakCheck:
        """Judge ``step``; the verdict is ``LEAK`` or ``CLEAN``. Raises :class:`LostCall`."""
        ...


@dataclass(frozen=True, slots=True)
class Panel:
    """Everybody who takes part in a search; names and order are those of the configuration.

    ``leak_judge`` is asked about the steps of a case that keeps a chain; ``None``: nobody is. ``match_gold``: an answer
    that is the gold answer word for word is right, and the judge is not asked. ``adaptive``: votes that cannot change
    what :class:`~mics_ray.core.mics.Mics` and :class:`~mics_ray.core.best_of_n.BestOfN` choose are not asked for; see
    :mod:`mics_ray.core.adaptive`.
    """

    mentors: Mapping[str, Mentor]
    interns: Mapping[str, Intern]
    judge: Judge
    temperatures: Sequence[float]
    leak_judge: LeakJudge | None = None
    match_gold: bool = False
    adaptive: bool = False


@dataclass(frozen=True, slots=True)
class Expand:
    """Let ``mentors`` propose after ``parent``; a candidate is the next ``steps`` steps (``None``: all of them)."""

    parent: int | None
    mentors: tuple[str, ...]
    steps: int | None


@dataclass(frozen=True, slots=True)
class Stop:
    """End the search; ``leaf`` is the last node of the chosen path (``None``: nothing was chosen)."""

    outcome: Outcome
    leaf: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Complete:
    """Take the unasked votes of ``nodes``, closed ones: their scores decide what comes next."""

    nodes: tuple[int, ...]


Move = Expand | Complete | Stop


class Strategy(Protocol):
    """A pure policy over trees: the same tree always gives the same move."""

    def next_move(self, tree: SearchTree) -> Move:
        """What to do with a tree whose rounds are all closed."""
        ...
