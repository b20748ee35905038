"""Which votes are asked for next, by hand; that the choice stays is a law (``tests/laws``)."""

from collections.abc import Sequence

import pytest

from mics_ray.core.adaptive import list_first_votes, plan_votes
from mics_ray.core.mics import Mics
from mics_ray.core.ports import Complete, Stop
from mics_ray.core.types import Outcome
from tests.support.fake_panel import tree_of


def plan(level: Sequence[str], in_chain: str = "") -> dict[int, list[int]]:
    nodes = tree_of(dict(zip("abcd", level, strict=False))).nodes
    return {place: list(numbers) for place, numbers in plan_votes(nodes, set(in_chain)).items()}


def test_a_third_of_the_votes_of_each_candidate_comes_first() -> None:
    assert [list(list_first_votes(count)) for count in (1, 3, 4, 6)] == [[0], [0], [0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("level", "in_chain", "wanted"),
    [
        (("rw....", "rr....", "ww...."), "", {1: [2, 3, 4, 5]}),  # the most promising, all of it
        (("w?....", "w.....", "ww...."), "", {0: [2, 3, 4, 5]}),
        # Five right: a could draw with no further wrong vote, so one may settle it; c lost a vote, which is the same.
        (("rw....", "rrrrrw", "r?...."), "", {0: [2], 2: [2]}),
        (("rww...", "rrrrrw", "r?w..."), "", {}),
        # Of the chain already, it would lose the draw with b; but not where a lost vote makes its score the higher one.
        (("rw....", "rrrrrw", "ww...."), "a", {}),
        (("r?w...", "rrrr?w", "www..."), "a", {0: [3]}),
        (("rw....", "rrrrrw", "ww...."), "ab", {0: [2]}),
        # Solved: others are asked as long as all of their votes are right, one by one.
        (("rr....", "rrrrrr", "rw...."), "", {0: [2]}),
        (("rrr...", "rrrrr?", "w?...."), "", {0: [3]}),
        # Below the quorum nothing can come of it; and who may yet fall below it keeps nobody out.
        (("????..", "wwwwww", "r....."), "", {2: [1, 2, 3, 4, 5]}),
        (("rr????", "w....."), "", {1: [1, 2, 3, 4, 5]}),
        (("wwwwww", "wwwwww", "w....."), "", {2: [1, 2, 3, 4, 5]}),
        (("rrrrrw", "lost", "no_step"), "", {}),
    ],
)
def test_the_next_votes(level: Sequence[str], in_chain: str, wanted: dict[int, list[int]]) -> None:
    assert plan(level, in_chain) == wanted


def test_winners_are_told_apart_by_all_votes_of_their_mentors() -> None:
    """Otherwise which of the two was better before would be told by the votes that happened to be asked for."""
    tree = tree_of({"a": "rw..", "b": "rrrw", "c": "ww.."}, {"a": "rrrr", "b": "rrrr", "c": "rw.."}, chosen="b")
    assert Mics(tuple("abc")).next_move(tree) == Complete((0,))
    alone = tree_of({"a": "rw..", "b": "rrrw", "c": "ww.."}, {"a": "rrrr", "b": "rw..", "c": "rw.."}, chosen="b")
    move = Mics(tuple("abc")).next_move(alone)
    assert isinstance(move, Stop)
    assert move.outcome is Outcome.SOLVED
