"""A case on the terminal: its tree is readable without colour, and harmless."""

import io

from rich.console import Console

from mics_ray.core.search import SearchResult
from mics_ray.core.tree import Node, SearchTree
from mics_ray.core.types import Case, Continuation, Failure, Outcome, Quality, Verdict, Vote
from mics_ray.io.rows import Stamp, result_row
from mics_ray.runtime.monitor.case_view import draw_case


def votes(*right: bool) -> tuple[Vote, ...]:
    return tuple(Vote("i", 0.3, verdict=Verdict.RIGHT if one else Verdict.WRONG) for one in right)


def draw(result: SearchResult) -> str:
    screen = io.StringIO()
    Console(file=screen, width=100).print(draw_case(result_row(result, {}, 1.0, Stamp(0, "d", "v"))))
    return screen.getvalue()


def test_a_chain_with_its_tree_is_readable_and_harmless() -> None:
    dead = SearchTree("c", 1).add_round([Node(-1, None, 1, "a", ("first",), votes=votes(False))])
    tree = SearchTree("c", 2).add_round(
        [
            Node(-1, None, 1, "a", ("the \x1b[31mchosen step",), Continuation((), "gold"), votes(True, False)),
            Node(-1, None, 1, "b", failure=Failure("timeout", "300 s")),
            Node(-1, None, 1, "c", ("The diagnosis is gold.",), votes=votes(False)),
        ]
    )
    tree = tree.add_round([Node(-1, 0, 2, "b", ("and [bold]last",), Continuation((), "gold"), votes(True, True))])
    chain = Continuation(("the \x1b[31mchosen step", "and [bold]last"), "gold")
    shown = draw(SearchResult(Case("c", "What?", "gold"), Outcome.SOLVED, "why", Quality.KEEP, chain, 3, (dead, tree)))
    assert "\x1b" not in shown
    for part in (
        "attempt 1",
        "attempt 2",
        "0.00  a: first",
        "no score  b: timeout: 300 s",
        "* 1.00  b: and [bold]last",
    ):
        assert part in shown
    assert shown.index("* 0.50  a:") < shown.index("* 1.00  b:")
    assert "! c: The diagnosis is gold." in shown
    assert "### The final answer is: gold" in shown


def test_the_chosen_path_and_no_other_candidate_has_the_sign() -> None:
    level = [Node(-1, None, 1, name, (f"step of {name}",), votes=votes(name == "b")) for name in "abc"]
    tree = SearchTree("c", 1).add_round(level)
    shown = draw(
        SearchResult(
            Case("c", "What?", "gold"), Outcome.DEPTH, "why", Quality.FLAT, Continuation(("x",), "y"), 1, (tree,)
        )
    )
    marked = [line.partition("* ")[2] for line in shown.splitlines() if "── * " in line]
    assert marked == ["1.00  b: step of b"]
    assert "* chosen" in shown


def test_votes_that_are_unknown_or_left_out_are_told_beside_the_score() -> None:
    part = tuple(Vote("i", 0.3, verdict=Verdict(word)) for word in ("right", "wrong", "unasked", "unasked"))
    lost = tuple(Vote("i", 0.3, verdict=Verdict(word)) for word in ("right", "right", "wrong", "unknown"))
    level = [Node(-1, None, 1, name, ("step",), votes=these) for name, these in (("a", part), ("b", lost))]
    tree = SearchTree("c", 1).add_round(level)
    shown = draw(
        SearchResult(
            Case("c", "What?", "gold"), Outcome.DEPTH, "why", Quality.FLAT, Continuation(("x",), "y"), 1, (tree,)
        )
    )
    assert "no score (2 of 4 votes not asked for)  a: step" in shown
    assert "0.67 (1 of 4 votes unknown)  b: step" in shown
