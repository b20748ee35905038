"""What single benchmarks work out from what they saw."""

import pytest

from benchmarks.harness.processes import ProcessWatch, Sample, Track
from benchmarks.harness.simulation import Played, SimulatedChat
from benchmarks.suite.makespan import bound_seconds
from benchmarks.suite.memory import APART, measure_growth
from benchmarks.suite.prefix_routing import BLOCK, SimulatedReplica
from benchmarks.suite.quotas import share_used
from benchmarks.suite.weak_scaling import PARTS, find_full, measure_rates


def grow(megabytes: float, handles: int) -> ProcessWatch:
    """A worker that is busy from second 10 to 110 and grows evenly by so much in that time."""
    watch = ProcessWatch({})
    shares = [min(max((second - 10) / 100, 0.0), 1.0) for second in range(130)]
    busy = [Sample(n, 100 * s, 50 + megabytes * s, 20 + round(handles * s), 8) for n, s in enumerate(shares)]
    watch.tracks[(1, 0)] = Track("search worker", busy)
    watch.tracks[(2, 0)] = Track("search worker", [Sample(0.0, 0.0, 999.0, 1, 1)])  # one that ended at once
    return watch


@pytest.mark.parametrize(("megabytes", "handles"), [(0.0, 0), (40.0, 0), (40.0, 200)])
def test_growth_is_of_the_late_part_over_the_early_one(megabytes: float, handles: int) -> None:
    grown = measure_growth(grow(megabytes, handles), "search worker")
    assert grown.megabytes / APART == pytest.approx(megabytes, rel=0.06, abs=0.01)
    assert grown.handles / APART == pytest.approx(handles, rel=0.06, abs=0.01)
    assert grown.threads == 0


def test_a_run_too_short_to_tell_is_an_error() -> None:
    watch = ProcessWatch({})
    watch.tracks[(1, 0)] = Track("search worker", [Sample(0.0, 0.0, 1.0, 1, 1), Sample(1.0, 1.0, 1.0, 1, 1)])
    with pytest.raises(RuntimeError, match="too short"):
        measure_growth(watch, "search worker")


@pytest.mark.parametrize(
    ("limits", "bound"),
    [
        ({}, 30.0),
        ({"mentor_0": {"requests_per_minute": 60}}, 119.0),
        ({"mentor_0": {"requests_per_minute": 60}, "judge": {"requests_per_minute": 600}}, 199.0),
        ({"judge": {"max_in_flight": 4}}, 250.0),
    ],
)
def test_the_bound_is_the_largest_of_quotas_places_and_the_longest_case(
    limits: dict[str, dict[str, float]], bound: float
) -> None:
    chat = SimulatedChat(busy_s={"judge-0": 1000.0})
    played = Played(chat, 300.0, (10.0, 30.0), {"mentor_0": 120, "judge": 2000})
    assert bound_seconds(played, limits, 30.0) == pytest.approx(bound)


@pytest.mark.parametrize(
    ("limits", "bound"),
    [
        ({}, 30.0),
        ({"mentor_0": {"requests_per_minute": 60}}, 119.0 + 4 + 1 + 1),
        ({"intern_1": {"requests_per_minute": 60}}, 4 + 199.0 + 1 + 1),
        ({"judge": {"requests_per_minute": 600}}, 4 + 1 + 199.0 + 1),
        ({"judge": {"max_in_flight": 4}}, 4 + 1 + 250.0),
    ],
)
def test_with_both_ends_the_bound_holds_what_comes_before_and_after(
    limits: dict[str, dict[str, float]], bound: float
) -> None:
    chat = SimulatedChat(busy_s={"judge-0": 1000.0})
    played = Played(chat, 300.0, (10.0, 30.0), {"mentor_0": 120, "intern_1": 200, "judge": 2000})
    assert bound_seconds(played, limits, 30.0, ends=True) == pytest.approx(bound)


def test_the_share_of_a_quota_is_that_of_the_middle_of_the_calls() -> None:
    slow_start, drain = [0.0, 5.0], [200.0 + 7 * n for n in range(12)]
    even = [10 + n / 2 for n in range(86)]  # 120 a minute
    assert share_used([*drain, *slow_start, *even], 150.0) == pytest.approx(0.8, rel=0.01)


def test_a_replica_forgets_the_blocks_that_were_used_longest_ago() -> None:
    prompts = {name: [f"{name}{n}" for n in range(2 * BLOCK + 3)] for name in "abc"}
    replica = SimulatedReplica(room=4)
    for name in "abacab":  # c takes b's place, b takes c's; a is asked for often enough
        replica.count_prompt(prompts[name])
    assert replica.served == 2 * BLOCK * 2
    assert replica.sent == 6 * (2 * BLOCK + 3)


def make_turns(delay_s: float, gap_s: float, turns: int = 8) -> list[tuple[float, float]]:
    """Two workers with a place each, one ``delay_s`` after the other; a case takes 6 s, the next begins a gap later."""
    starts = [begin + n * (6 + gap_s) for begin in (100.0, 100.0 + delay_s) for n in range(turns)]
    return [(start, start + 6.0) for start in starts]


@pytest.mark.parametrize(("delay_s", "gap_s"), [(0.0, 0.0), (3.0, 0.0), (8.5, 0.0), (3.0, 1.5), (14.0, 2.0)])
def test_a_rate_is_that_of_the_stretch_in_which_every_worker_searches(delay_s: float, gap_s: float) -> None:
    rates = measure_rates(make_turns(delay_s, gap_s), 2)
    assert len(rates) == PARTS
    assert sum(rates) / PARTS == pytest.approx(2 / (6 + gap_s), rel=0.06)


def test_what_was_never_full_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="never open"):
        find_full(make_turns(100.0, 0.0), 2)
