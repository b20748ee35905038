"""B1 and B3 with quotas: how long a job takes over the least that its quotas and its longest case allow, simulated."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.harness.figures import Figure, Goal, Setting, current_load
from benchmarks.harness.simulation import Played, SimulatedChat, make_config, play_job
from mics_ray.assemble.locations import JUDGE

SLOWER = 20.0
"""Mentors take 8 s, interns and the judge 2 s: what models take."""
BURST_S = 1.0
"""What a provider that counts by the second lets through at once."""
FAULTS = 0.02
Limits = Mapping[str, Mapping[str, float]]
SAID = (
    "Simulated time: the real search, limiter and retries, a simulated clock and provider. The bound is the largest of"
    " (calls - one second's burst) / quota over the entries, busy seconds / places, and the longest case without"
    " quotas."
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Limits by entry, and how many cases are open at a time."""

    label: str
    limits: Limits
    window: int = 64


def limit_all(**limits: float) -> Limits:
    """The same limits: ``mentors``, ``interns``, ``judge`` in requests a minute."""
    entries = {f"mentor_{n}": limits["mentors"] for n in range(3)} | {
        f"intern_{n}": limits["interns"] for n in range(3)
    }
    return {name: {"requests_per_minute": limit} for name, limit in (entries | {JUDGE: limits["judge"]}).items()}


SCENARIOS = (
    Scenario("one mentor's quota binds", {"mentor_0": {"requests_per_minute": 20}}),
    Scenario("all quotas bind alike", limit_all(mentors=30, interns=225, judge=675)),
    Scenario("the judge's places bind", {JUDGE: {"max_in_flight": 24}}),
)


def measure_figures(setting: Setting) -> Iterator[Figure]:
    """Each scenario without and with faults."""
    cases = setting.choose(60, 24)
    longest = [
        max(play_job(make_config({}, seed), cases, cases, SimulatedChat(SLOWER)).cases_s)
        for seed in range(setting.runs)
    ]
    for faults, goal in ((0.0, 1.05), (FAULTS, 1.10)):
        for scenario in SCENARIOS:
            ratios = tuple(measure_ratio(scenario, cases, seed, faults, one_s) for seed, one_s in enumerate(longest))
            name = f"makespan over the bound: {scenario.label}{f', {faults:.0%} faults' if faults else ''}"
            yield Figure("B1", name, "", ratios, Goal("<=", goal), SAID, load=(current_load(),), others=(0.0,))
            if not faults:
                name, share = f"share of what the quotas allow: {scenario.label}", tuple(1 / one for one in ratios)
                yield Figure("B3", name, "", share, Goal(">=", 0.95), SAID, load=(current_load(),), others=(0.0,))


def measure_ratio(scenario: Scenario, cases: int, seed: int, faults: float, longest_s: float) -> float:
    """One job's seconds over its bound."""
    config = make_config(scenario.limits, seed)
    played = play_job(config, cases, scenario.window, SimulatedChat(SLOWER, faults))
    return played.seconds / bound_seconds(played, scenario.limits, longest_s)


def bound_seconds(played: Played, limits: Limits, longest_s: float) -> float:
    """The least that the job could take; calls that a fault repeats are no part of it."""
    bounds = [longest_s]
    for entry, limit in limits.items():
        if rate := limit.get("requests_per_minute", 0.0) / 60:
            bounds.append((played.calls[entry] - BURST_S * rate) / rate)
        if places := limit.get("max_in_flight"):
            model = "judge-0" if entry == JUDGE else entry.replace("_", "-")
            bounds.append(played.chat.busy_s[model] / places)
    return max(bounds)
