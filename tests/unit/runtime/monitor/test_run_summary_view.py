"""What the end of a run shows."""

import io
import re
from dataclasses import asdict

from rich.console import Console

from mics_ray.core.search import SearchResult
from mics_ray.core.tree import Node, SearchTree
from mics_ray.core.types import Case, Continuation, Failure, Outcome, Quality, Usage, Verdict, Vote
from mics_ray.io.rows import Stamp, result_row
from mics_ray.runtime.monitor.run_summary_view import chain_view, make_usage_table


def votes(*right: bool) -> tuple[Vote, ...]:
    return tuple(Vote("i", 0.3, verdict=Verdict.RIGHT if one else Verdict.WRONG) for one in right)


def test_a_chain_with_its_tree_is_readable_and_harmless() -> None:
    dead = SearchTree("c", 1).add_round([Node(-1, None, 1, "a", ("first",), votes=votes(False))])
    tree = SearchTree("c", 2).add_round(
        [
            Node(-1, None, 1, "a", ("the \x1b[31mchosen step",), Continuation((), "gold"), votes(True, False)),
            Node(-1, None, 1, "b", failure=Failure("timeout", "300 s")),
        ]
    )
    tree = tree.add_round([Node(-1, 0, 2, "b", ("and [bold]last",), Continuation((), "gold"), votes(True, True))])
    chain = Continuation(("the \x1b[31mchosen step", "and [bold]last"), "gold")
    result = SearchResult(Case("c", "What?", "gold"), Outcome.SOLVED, "why", Quality.KEEP, chain, 2, (dead, tree))
    screen = io.StringIO()
    Console(file=screen, width=100).print(chain_view(result_row(result, {}, 1.0, Stamp(0, "d", "v"))))
    shown = screen.getvalue()
    assert "\x1b" not in shown
    for part in ("attempt 1", "attempt 2", "0.00  a: first", "no score  b: timeout: 300 s", "1.00  b: and [bold]last"):
        assert part in shown
    assert shown.index("0.50  a:") < shown.index("1.00  b:")
    assert "### The final answer is: gold" in shown


def test_the_usage_table_shows_cached_and_reasoning_tokens_where_there_are_any() -> None:
    def draw_headings(**more: int) -> list[str]:
        used = asdict(Usage(3, 1, 1_000, 20, 0.5)) | more
        summary = {"simulated": False, "usage": {"gpt": used}, "participation": {}, "cost_usd": 0.5}
        screen = io.StringIO()
        Console(file=screen, width=120).print(make_usage_table(summary))
        lines = screen.getvalue().splitlines()
        assert {word in lines[4] for word in ["gpt", *(f"{number:,}" for number in more.values())]} == {True}
        return re.split(r"\s*[┃]\s*", lines[2])[1:-1]

    plain = ["model", "calls", "cached", "lost", "tokens in", "out", "cost"]
    assert draw_headings() == plain
    assert draw_headings(cached_tokens=640, reasoning_tokens=7) == [
        *plain[:5], "in prefix cache", "out", "thoughts", "cost"
    ]  # fmt: skip
    assert draw_headings(cached_tokens=640) == [*plain[:5], "in prefix cache", "out", "cost"]


def test_no_count_of_the_usage_table_is_cut_off_on_eighty_columns() -> None:
    used = asdict(Usage(1_866, 706, 252_100, 23_588, 0.0, 75_200, 0))
    names = ["simulated_attending", "tiny_internvl", "judge"]
    summary = {"simulated": True, "usage": dict.fromkeys(names, used), "participation": {}, "cost_usd": 0.0}
    screen = io.StringIO()
    Console(file=screen, width=80).print(make_usage_table(summary))
    said = screen.getvalue()
    assert "…" not in said
    assert all(word in said for word in ["simulated_attending", "252.1k", "75.2k", "23.6k", "756.3k", "$0.0000"])
