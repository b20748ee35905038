"""Who takes part in a run: each model's calls that gave what its role is there for, and those that were lost."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ParamSpec, TypeVar

from mics_ray.core.ports import Intern, Judge, LeakJudge, Mentor, Panel
from mics_ray.core.types import Case, Continuation, Failure, Finish, Judgement, LeakCheck, LostCall
from mics_ray.models.types import Refused

SILENT_AFTER = 20
"""Lost calls of a model that has not answered once, after which no more is paid."""
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class Participation:
    """One model's calls, cached ones too.

    ``answered`` counts continuations, texts or verdicts, ``reasons`` the lost calls by the kind of their failure;
    ``last`` is the failure of the last one.
    """

    answered: int = 0
    lost: int = 0
    last: Failure | None = None
    reasons: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Participation") -> "Participation":
        """Both together."""
        answered, lost = self.answered + other.answered, self.lost + other.lost
        return Participation(answered, lost, other.last or self.last, self.reasons + other.reasons)

    def count_lost(self, failure: Failure) -> None:
        """A call was lost."""
        self.lost, self.last = self.lost + 1, failure
        self.reasons[failure.kind] += 1

    @property
    def silence(self) -> Failure | None:
        """Why nothing more is asked where the model lost its first :data:`SILENT_AFTER` calls; ``None`` elsewhere."""
        if self.answered or self.lost < SILENT_AFTER:
            return None
        return Failure("silent", f"all of its first {self.lost} calls were lost, the last one: {self.last}")


@dataclass(frozen=True, slots=True)
class Attendance:
    """Every model's :class:`Participation` in a process, by entry name."""

    models: dict[str, Participation] = field(default_factory=dict)

    def watch_panel(self, panel: Panel, judge: str) -> Panel:
        """The same panel, each call of which is counted; ``judge`` is the judge's entry name."""
        return replace(
            panel,
            mentors={name: _CountedMentor(mentor, self, name) for name, mentor in panel.mentors.items()},
            interns={name: _CountedIntern(intern, self, name) for name, intern in panel.interns.items()},
            judge=_CountedJudge(panel.judge, self, judge),
            leak_judge=_CountedLeakJudge(panel.leak_judge, self, judge) if panel.leak_judge else None,
        )

    async def count_call(self, name: str, call: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call and count it. Raises :class:`Refused` where the model is silent."""
        part = self.models.setdefault(name, Participation())
        if part.silence is not None:
            raise Refused(part.silence, name)
        try:
            answer = await call(*args, **kwargs)
        except LostCall as lost:
            part.count_lost(lost.failure)
            if part.silence is not None:
                raise Refused(part.silence, name) from None
            raise
        part.answered += 1
        return answer


@dataclass(frozen=True, slots=True)
class _CountedMentor:
    mentor: Mentor
    attendance: Attendance
    name: str

    async def propose(self, case: Case, prefix: tuple[str, ...], seed: int) -> Continuation:
        return await self.attendance.count_call(self.name, self.mentor.propose, case, prefix, seed)


@dataclass(frozen=True, slots=True)
class _CountedIntern:
    intern: Intern
    attendance: Attendance
    name: str

    async def finish(self, case: Case, prefix: tuple[str, ...], temperature: float, seed: int) -> Finish:
        return await self.attendance.count_call(self.name, self.intern.finish, case, prefix, temperature, seed)


@dataclass(frozen=True, slots=True)
class _CountedJudge:
    judge: Judge
    attendance: Attendance
    name: str

    async def compare(self, case: Case, answer: str, seed: int) -> Judgement:
        return await self.attendance.count_call(self.name, self.judge.compare, case, answer, seed)


@dataclass(frozen=True, slots=True)
class _CountedLeakJudge:
    judge: LeakJudge
    attendance: Attendance
    name: str

    async def check_step(self, case: Case, step: str, seed: int) -> LeakCheck:
        return await self.attendance.count_call(self.name, self.judge.check_step, case, step, seed)


def add_participation(parts: Iterable[Mapping[str, Participation]]) -> dict[str, Participation]:
    """The counts of several workers, by model."""
    total: dict[str, Participation] = {}
    for part in parts:
        for name, counted in part.items():
            total[name] = total.get(name, Participation()) + counted
    return total


def find_silent(parts: Mapping[str, Participation]) -> Refused | None:
    """The first model that lost all of its first calls."""
    silences = ((name, counted.silence) for name, counted in parts.items())
    return next((Refused(silence, name) for name, silence in silences if silence is not None), None)
