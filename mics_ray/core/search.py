"""The only loop that talks to models: expand, score, select, stop, and search dead ends again."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from mics_ray.core.mics import NO_STEP
from mics_ray.core.ports import Expand, Panel, Stop, Strategy
from mics_ray.core.reading.words import matches_gold
from mics_ray.core.seeds import attempt_seed, intern_seed, judge_seed, mentor_seed
from mics_ray.core.tree import Node, SearchTree, grade_quality
from mics_ray.core.types import (
    KEPT_OUTCOMES,
    Case,
    Continuation,
    Failure,
    LeakCheck,
    LostCall,
    Outcome,
    Quality,
    Verdict,
    Vote,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One case, searched: the kept chain (``None`` unless solved or depth) and the trees of all attempts.

    ``leak_checks`` is what a leak judge said, by step; empty where none was asked.
    """

    case: Case
    outcome: Outcome
    reason: str
    quality: Quality
    chain: Continuation | None
    leaf: int | None
    attempts: tuple[SearchTree, ...]
    leak_checks: Mapping[str, LeakCheck] = field(default_factory=dict)

    @property
    def tree(self) -> SearchTree:
        """The tree of the attempt that decided."""
        return self.attempts[-1]


async def search_case(case: Case, strategy: Strategy, panel: Panel, seed: int, restarts: int) -> SearchResult:
    """Search ``case``; dead ends and failed searches start again from the root, ``restarts`` times."""
    trees: list[SearchTree] = []
    # Attempts draw with different seeds: a search from the same seed would only repeat the dead end.
    for attempt in range(1, 2 + restarts):
        tree, stop = await run_search(case, strategy, panel, SearchTree(case.id, attempt_seed(seed, attempt)))
        trees.append(tree)
        # Any other outcome has a chain to keep; only the last attempt decides, earlier trees are kept as evidence.
        if stop.outcome not in (Outcome.DEAD_END, Outcome.FAILED):
            break
    kept = _build_chain(tree, stop.leaf) if stop.outcome in KEPT_OUTCOMES else None
    # Lost calls cut a course short: nothing can be said of it, and it never reads as one to keep.
    course = () if stop.outcome is Outcome.FAILED else tree.best_scores()
    quality = grade_quality(course, stop.outcome is Outcome.SOLVED)
    return SearchResult(case, stop.outcome, stop.reason, quality, kept, stop.leaf, tuple(trees))


async def run_search(case: Case, strategy: Strategy, panel: Panel, tree: SearchTree) -> tuple[SearchTree, Stop]:
    """One search from ``tree`` on, which may be empty or cut at any round."""
    while True:
        move = strategy.next_move(tree)
        if isinstance(move, Stop):
            return tree, move
        tree = tree.add_round(
            await _run_together([_make_candidate(case, panel, tree, move, mentor) for mentor in move.mentors])
        )


def _build_chain(tree: SearchTree, leaf: int | None) -> Continuation:
    """The whole chain: the chosen steps and the rest of the last chosen mentor's own continuation."""
    rest = tree.path_to(leaf)[-1].rest
    return Continuation(tree.prefix_to(leaf) + rest.steps, rest.answer)


async def _make_candidate(case: Case, panel: Panel, tree: SearchTree, move: Expand, mentor: str) -> Node:
    """One mentor's next step with the votes on it; a lost call becomes a node without votes."""
    node = Node(id=-1, parent=move.parent, round=tree.rounds + 1, mentor=mentor)
    prefix = tree.prefix_to(move.parent)
    try:
        written = await _request_continuation(case, panel, tree, move, mentor)
    except LostCall as lost:
        return replace(node, failure=lost.failure)
    steps, rest = written.split_steps(move.steps)
    # The rest still holds the mentor's final answer, although there is nothing for interns to vote on.
    if not steps:
        return replace(node, rest=rest, failure=Failure(NO_STEP, "nothing left before the final answer"))
    return replace(node, steps=steps, rest=rest, votes=await _collect_votes(case, panel, tree.seed, prefix + steps))


async def _request_continuation(case: Case, panel: Panel, tree: SearchTree, move: Expand, mentor: str) -> Continuation:
    """What the mentor writes next; the one whose step was chosen last goes on with what it already wrote."""
    # Saves one mentor call in every later round: the rest was written for exactly this prefix.
    if move.parent is not None and tree.nodes[move.parent].mentor == mentor:
        return tree.nodes[move.parent].rest
    prefix = tree.prefix_to(move.parent)
    return await panel.mentors[mentor].propose(case, prefix, mentor_seed(tree.seed, case.id, mentor, prefix))


async def _collect_votes(case: Case, panel: Panel, seed: int, prefix: tuple[str, ...]) -> tuple[Vote, ...]:
    """Every intern's vote on ``prefix`` at every temperature, all at once."""
    return tuple(
        await _run_together(
            _take_vote(case, panel, seed, prefix, name, t) for name in panel.interns for t in panel.temperatures
        )
    )


async def _take_vote(
    case: Case, panel: Panel, seed: int, prefix: tuple[str, ...], intern: str, temperature: float
) -> Vote:
    """One vote; the judge is asked as soon as the answer exists, and a lost call leaves the verdict unknown.

    A text without an answer is wrong: the steps did not lead the intern to one. Where the panel matches answers, one
    that is the gold answer is right, and no judge is asked.
    """
    vote = Vote(intern, temperature)
    try:
        draw = intern_seed(seed, case.id, intern, temperature, prefix)
        # The judge's seed comes from this one, so that a replay finds both calls from the vote alone.
        done = await panel.interns[intern].finish(case, prefix, temperature, draw)
        # Kept before the judge is asked, so that the evidence outlives a lost verdict.
        vote = replace(vote, text=done.text, answer=done.answer)
    except LostCall as lost:
        return replace(vote, text=lost.text, failure=lost.failure)
    if not done.answer:
        return replace(vote, verdict=Verdict.WRONG, failure=done.failure)
    if panel.match_gold and matches_gold(done.answer, case.golds):
        return replace(vote, verdict=Verdict.RIGHT)
    try:
        judged = await panel.judge.compare(case, done.answer, judge_seed(draw))
    except LostCall as lost:
        return replace(vote, judge_reply=lost.text, failure=lost.failure)
    return replace(vote, verdict=judged.verdict, judge_reply=judged.reply)


async def _run_together(work: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """Run everything at once, results in order; the first error cancels the rest."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
    return [task.result() for task in tasks]
