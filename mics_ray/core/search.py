"""The only loop that talks to models: expand, score, select, stop, and search dead ends again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mics_ray.core.adaptive import list_first_votes, plan_votes
from mics_ray.core.mics import NO_STEP
from mics_ray.core.ports import Complete, Expand, Panel, Stop, Strategy
from mics_ray.core.seeds import attempt_seed, mentor_seed
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
)
from mics_ray.core.votes import list_votes, run_together, take_votes


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
        if isinstance(move, Complete):
            nodes = [tree.nodes[number] for number in move.nodes]
            tree = tree.replace_nodes(
                await run_together(take_votes(case, panel, tree, node, range(len(node.votes))) for node in nodes)
            )
            continue
        level = await run_together(_make_candidate(case, panel, tree, move, mentor) for mentor in move.mentors)
        tree = tree.add_round(await _settle_round(case, panel, tree, level))


def _build_chain(tree: SearchTree, leaf: int | None) -> Continuation:
    """The whole chain: the chosen steps and the rest of the last chosen mentor's own continuation."""
    rest = tree.path_to(leaf)[-1].rest
    return Continuation(tree.prefix_to(leaf) + rest.steps, rest.answer)


async def _make_candidate(case: Case, panel: Panel, tree: SearchTree, move: Expand, mentor: str) -> Node:
    """One mentor's next step with the votes on it; a lost call becomes a node without votes."""
    node = Node(id=-1, parent=move.parent, round=tree.rounds + 1, mentor=mentor)
    try:
        written = await _request_continuation(case, panel, tree, move, mentor)
    except LostCall as lost:
        return replace(node, failure=lost.failure)
    steps, rest = written.split_steps(move.steps)
    # The rest still holds the mentor's final answer, although there is nothing for interns to vote on.
    if not steps:
        return replace(node, rest=rest, failure=Failure(NO_STEP, "nothing left before the final answer"))
    node = replace(node, steps=steps, rest=rest, votes=list_votes(panel))
    every = range(len(node.votes))
    return await take_votes(case, panel, tree, node, list_first_votes(len(every)) if panel.adaptive else every)


async def _settle_round(case: Case, panel: Panel, tree: SearchTree, level: Sequence[Node]) -> Sequence[Node]:
    """The candidates with the votes that decide the round; there is nothing to do where they have all."""
    in_chain = {node.mentor for node in tree.path_to(level[0].parent)}
    while plan := plan_votes(level, in_chain):
        level = await run_together(
            take_votes(case, panel, tree, node, plan.get(place, ())) for place, node in enumerate(level)
        )
    return level


async def _request_continuation(case: Case, panel: Panel, tree: SearchTree, move: Expand, mentor: str) -> Continuation:
    """What the mentor writes next; the one whose step was chosen last goes on with what it already wrote."""
    # Saves one mentor call in every later round: the rest was written for exactly this prefix.
    if move.parent is not None and tree.nodes[move.parent].mentor == mentor:
        return tree.nodes[move.parent].rest
    prefix = tree.prefix_to(move.parent)
    return await panel.mentors[mentor].propose(case, prefix, mentor_seed(tree.seed, case.id, mentor, prefix))
