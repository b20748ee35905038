"""Laws of the policies: pure, always at an end, and the tree is the whole checkpoint."""

import asyncio
import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mics_ray.core.best_of_n import BestOfN
from mics_ray.core.mics import Mics
from mics_ray.core.ports import Stop, Strategy
from mics_ray.core.search import run_search, search_case
from mics_ray.core.tree import SearchTree
from mics_ray.core.types import Outcome, Quality
from mics_ray.testing import CASE, MENTORS, ScriptedPanel
from tests.support.fake_panel import chancy

POLICIES: dict[str, tuple[Strategy, int]] = {
    "paper": (Mics(MENTORS), 4),
    "reference": (Mics(MENTORS, max_rounds=3, first_steps=2, competitiveness="sum"), 3),
    "best_of_n": (BestOfN(MENTORS), 1),
}
"""Each policy and the most rounds that it may take."""

seeds = st.integers(0, 10**6)
losses = st.sampled_from([0.0, 0.05, 0.3])


def searched(fake: ScriptedPanel, policy: Strategy, tree: SearchTree) -> tuple[SearchTree, Stop]:
    return asyncio.run(run_search(CASE, policy, fake.panel(), tree))


def cut(tree: SearchTree, rounds: int) -> SearchTree:
    return SearchTree(tree.case_id, tree.seed, tuple(node for node in tree.nodes if node.round <= rounds))


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=25)
@given(seed=seeds, loss=losses)
def test_pure_and_always_at_an_end(name: str, seed: int, loss: float) -> None:
    policy, most = POLICIES[name]
    tree, stop = searched(chancy(seed, loss), policy, SearchTree(CASE.id, seed))
    assert 1 <= tree.rounds <= most
    for rounds in range(tree.rounds + 1):
        part = cut(tree, rounds)
        before = copy.deepcopy(part)
        moves = [policy.next_move(part) for _ in range(3)]
        assert moves[0] == moves[1] == moves[2]
        assert part == before
        assert isinstance(moves[0], Stop) == (rounds == tree.rounds)
    assert policy.next_move(tree) == stop


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=20)
@given(seed=seeds, loss=losses)
def test_cut_at_any_round_and_gone_on_with_it_is_the_same_tree(name: str, seed: int, loss: float) -> None:
    policy, _ = POLICIES[name]
    whole = searched(chancy(seed, loss), policy, SearchTree(CASE.id, seed))
    for rounds in range(whole[0].rounds + 1):
        assert searched(chancy(seed, loss), policy, cut(whole[0], rounds)) == whole


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=25)
@given(seed=seeds, loss=losses, restarts=st.integers(0, 2))
def test_what_a_result_says_agrees_with_its_tree(name: str, seed: int, loss: float, restarts: int) -> None:
    policy, _ = POLICIES[name]
    result = asyncio.run(search_case(CASE, policy, chancy(seed, loss).panel(), seed, restarts))
    kept = result.outcome in (Outcome.SOLVED, Outcome.DEPTH)
    assert (result.chain is not None) == kept
    assert kept or result.quality is not Quality.KEEP
    assert kept or len(result.attempts) == restarts + 1
    scores = [score for node in result.tree.round_nodes(result.tree.rounds) if (score := node.score) is not None]
    if result.chain is not None:
        path = result.tree.path_to(result.leaf)
        assert result.leaf is not None
        assert result.chain.steps == result.tree.prefix_to(result.leaf) + path[-1].rest.steps
        assert result.chain.answer == path[-1].rest.answer
        assert path[-1].solved == (result.outcome is Outcome.SOLVED)
    if result.outcome is Outcome.DEAD_END:
        assert set(scores) == {0}
    if result.outcome is Outcome.FAILED:
        assert not any(scores)
    for tree in result.attempts[:-1]:
        last = [node.score for node in tree.round_nodes(tree.rounds) if node.score is not None]
        assert not any(last)


@settings(max_examples=20)
@given(seed=seeds)
def test_the_same_seed_is_the_same_search_and_another_is_another(seed: int) -> None:
    first, again, other = (
        asyncio.run(search_case(CASE, Mics(MENTORS), chancy(1).panel(), start, 1)) for start in (seed, seed, seed + 1)
    )
    assert first == again
    assert first.tree.nodes != other.tree.nodes


def test_the_random_looking_searches_end_in_every_way() -> None:
    """Otherwise the laws above would hold of too little."""
    results = [
        asyncio.run(search_case(CASE, Mics(MENTORS), chancy(seed, loss).panel(), seed, 0))
        for seed in range(60)
        for loss in (0.0, 0.3)
    ]
    assert {result.outcome for result in results} == {Outcome.SOLVED, Outcome.DEPTH, Outcome.DEAD_END, Outcome.FAILED}
    assert {result.quality for result in results} == set(Quality)
    assert {result.tree.rounds for result in results} == {1, 2, 3, 4}
