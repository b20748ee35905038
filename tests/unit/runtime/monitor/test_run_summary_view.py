"""What the end of a run shows."""

import io
import re
from dataclasses import asdict

from rich.console import Console

from mics_ray.core.types import Usage
from mics_ray.runtime.monitor.run_summary_view import make_usage_table


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


def test_lost_calls_stand_below_by_reason() -> None:
    lost = {"small": {"lost": 12, "lost_by_reason": {"pictures": 2, "too_long": 10}}, "gpt": {"lost": 0}}
    usage = dict.fromkeys(lost, asdict(Usage()))
    summary = {"simulated": False, "usage": usage, "participation": lost, "cost_usd": 0.0}
    screen = io.StringIO()
    Console(file=screen, width=80).print(make_usage_table(summary))
    assert "small lost 10 too_long, 2 pictures" in screen.getvalue()
    assert "gpt lost" not in screen.getvalue()


def test_no_count_of_the_usage_table_is_cut_off_on_eighty_columns() -> None:
    used = asdict(Usage(1_866, 706, 252_100, 23_588, 0.0, 75_200, 0))
    names = ["simulated_attending", "tiny_internvl", "judge"]
    summary = {"simulated": True, "usage": dict.fromkeys(names, used), "participation": {}, "cost_usd": 0.0}
    screen = io.StringIO()
    Console(file=screen, width=80).print(make_usage_table(summary))
    said = screen.getvalue()
    assert "…" not in said
    assert all(word in said for word in ["simulated_attending", "252.1k", "75.2k", "23.6k", "756.3k", "$0.0000"])
