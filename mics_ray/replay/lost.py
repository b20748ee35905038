"""The calls that a run lost: no reply is recorded, but its rows say which they were, and they are lost again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mics_ray.assemble.locations import JUDGE
from mics_ray.core.draws import derive_seed
from mics_ray.core.mics import NO_STEP
from mics_ray.core.ports import Intern, Judge, Mentor, Panel
from mics_ray.core.types import Case, Continuation, Failure, Finish, Judgement, LostCall

BY_REPLIES = {NO_STEP, "cut", "no_answer", "no_verdict"}
"""Failures that follow from replies, which are recorded: they come about again by themselves."""

Lost = Mapping[tuple[str, int], LostCall]
"""Lost calls of one case by who was asked (its name in the configuration) and the seed of the question."""


def lost_calls(row: Mapping[str, Any]) -> Lost:
    """The calls without a reply of a committed row; the seeds are those that :mod:`mics_ray.core.search` draws."""
    found: dict[tuple[str, int], LostCall] = {}
    chains: dict[int | None, tuple[str, ...]] = {None: ()}
    for node in row["nodes"]:
        seed, case = derive_seed(row["seed"], node["attempt"] - 1), row["case_id"]
        before = chains[node["parent"]]
        chains[node["id"]] = chain = (*before, *node["steps"])
        if failure := _failure(node["failure"]):
            found[node["mentor"], derive_seed(seed, case, "mentor", node["mentor"], before)] = LostCall(failure)
        for vote in node["votes"]:
            if failure := _failure(vote["failure"]):
                draw = derive_seed(seed, case, "intern", vote["intern"], vote["temperature"], chain)
                if vote["answer"]:
                    found[JUDGE, derive_seed(draw, "judge")] = LostCall(failure, vote["judge_reply"])
                else:
                    found[vote["intern"], draw] = LostCall(failure, vote["text"])
    return found


def losing(panel: Panel, lost: Lost) -> Panel:
    """The same panel, on which the calls of ``lost`` are lost again."""
    if not lost:
        return panel
    return replace(
        panel,
        mentors={name: _Mentor(mentor, name, lost) for name, mentor in panel.mentors.items()},
        interns={name: _Intern(intern, name, lost) for name, intern in panel.interns.items()},
        judge=_Judge(panel.judge, lost),
    )


def _failure(text: str | None) -> Failure | None:
    """A failure as rows hold it; ``None`` where a recorded reply is its cause."""
    kind, _, message = (text or "").partition(": ")
    return Failure(kind, message) if kind and kind not in BY_REPLIES else None


def _lose(lost: Lost, name: str, seed: int) -> None:
    if call := lost.get((name, seed)):
        raise LostCall(call.failure, call.text)


@dataclass(frozen=True, slots=True)
class _Mentor:
    of: Mentor
    name: str
    lost: Lost

    async def propose(self, case: Case, prefix: tuple[str, ...], seed: int) -> Continuation:
        _lose(self.lost, self.name, seed)
        return await self.of.propose(case, prefix, seed)


@dataclass(frozen=True, slots=True)
class _Intern:
    of: Intern
    name: str
    lost: Lost

    async def finish(self, case: Case, prefix: tuple[str, ...], temperature: float, seed: int) -> Finish:
        _lose(self.lost, self.name, seed)
        return await self.of.finish(case, prefix, temperature, seed)


@dataclass(frozen=True, slots=True)
class _Judge:
    of: Judge
    lost: Lost

    async def compare(self, case: Case, answer: str, seed: int) -> Judgement:
        _lose(self.lost, JUDGE, seed)
        return await self.of.compare(case, answer, seed)
