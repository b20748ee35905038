"""The screen: figures that are known, none that are not, and no markup from names."""

from collections import Counter
from io import StringIO

from rich.console import Console

from mics_ray.runtime.monitor.watch_screen import PACE_S, Pace, draw_screen
from mics_ray.runtime.monitor.watch_view import ModelView, RunView


def drawn(view: RunView, pace: Pace | None = None, width: int = 150) -> str:
    console = Console(width=width, record=True, file=StringIO())
    console.print(draw_screen(view, pace or Pace()))
    return console.export_text()


def view(done: int = 0) -> RunView:
    return RunView("first", "running", 40, Counter(solved=done))


def test_a_run_that_has_just_begun_can_be_drawn() -> None:
    text = drawn(view())
    assert "first: running" in text
    assert "0 of 40 cases" in text
    assert "model" not in text


def test_figures_of_models_and_no_column_of_what_nobody_knows() -> None:
    seen = view(3)
    seen.models = {
        "gpt": ModelView(1200, 200, Counter(timeout=2), 1.5e6, 2e3, 1.25, waited_s=75.0, queue=3.0),
        "[red]tiny": ModelView(10, 0, Counter(), prompts=100, hits=25),
    }
    text = drawn(seen)
    for word in ("1,200", "200", "timeout 2", "1.5M", "2.0k", "1.2500 USD", "1:15", "25 %", "[red]tiny"):
        assert word in text
    assert "retries" not in text
    assert "working" not in text


def test_pace_and_time_left_are_those_of_the_last_two_minutes() -> None:
    pace = Pace()
    for now, done in ((0.0, 0), (1000.0, 10), (1000.0 + PACE_S, 30)):
        pace.note_view(now, view(done))
    assert pace.cases_per_s == 20 / PACE_S
    text = drawn(view(30), pace)
    assert "10.0 cases/min" in text
    assert "1:00 left" in text


def test_no_pace_before_the_second_look() -> None:
    pace = Pace()
    pace.note_view(5.0, view(3))
    assert pace.cases_per_s is None
    assert "left" not in drawn(view(3), pace)


def test_the_last_cases_and_what_was_lost() -> None:
    seen = view(1)
    seen.lost = Counter(timeout=3, no_answer=5)
    line = {"case": "a[b]", "time": "2026-11-25T00:15:26Z", "outcome": "solved", "quality": "keep", "rounds": 1}
    seen.recent = [line | {"calls": 9, "cost_usd": 0.5, "seconds": 1.5, "failures": {"timeout": 3}}]
    text = drawn(seen)
    assert "no_answer 5, timeout 3" in text
    assert "a[b]" in text
    assert "00:15:26" in text


def test_a_narrow_terminal_loses_columns_not_figures() -> None:
    seen = view(3)
    seen.models = {
        "simulated_attending": ModelView(1832, 688, Counter(timeout=2), 25.2e3, 5.2e3, 123.5, 3, 75.0, 60, 62, 100, 70)
    }
    wide, narrow = drawn(seen), drawn(seen, width=80)
    for word in ("simulated_attending", "1,832", "timeout 2", "123.5000", "60", "62"):
        assert word in wide
        assert word in narrow
    assert "prefix hits" in wide
    assert "prefix hits" not in narrow
    assert "…" not in narrow


def test_no_rate_before_a_case_is_committed() -> None:
    pace = Pace()
    for now in (0.0, 2.0):
        pace.note_view(now, view(0))
    assert "/min" not in drawn(view(0), pace)
    assert "0.0 cases/min" in drawn(view(3), pace), "a run that stands still says so"
