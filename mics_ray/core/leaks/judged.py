"""What the judge says of the steps of a searched case: paraphrases and translations, which no word shows."""

import asyncio

from mics_ray.core.ports import LeakJudge
from mics_ray.core.search import SearchResult
from mics_ray.core.seeds import leak_seed
from mics_ray.core.types import Case, LeakCheck, LeakVerdict, LostCall


def list_checked_steps(result: SearchResult) -> list[str]:
    """The steps that training may use, each once: those of scored candidates, of all attempts, and the chain's own.

    Whatever the words show: both results stand side by side, and a later guard asks for no other calls. None of a case
    without a chain, which is in no export.
    """
    if result.chain is None:
        return []
    scored = (node.steps for tree in result.attempts for node in tree.nodes if node.score is not None)
    return list(dict.fromkeys(step for steps in (*scored, result.chain.steps) for step in steps))


async def check_steps(result: SearchResult, judge: LeakJudge, seed: int) -> dict[str, LeakCheck]:
    """The judge's word on each step of :func:`list_checked_steps`, all asked at once; a lost call is unknown."""
    async with asyncio.TaskGroup() as group:
        asked = {
            step: group.create_task(_check_step(result.case, step, judge, seed)) for step in list_checked_steps(result)
        }
    return {step: task.result() for step, task in asked.items()}


async def _check_step(case: Case, step: str, judge: LeakJudge, seed: int) -> LeakCheck:
    try:
        return await judge.check_step(case, step, leak_seed(seed, case.id, step))
    except LostCall as lost:
        return LeakCheck(LeakVerdict.UNKNOWN, lost.text, lost.failure)
