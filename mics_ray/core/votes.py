"""The votes on one candidate: every intern at every temperature, judged. Lost calls are data."""

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from typing import TypeVar

from mics_ray.core.ports import Panel
from mics_ray.core.reading.words import matches_gold
from mics_ray.core.seeds import intern_seed, judge_seed
from mics_ray.core.tree import Node, SearchTree
from mics_ray.core.types import Case, LostCall, Verdict, Vote

T = TypeVar("T")


def list_votes(panel: Panel) -> tuple[Vote, ...]:
    """The votes that a candidate gets, none of them asked for yet: interns outside, temperatures inside."""
    return tuple(Vote(name, t, verdict=Verdict.UNASKED) for name in panel.interns for t in panel.temperatures)


async def take_votes(case: Case, panel: Panel, tree: SearchTree, node: Node, numbers: Iterable[int]) -> Node:
    """The candidate with its votes of these numbers, all taken at once; those that were taken before stay."""
    prefix, votes = tree.prefix_to(node.parent) + node.steps, list(node.votes)
    places = [number for number in numbers if votes[number].verdict is Verdict.UNASKED]
    taken = await run_together(_take_vote(case, panel, tree.seed, prefix, votes[place]) for place in places)
    for place, vote in zip(places, taken, strict=True):
        votes[place] = vote
    return replace(node, votes=tuple(votes))


async def _take_vote(case: Case, panel: Panel, seed: int, prefix: tuple[str, ...], unasked: Vote) -> Vote:
    """One vote; the judge is asked as soon as the answer exists, and a lost call leaves the verdict unknown.

    A text without an answer is wrong: the steps did not lead the intern to one. Where the panel matches answers, one
    that is the gold answer is right, and no judge is asked.
    """
    name, temperature = unasked.intern, unasked.temperature
    draw = intern_seed(seed, case.id, name, temperature, prefix)
    try:
        done = await panel.interns[name].finish(case, prefix, temperature, draw)
    except LostCall as lost:
        return Vote(name, temperature, lost.text, verdict=Verdict.UNKNOWN, failure=lost.failure)
    if not done.answer:
        return Vote(name, temperature, done.text, verdict=Verdict.WRONG, failure=done.failure)
    if panel.match_gold and matches_gold(done.answer, case.golds):
        return Vote(name, temperature, done.text, done.answer, Verdict.RIGHT)
    try:
        # The judge's seed comes from the intern's, so that a replay finds both calls from the vote alone.
        judged = await panel.judge.compare(case, done.answer, judge_seed(draw))
    except LostCall as lost:  # the evidence outlives a lost verdict
        return Vote(name, temperature, done.text, done.answer, Verdict.UNKNOWN, lost.text, lost.failure)
    return Vote(name, temperature, done.text, done.answer, judged.verdict, judged.reply)


async def run_together(work: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """Run everything at once, results in order; the first error cancels the rest."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
    return [task.result() for task in tasks]
