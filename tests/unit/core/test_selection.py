"""The two policies, move by move, on trees made by hand."""

import subprocess
import sys
from typing import Literal

import pytest

from mics_ray.core.best_of_n import BestOfN
from mics_ray.core.mics import NO_STEP, Mics
from mics_ray.core.ports import Expand, Move, Stop
from mics_ray.core.tree import SearchTree
from mics_ray.core.types import Outcome
from mics_ray.testing import MENTORS
from tests.support.fake_panel import tree_of

PAPER = Mics(MENTORS)


def mentor_of(tree: SearchTree, move: Move) -> str:
    place = move.parent if isinstance(move, Expand) else move.leaf
    assert place is not None
    return tree.nodes[place].mentor


def test_an_empty_tree_is_expanded_by_all_mentors() -> None:
    assert PAPER.next_move(SearchTree("c", 0)) == Expand(None, MENTORS, 1)
    assert Mics(MENTORS, first_steps=2).next_move(SearchTree("c", 0)) == Expand(None, MENTORS, 2)


def test_the_highest_score_becomes_the_prefix_and_later_candidates_are_one_step() -> None:
    tree = tree_of({"a": "rwww", "b": "rrww", "c": "wwww"})
    assert Mics(MENTORS, first_steps=2).next_move(tree) == Expand(1, MENTORS, 1)


def test_an_unknown_vote_counts_as_not_right_where_candidates_compete() -> None:
    tree = tree_of({"a": "rrrw", "b": "rr??", "c": "lost"})
    assert [node.score for node in tree.nodes] == [0.75, 1.0, None]
    assert mentor_of(tree, PAPER.next_move(tree)) == "a"


def test_a_tie_goes_to_a_mentor_not_chosen_before() -> None:
    for chosen in "ab":
        other = "b" if chosen == "a" else "a"
        for seed in range(20):
            first = {"a": "rwww", "b": "rwww", "c": "wwww"}
            tree = tree_of(first, {"a": "rrww", "b": "rrww", "c": "rwww"}, chosen=chosen, seed=seed)
            assert mentor_of(tree, PAPER.next_move(tree)) == other


def test_a_tie_among_mentors_chosen_before_is_drawn() -> None:
    levels = [{"a": "rwww", "b": "wwww"}, {"a": "wwww", "b": "rrww"}, {"a": "rrrw", "b": "rrrw"}]
    trees = [tree_of(*levels, chosen="ab", seed=seed) for seed in range(40)]
    assert {mentor_of(tree, PAPER.next_move(tree)) for tree in trees} == {"a", "b"}


def draws() -> str:
    """Whom ties go to, over seeds and cases, a letter each."""
    level = {"a": "rw", "b": "rw", "c": "rw"}
    trees = [tree_of(level, seed=seed, case_id=case) for seed in range(30) for case in ("case-1", "case-2")]
    return "".join(mentor_of(tree, PAPER.next_move(tree)) for tree in trees)


def test_draws_depend_on_seed_and_case_and_are_fair() -> None:
    letters = draws()
    assert letters[0::2] != letters[1::2]
    assert all(12 <= letters.count(mentor) <= 28 for mentor in MENTORS)


@pytest.mark.parametrize("hash_seed", ["0", "12345"])
def test_draws_are_the_same_in_every_process(hash_seed: str) -> None:
    program = "from tests.unit.core.test_selection import draws; print(draws())"
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == draws()


WINNERS = [
    {"a": "rrrrrwwwww", "b": "rrwwwwwwww", "c": "rrrrrrrrrw"},
    {"a": "rrrrrwwwww", "b": "rrrrrrrrrw", "c": "rrrrrrrrrw"},
    {"a": "rrrrrrrrrr", "b": "rrrrrrrrrr", "c": "rrrrrrrrrw"},
]
"""a: .5 x .5 = .25, 1 + 1.0; b: .2 x .9 = .18, 1 + 1.1; c is ahead of both, and does not score 1 in the last round."""


