"""B1 and B3 with quotas: how long a job takes over the least that its quotas and its longest case allow, simulated."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.harness.figures import Figure, Goal, Setting, current_load
from benchmarks.harness.provider import JITTER, LATENCY_S
from benchmarks.harness.simulation import Played, SimulatedChat, make_config, play_job, play_seeds
from mics_ray.assemble.locations import JUDGE

SLOWER = 20.0
"""Mentors take 8 s, interns and the judge 2 s: what models take."""
BURST_S = 1.0
"""What a provider that counts by the second lets through at once."""
FAULTS = 0.02
MORE = 4
"""Times as many cases: what a job's beginning and end weigh falls with its length."""
CHAIN = ("mentor", "intern", "judge")
"""Who is asked after whom."""
Limits = Mapping[str, Mapping[str, float]]
SAID = (
    "Simulated time: the real search, limiter and retries, a simulated clock and provider. The bound is the largest of"
    " (calls - one second's burst) / quota over the entries, busy seconds / places, and the longest case without"
    " quotas. With both ends it counts too that nobody can be asked before the shortest calls of those who come before,"
    " and that the shortest calls of the others follow the last one. Where all quotas bind alike, 60 cases take some"
    " 20 s more than the bound of 320 s: 5 s for the 1.5 % of each quota that is left unused on purpose, 10 s in the"
    " first half minute, when mentors, at their quota, bring the interns fewer votes than their quota allows, and 5 s"
    " after the last call of an intern. (One seed, by hand.)"
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


UNLIMITED = Scenario("no limits", {})
SCENARIOS = (
    Scenario("one mentor's quota binds", {"mentor_0": {"requests_per_minute": 20}}),
    Scenario("all quotas bind alike", limit_all(mentors=30, interns=225, judge=675)),
    Scenario("the judge's places bind", {JUDGE: {"max_in_flight": 24}}),
)


def measure_figures(setting: Setting) -> Iterator[Figure]:
    """Each scenario without and with faults."""
    cases = setting.choose(60, 24)
    longest = [max(job.cases_s) for job in play_seeds(partial(play_scenario, UNLIMITED, cases), setting.runs)]
    for scenario in SCENARIOS:
        jobs = play_seeds(partial(play_scenario, scenario, cases), setting.runs)
        yield from tell_jobs(scenario, jobs, longest)
    for scenario in SCENARIOS:
        jobs = play_seeds(partial(play_scenario, scenario, cases, faults=FAULTS), setting.runs)
        ratios = over_bounds(scenario, jobs, longest)
        yield make_figure("B1", f"makespan over the bound: {scenario.label}, {FAULTS:.0%} faults", ratios, ("<=", 1.10))
    many = play_seeds(partial(play_scenario, SCENARIOS[1], MORE * cases), min(setting.runs, 2))
    name = f"makespan over the bound: {SCENARIOS[1].label}, {MORE * cases} cases"
    yield make_figure("B1", name, over_bounds(SCENARIOS[1], many, longest), ("<=", 1.05))


def tell_jobs(scenario: Scenario, jobs: Sequence[Played], longest: Sequence[float]) -> Iterator[Figure]:
    """Jobs without faults: over the bound, over the bound with both ends, and the share of the quotas."""
    ratios = over_bounds(scenario, jobs, longest)
    yield make_figure("B1", f"makespan over the bound: {scenario.label}", ratios, ("<=", 1.05))
    tighter = over_bounds(scenario, jobs, longest, ends=True)
    yield make_figure("B1", f"makespan over the bound with both ends: {scenario.label}", tighter)
    shares = tuple(1 / one for one in ratios)
    yield make_figure("B3", f"share of what the quotas allow: {scenario.label}", shares, (">=", 0.95))


def make_figure(key: str, name: str, values: tuple[float, ...], goal: tuple[str, float] | None = None) -> Figure:
    """Simulated time knows no load, so none can spoil it."""
    reached = None if goal is None else Goal(*goal)
    return Figure(key, name, "", values, reached, SAID, load=(current_load(),), others=(0.0,))


def play_scenario(scenario: Scenario, cases: int, seed: int, faults: float = 0.0) -> Played:
    """One job under the scenario's limits."""
    return play_job(make_config(scenario.limits, seed), cases, scenario.window, SimulatedChat(SLOWER, faults))


def over_bounds(
    scenario: Scenario, jobs: Sequence[Played], longest: Sequence[float], ends: bool = False
) -> tuple[float, ...]:
    """Each job's seconds over its bound."""
    pairs = zip(jobs, longest, strict=False)
    return tuple(job.seconds / bound_seconds(job, scenario.limits, one_s, ends) for job, one_s in pairs)


def bound_seconds(played: Played, limits: Limits, longest_s: float, ends: bool = False) -> float:
    """The least that the job could take; calls that a fault repeats are no part of it.

    ``ends``: with the shortest calls that come before an entry's first one and follow its last one.
    """
    bounds = [longest_s]
    for entry, limit in limits.items():
        kind = entry.split("_")[0]
        place, least = CHAIN.index(kind), [SLOWER * LATENCY_S[one] * (1 - JITTER) for one in CHAIN]
        before, after = (sum(least[:place]), sum(least[place + 1 :])) if ends else (0.0, 0.0)
        if rate := limit.get("requests_per_minute", 0.0) / 60:
            last = least[place] if ends else 0.0
            bounds.append(before + (played.calls[entry] - BURST_S * rate) / rate + last + after)
        if places := limit.get("max_in_flight"):
            model = "judge-0" if entry == JUDGE else entry.replace("_", "-")
            bounds.append(before + played.chat.busy_s[model] / places + after)
    return max(bounds)
