"""The calls that a run lost: no reply is recorded, but its rows say which they were, and they are lost again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from mics_ray.assemble.locations import JUDGE
from mics_ray.core.mics import NO_STEP
from mics_ray.core.ports import Intern, Judge, LeakJudge, Mentor, Panel
from mics_ray.core.seeds import intern_seed, judge_seed, leak_seed, mentor_seed
from mics_ray.core.types import Case, Continuation, Failure, Finish, Judgement, LeakCheck, LostCall
from mics_ray.io.rows import read_failure, read_trees
from mics_ray.models.replies.recorded_replies import RecordedReplies, RecordedReplyDamaged, ReplyNotRecorded
from mics_ray.models.roles import NO_STEPS, TOO_MUCH_ROOM
from mics_ray.models.types import Pictures, Reply, Request

BY_REPLIES = {NO_STEP, NO_STEPS, "cut", "empty", "no_answer", "no_verdict"}
"""Failures that follow from replies, which are recorded: they come about again by themselves."""

LostCalls = Mapping[tuple[str, int], LostCall]
"""Lost calls of one case by who was asked (its name in the configuration) and the seed of the question."""


def find_lost_calls(row: Mapping[str, Any]) -> LostCalls:
    """The calls without a reply of a committed row; found by the seeds of :mod:`mics_ray.core.seeds`."""
    found: dict[tuple[str, int], LostCall] = {}
    for tree in read_trees(row):
        for node in tree.nodes:
            # The seed of a call is derived from what was asked, so the row alone tells which call was lost.
            before = tree.prefix_to(node.parent)
            if _is_lost(node.failure):
                found[node.mentor, mentor_seed(tree.seed, tree.case_id, node.mentor, before)] = LostCall(node.failure)
            for vote in node.votes:
                if not _is_lost(vote.failure):
                    continue
                draw = intern_seed(tree.seed, tree.case_id, vote.intern, vote.temperature, before + node.steps)
                # An answer without a verdict: the intern replied, and it was the judge's call that was lost.
                if vote.answer:
                    found[JUDGE, judge_seed(draw)] = LostCall(vote.failure, vote.judge_reply)
                else:
                    found[vote.intern, draw] = LostCall(vote.failure, vote.text)
    return found | _find_lost_checks(row)


def _find_lost_checks(row: Mapping[str, Any]) -> dict[tuple[str, int], LostCall]:
    """The lost calls of a leak judge: of candidates, and of the chain's closing steps."""
    found: dict[tuple[str, int], LostCall] = {}
    for place in (row, *row["nodes"]):
        for check in place["leak_checks"]:
            if _is_lost(failure := read_failure(check["failure"])):
                draw = leak_seed(row["seed"], row["case_id"], place["steps"][check["step"] - 1])
                found[JUDGE, draw] = LostCall(failure, check["reply"])
    return found


@dataclass(frozen=True, slots=True)
class RecordedModel:
    """An entry of the run, answering from ``record``; ``room`` are the most tokens that it asks for at first.

    A cut reply is asked for again with more room. Where no reply to that is recorded, the model had no more: that call
    has left no trace in the run's rows, because the next one may have gone well.
    """

    record: RecordedReplies
    room: int

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """See :class:`mics_ray.models.types.Model`."""
        try:
            return await self.record.complete(request, pictures)
        except RecordedReplyDamaged:
            raise
        except ReplyNotRecorded:
            if request.max_tokens <= self.room:
                raise
            raise LostCall(Failure(TOO_MUCH_ROOM, "no such reply is recorded")) from None


def lose_again(panel: Panel, lost: LostCalls) -> Panel:
    """The same panel, on which the calls of ``lost`` are lost again."""
    if not lost:
        return panel
    return replace(
        panel,
        mentors={name: _Mentor(mentor, name, lost) for name, mentor in panel.mentors.items()},
        interns={name: _Intern(intern, name, lost) for name, intern in panel.interns.items()},
        judge=_Judge(panel.judge, lost),
        leak_judge=_LeakJudge(panel.leak_judge, lost) if panel.leak_judge else None,
    )


def _is_lost(failure: Failure | None) -> TypeGuard[Failure]:
    """Whether a failure is that of a call without a reply: not one that follows from a recorded reply."""
    return failure is not None and failure.kind not in BY_REPLIES


def _raise_if_lost(lost: LostCalls, name: str, seed: int) -> None:
    if call := lost.get((name, seed)):
        raise LostCall(call.failure, call.text)


@dataclass(frozen=True, slots=True)
class _Mentor:
    of: Mentor
    name: str
    lost: LostCalls

    async def propose(self, case: Case, prefix: tuple[str, ...], seed: int) -> Continuation:
        _raise_if_lost(self.lost, self.name, seed)
        return await self.of.propose(case, prefix, seed)


@dataclass(frozen=True, slots=True)
class _Intern:
    of: Intern
    name: str
    lost: LostCalls

    async def finish(self, case: Case, prefix: tuple[str, ...], temperature: float, seed: int) -> Finish:
        _raise_if_lost(self.lost, self.name, seed)
        return await self.of.finish(case, prefix, temperature, seed)


@dataclass(frozen=True, slots=True)
class _Judge:
    of: Judge
    lost: LostCalls

    async def compare(self, case: Case, answer: str, seed: int) -> Judgement:
        _raise_if_lost(self.lost, JUDGE, seed)
        return await self.of.compare(case, answer, seed)


@dataclass(frozen=True, slots=True)
class _LeakJudge:
    of: LeakJudge
    lost: LostCalls

    async def check_step(self, case: Case, step: str, seed: int) -> LeakCheck:
        _raise_if_lost(self.lost, JUDGE, seed)
        return await self.of.check_step(case, step, seed)