@pytest.mark.parametrize(("kind", "winner"), [("product", "a"), ("sum", "b")])
def test_of_several_winners_the_most_competitive_is_kept(kind: Literal["product", "sum"], winner: str) -> None:
    for chosen in ("cc", "ab", "ba"):
        tree = tree_of(*WINNERS, chosen=chosen)
        move = Mics(MENTORS, competitiveness=kind).next_move(tree)
        assert isinstance(move, Stop)
        assert move.outcome is Outcome.SOLVED
        assert mentor_of(tree, move) == winner
        assert tree.nodes[move.leaf or 0].round == 3


@pytest.mark.parametrize("kind", ["product", "sum"])
def test_only_winners_compete_in_round_one(kind: Literal["product", "sum"]) -> None:
    """The reference drew among all mentors and so could save a chain that did not score 1."""
    policy = Mics(MENTORS, competitiveness=kind)
    trees = [tree_of({"a": "rr", "b": "rw", "c": "rr"}, seed=seed) for seed in range(40)]
    assert {mentor_of(tree, policy.next_move(tree)) for tree in trees} == {"a", "c"}


def test_rounds_without_a_score_do_not_count_for_competitiveness() -> None:
    levels = [{"a": "rw", "b": "rrrw"}, {"a": "lost", "b": "rrrw"}, {"a": "rr", "b": "rr"}]
    tree = tree_of(*levels, chosen="ab")
    # By the geometric mean .825 against .707; a product, .5625 against .5, and a mean of two rounds agree, so:
    assert mentor_of(tree, PAPER.next_move(tree)) == "b"
    levels = [
        {"a": "rrrww", "b": "rrrw"},
        {"a": "lost", "b": "rrrw"},
        {"a": "rrrww", "b": "rrrw"},
        {"a": "rr", "b": "rr"},
    ]
    tree = tree_of(*levels, chosen="aaa")
    # .711 against .806 by the mean; the product would favour the lost round: .36 against .42 over unequal rounds.
    assert mentor_of(tree, PAPER.next_move(tree)) == "b"


def test_equal_competitiveness_is_a_tie_whatever_the_order_of_the_rounds() -> None:
    """.6 x .8 x .8 and .8 x .8 x .6 differ in a float's last digit; the tie goes to the mentor not chosen before."""
    levels = [
        {"a": "rrrww", "b": "rrrrw", "c": "rrrrw"},
        {"a": "rrrrw", "b": "rrrrw", "c": "rrrrw"},
        {"a": "rrrrw", "b": "rrrww", "c": "rrrrw"},
        {"a": "rrrrr", "b": "rrrrr", "c": "wwwww"},
    ]
    for chosen, winner in (("bcc", "a"), ("acc", "b")):
        tree = tree_of(*levels, chosen=chosen)
        assert mentor_of(tree, PAPER.next_move(tree)) == winner


def test_all_zero_is_a_dead_end_even_after_good_rounds() -> None:
    assert PAPER.next_move(tree_of({"a": "ww", "b": "ww"})) == Stop(
        Outcome.DEAD_END, None, "every candidate of round 1 scored 0"
    )
    move = PAPER.next_move(tree_of({"a": "rw", "b": "ww"}, {"a": "ww", "b": NO_STEP}, chosen="a"))
    assert isinstance(move, Stop)
    assert (move.outcome, move.leaf) == (Outcome.DEAD_END, 0)


@pytest.mark.parametrize("lost", ["lost", "w???", "????"])
def test_zeros_beside_a_lost_candidate_are_no_dead_end(lost: str) -> None:
    move = PAPER.next_move(tree_of({"a": "rw", "b": "ww"}, {"a": "ww", "b": lost}, chosen="a"))
    assert isinstance(move, Stop)
    assert (move.outcome, move.leaf) == (Outcome.FAILED, 0)
    assert "others were lost" in move.reason


