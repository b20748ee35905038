"""A plan: the places of the interns, what binds the job, and what more of something would bring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mics_ray.assemble.locations import JUDGE
from mics_ray.config.schema import Config
from mics_ray.models.chat.rate_limiter import PACE, RateLimits
from mics_ray.plan.config import PlanConfig
from mics_ray.plan.record import Basis, services
from mics_ray.plan.shape import calls
from mics_ray.plan.simulate import Course, Service, simulate
from mics_ray.runtime.serving.placement import ClusterNode, Placement, ReplicaNeed, list_needs, place_replicas

FULL = 0.9
"""Use of a resource from which it is said to bind."""
WINDOWS = 3
"""Simulated cases per open search, at least, so that the job's middle is a steady state."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer: where replicas go, cases an hour, hours and US dollars in all, use of each limit (1 is all of it),
    what binds, and cases an hour with more of something."""

    wanted: list[ReplicaNeed]
    spots: list[Placement]
    cases_per_hour: float
    hours: float
    cost_usd: float
    calls_per_second: float
    use: Mapping[str, float]
    binds: str
    more: Mapping[str, float]


def stretched(
    wanted: Sequence[ReplicaNeed], nodes: Sequence[ClusterNode], work: Mapping[str, float]
) -> list[ReplicaNeed]:
    """As many replicas as fit, at most each need's limit: the next goes to the intern with most work per replica."""
    grown = list(wanted)
    while True:
        order = sorted(range(len(grown)), key=lambda n: -work.get(grown[n].intern, 0.0) / grown[n].replicas)
        for number in order:
            need = grown[number]
            more = [*grown[:number], replace(need, replicas=need.replicas + 1), *grown[number + 1 :]]
            if need.replicas < need.limit and place_replicas(more, nodes) is not None:
                grown = more
                break
        else:
            return grown


def advise(config: Config, plan: PlanConfig, ground: Basis, nodes: Sequence[ClusterNode], on_gpu: bool) -> Plan:
    """The plan of a job whose interns fit on ``nodes``."""
    work = _work(ground)
    wanted = stretched(list_needs(config.interns, on_gpu), nodes, work)
    replicas = {need.intern: need.replicas for need in wanted}
    at_work = services(config, ground, replicas)
    course = _course(config, plan, ground, at_work, config.window)
    use = _use(at_work, course, {need.intern: "GPU" if need.gpus else "CPU" for need in wanted})
    cases = len(course.ends)
    left = max(0, plan.cases - cases)
    return Plan(
        wanted,
        place_replicas(wanted, nodes) or [],
        course.cases_per_hour,
        course.seconds / 3600 + left / course.cases_per_hour,
        sum(used.sent * ground.calls[name].cost_usd for name, used in course.use.items()) / cases * plan.cases,
        sum(used.sent for used in course.use.values()) / cases * course.cases_per_hour / 3600,
        use,
        _binding(use),
        {
            name: _course(config, plan, ground, changed, window).cases_per_hour
            for name, changed, window in _variants(config, ground, at_work, replicas, work)
        },
    )


def _work(ground: Basis) -> dict[str, float]:
    """Seconds of replicas that the recorded searches take of each model."""
    made = calls(ground.shapes, JUDGE)
    return {name: made.get(name, 0) * call.mean_s / call.per_replica for name, call in ground.calls.items()}


def _course(config: Config, plan: PlanConfig, ground: Basis, at_work: Mapping[str, Service], window: int) -> Course:
    cases = min(plan.cases, max(plan.sample, WINDOWS * window))
    return simulate(at_work, ground.shapes, JUDGE, cases, window, config.seed)


def _use(at_work: Mapping[str, Service], course: Course, engines: Mapping[str, str]) -> dict[str, float]:
    """How much of each limit was used, over the middle of the job; ``engines`` says what interns of ours run on."""
    scale = course.cases_per_hour / 3600 * course.seconds / len(course.ends)
    found = {}
    for name, service in at_work.items():
        used, limits = course.use[name], service.limits
        per_minute = used.sent / course.seconds * 60 * scale
        if limits.requests_per_minute:
            found[f"{name}: requests a minute"] = per_minute / (PACE * limits.requests_per_minute)
        if limits.tokens_per_minute:
            found[f"{name}: tokens a minute"] = per_minute * service.tokens / (PACE * limits.tokens_per_minute)
        if limits.max_in_flight:
            share = used.busy_s / course.seconds * scale / limits.max_in_flight
            found[f"{name}: {engines.get(name, 'in flight')}"] = share
    return found


def _binding(use: Mapping[str, float]) -> str:
    name, most = max(use.items(), key=lambda pair: pair[1], default=("", 0.0))
    return name if most >= FULL else "window: the latencies of the open searches"


def _variants(
    config: Config,
    ground: Basis,
    at_work: Mapping[str, Service],
    replicas: Mapping[str, int],
    work: Mapping[str, float],
) -> list[tuple[str, dict[str, Service], int]]:
    """What could be more: name, services, window."""
    found = []
    if replicas:
        busiest = max(replicas, key=lambda name: work[name] / replicas[name])
        more = services(config, ground, {**replicas, busiest: replicas[busiest] + 1})
        found.append((f"one more replica of {busiest}", more, config.window))
    for role, names in (("mentors' quotas", list(config.mentors)), ("judge's quota", [JUDGE])):
        if any(_limited(at_work[name].limits) for name in names):
            double = {name: replace(at_work[name], limits=_doubled(at_work[name].limits)) for name in names}
            found.append((f"{role} doubled", {**at_work, **double}, config.window))
    found.append(("window doubled", dict(at_work), 2 * config.window))
    return found


def _limited(limits: RateLimits) -> bool:
    return bool(limits.requests_per_minute or limits.tokens_per_minute or limits.max_in_flight)


def _doubled(limits: RateLimits) -> RateLimits:
    pairs = (limits.requests_per_minute, limits.tokens_per_minute)
    requests, tokens = (None if limit is None else 2 * limit for limit in pairs)
    return RateLimits(requests, tokens, None if limits.max_in_flight is None else 2 * limits.max_in_flight)
