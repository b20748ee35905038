"""Laws of the tree and its scores, over searches that look random."""

import asyncio
import dataclasses
import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from mics_ray.core.mics import Mics
from mics_ray.core.search import run_search
from mics_ray.core.tree import QUORUM, Node, SearchTree
from mics_ray.core.types import Verdict
from mics_ray.testing import CASE, MENTORS
from tests.support.fake_panel import chancy, votes

patterns = st.text("rw?", min_size=1, max_size=12)


@given(patterns)
def test_a_score_is_a_share_or_nothing(pattern: str) -> None:
    score = Node(0, None, 1, "a", ("s",), votes=votes(pattern)).score
    assert score is None or 0 <= score <= 1
    assert (score is None) == (len(pattern) - pattern.count("?") < QUORUM * len(pattern) or set(pattern) == {"?"})


@given(patterns, st.data())
def test_lost_votes_never_change_what_is_right_and_wrong(pattern: str, data: st.DataObject) -> None:
    """I5: whatever calls are lost beside them, the score is that of the votes that were cast, or none."""
    lost = data.draw(st.integers(0, 12))
    places = data.draw(st.permutations(list(pattern) + ["?"] * lost))
    known = [letter for letter in pattern if letter != "?"]
    with_lost = Node(0, None, 1, "a", ("s",), votes=votes("".join(places))).score
    alone = Node(0, None, 1, "a", ("s",), votes=votes("".join(known))).score
    assert with_lost is None or with_lost == alone
    assert with_lost == alone or len(known) < QUORUM * len(places)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.4]), st.sampled_from([1, 2]))
def test_invariants_of_every_tree(seed: int, loss: float, first_steps: int) -> None:
    strategy = Mics(MENTORS, max_rounds=4, first_steps=first_steps)
    tree, _ = asyncio.run(run_search(CASE, strategy, chancy(seed, loss).panel(), SearchTree(CASE.id, seed)))
    assert [node.id for node in tree.nodes] == list(range(len(tree.nodes)))
    for number in range(1, tree.rounds + 1):
        level = tree.round_nodes(number)
        assert [node.mentor for node in level] == list(MENTORS)
        assert len({node.parent for node in level}) == 1
        parent = level[0].parent
        assert (parent is None) == (number == 1)
        if parent is not None:
            assert tree.nodes[parent].round == number - 1
            assert tree.nodes[parent].score is not None
            assert tree.nodes[parent].score
            assert not tree.nodes[parent].solved
    for node in tree.nodes:
        assert node.parent is None or node.parent < node.id
        assert [n.round for n in tree.path_to(node.id)] == list(range(1, node.round + 1))
        assert node.failure is None or not (node.steps or node.votes)
        assert node.failure is not None or len(node.votes) == 6
        assert len(node.steps) <= (first_steps if node.round == 1 else 1)
        assert all((vote.failure is None) == (vote.verdict is not Verdict.UNKNOWN) for vote in node.votes)
    assert pickle.loads(pickle.dumps(tree)) == tree


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_the_views_of_a_tree_agree(seed: int) -> None:
    tree, stop = asyncio.run(run_search(CASE, Mics(MENTORS), chancy(seed, 0.2).panel(), SearchTree(CASE.id, seed)))
    levels = [tree.round_nodes(number) for number in range(1, tree.rounds + 1)]
    scored = [[node for node in level if node.score is not None] for level in levels]
    # Of candidates with as many right votes, the one that lost more of the others has the higher score.
    best = [max(level, key=lambda node: (node.rank, node.score)) for level in scored if level]
    assert tree.best_scores() == [node.score for node in best]
    for mentor in MENTORS:
        assert tree.scores_of(mentor) == [node.score for node in tree.nodes if node.mentor == mentor]
    assert tree.prefix_to(stop.leaf) == sum((node.steps for node in tree.path_to(stop.leaf)), ())


def test_growing_leaves_the_old_tree_as_it_was() -> None:
    empty = SearchTree("c", 0)
    one = empty.add_round([Node(-1, None, 1, "a"), Node(-1, None, 1, "b")])
    two = one.add_round([Node(-1, 1, 2, "a")])
    assert (empty.nodes, empty.rounds, len(one.nodes), one.rounds) == ((), 0, 2, 1)
    assert [node.id for node in two.nodes] == [0, 1, 2]
    assert two.last_parent() == 1
    assert all(field.name in ("case_id", "seed", "nodes") for field in dataclasses.fields(two))