@pytest.mark.parametrize(
    ("known", "solved"), [("rrr???", False), ("rrrr??", False), ("rrrrr?", True), ("rrrrrr", True), ("r?", False)]
)
def test_few_right_votes_are_no_proof(known: str, solved: bool) -> None:
    """Three right of three known compete like any other candidate."""
    move = PAPER.next_move(tree_of({"a": known, "b": "w" * len(known)}))
    assert isinstance(move, Stop) == solved
    whole = BestOfN(MENTORS).next_move(tree_of({"a": known, "b": "w" * len(known)}))
    assert isinstance(whole, Stop)
    assert whole.outcome is (Outcome.SOLVED if solved else Outcome.DEPTH)


def test_five_of_six_right_beat_three_of_three_known() -> None:
    tree = tree_of({"a": "rrr???", "b": "rrrrrw"})
    assert mentor_of(tree, PAPER.next_move(tree)) == "b"
    assert mentor_of(tree, BestOfN(MENTORS).next_move(tree)) == "b"


def test_lost_calls_are_no_zeros() -> None:
    for first, second in (("lost", "lost"), ("w??", "lost"), ("???", "???"), ("lost", NO_STEP)):
        level = {"a": first, "b": second}
        move = PAPER.next_move(tree_of({"a": "rw", "b": "ww"}, level, chosen="a"))
        assert isinstance(move, Stop)
        assert move.outcome is Outcome.FAILED


def test_a_mentor_that_lost_its_call_sits_the_round_out() -> None:
    tree = tree_of({"a": "lost", "b": "rwww", "c": "wwww"})
    assert PAPER.next_move(tree) == Expand(1, MENTORS, 1)


def test_when_nobody_has_a_further_step_the_chain_so_far_is_kept() -> None:
    move = PAPER.next_move(tree_of({"a": "rw", "b": "ww"}, {"a": NO_STEP, "b": NO_STEP}, chosen="a"))
    assert isinstance(move, Stop)
    assert (move.outcome, move.leaf) == (Outcome.DEPTH, 0)


def test_without_any_step_in_round_one_nothing_can_be_kept() -> None:
    move = PAPER.next_move(tree_of({"a": NO_STEP, "b": NO_STEP}))
    assert isinstance(move, Stop)
    assert (move.outcome, move.leaf) == (Outcome.FAILED, None)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_maximum_depth_keeps_the_last_chosen(depth: int) -> None:
    policy = Mics(MENTORS, max_rounds=depth)
    level = {"a": "rwww", "b": "rrww", "c": "wwww"}
    for rounds in range(1, depth + 1):
        tree = tree_of(*[level] * rounds, chosen="b" * rounds)
        move = policy.next_move(tree)
        assert isinstance(move, Stop) is (rounds == depth)
        assert mentor_of(tree, move) == "b"
    assert isinstance(move, Stop)
    assert move.outcome is Outcome.DEPTH


@pytest.mark.parametrize(
    ("level", "outcome", "mentor"),
    [
        ({"a": "rwww", "b": "rrww", "c": "wwww"}, Outcome.DEPTH, "b"),
        ({"a": "rwww", "b": "rrrr", "c": "wwww"}, Outcome.SOLVED, "b"),
        ({"a": "wwww", "b": NO_STEP, "c": "wwww"}, Outcome.DEAD_END, None),
        ({"a": "wwww", "b": "lost", "c": "wwww"}, Outcome.FAILED, None),
        ({"a": "w???", "b": "lost", "c": NO_STEP}, Outcome.FAILED, None),
    ],
)
def test_best_of_n_stops_after_one_round(level: dict[str, str], outcome: Outcome, mentor: str | None) -> None:
    tree = tree_of(level)
    move = BestOfN(MENTORS).next_move(tree)
    assert isinstance(move, Stop)
    assert move.outcome is outcome
    assert (None if move.leaf is None else tree.nodes[move.leaf].mentor) == mentor


def test_best_of_n_asks_for_whole_chains() -> None:
    assert BestOfN(MENTORS).next_move(SearchTree("c", 0)) == Expand(None, MENTORS, None)
