"""RunMetrics: sums handed to Ray, and what a reply counts as."""

from typing import Any

import pytest

from mics_ray.models.types import Reply
from mics_ray.runtime.monitor import metrics
from mics_ray.runtime.monitor.metrics import ALL, CALLS, COST, OPEN, TOKEN_PARTS, TOKENS, WAITED, RunMetrics


class Recorded:
    """Stands in for an instrument of Ray's."""

    log: list[tuple[str, float, tuple[str, ...]]]

    def __init__(self, name: str, log: list[Any]) -> None:
        self._name, self._log = name, log

    def inc(self, value: float, tags: dict[str, str]) -> None:
        self._log.append((self._name, value, tuple(tags.values())))

    set = inc


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    monkeypatch.setattr(RunMetrics, "_find_instrument", lambda _, metric: Recorded(metric.name, found))
    return found


def test_a_paid_reply_counts_its_tokens_and_money_and_a_cached_one_only_itself(log: list[Any]) -> None:
    meters = RunMetrics("run")
    meters.count_reply("gpt", Reply("x", "stop", 100, 20, cost_usd=0.5, cached_tokens=60))
    meters.count_reply("gpt", Reply("x", "stop", 100, 20, cost_usd=0.0, cached=True, cached_tokens=60))
    meters.publish()
    assert sorted(log) == [
        (CALLS.name, 1, ("run", "gpt", "cached")),
        (CALLS.name, 1, ("run", "gpt", "ok")),
        (COST.name, 0.5, ("run", "gpt")),
        (TOKEN_PARTS.name, 60, ("run", "gpt", "cached")),
        (TOKENS.name, 20, ("run", "gpt", "completion")),
        (TOKENS.name, 100, ("run", "gpt", "prompt")),
    ]


def test_a_counter_hands_over_what_is_new_and_a_gauge_its_value_every_time(log: list[Any]) -> None:
    waited = [1.5, 1.5, 4.0]
    meters = RunMetrics("run", lambda own: own.set_total(WAITED, waited.pop(0), "gpt"))
    for level in (3, 3, 0):
        meters.set_level(OPEN, level, "0")
        meters.publish()
    assert [value for name, value, _ in log if name == WAITED.name] == [1.5, 2.5]
    assert [value for name, value, _ in log if name == OPEN.name] == [3, 3, 0]


def test_a_metric_with_other_tags_than_its_own_is_an_error(log: list[Any]) -> None:
    meters = RunMetrics("run")
    meters.add_count(CALLS, 1, "gpt")
    with pytest.raises(ValueError, match="zip"):
        meters.publish()


def test_names_follow_the_conventions_of_prometheus() -> None:
    assert len({metric.name for metric in ALL}) == len(ALL)
    for metric in ALL:
        assert metric.name.startswith("mics_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.help.endswith(".")
        assert bool(metric.bounds) == (metric.kind == "histogram")
        assert "run" not in metric.tags


def test_every_metric_of_the_module_is_in_the_table() -> None:
    assert {one for one in vars(metrics).values() if isinstance(one, metrics.Metric)} == set(ALL)
