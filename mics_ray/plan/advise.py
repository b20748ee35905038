"""A plan: the places of the models served here, what binds the job, and what more of something would bring.

No key, no input and no address is needed on paper, so none is asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mics_ray.assemble.checks import find_size_problems
from mics_ray.assemble.locations import JUDGE, list_endpoints, list_served
from mics_ray.config.schema import Config
from mics_ray.errors import RefusedRun
from mics_ray.models.chat.rate_limiter import PACE, RateLimits
from mics_ray.plan.config import PlanConfig, PlanJob
from mics_ray.plan.measured_run import PlanBasis, build_services
from mics_ray.plan.shape import count_calls
from mics_ray.plan.simulate import JobTimeline, Service, simulate
from mics_ray.runtime.serving.placement import (
    ClusterNode,
    Placement,
    ReplicaNeed,
    find_placement_problems,
    list_needs,
    place_replicas,
)

FULL = 0.9  # latencies are drawn, so that even a limit that binds is idle for a moment now and then
"""Use of a resource from which it is said to bind."""
WINDOWS = 3
"""Simulated cases per open search, at least, so that the job's middle is a steady state."""


@dataclass(frozen=True, slots=True)
class JobPlan:
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


def refuse_numbers(job: PlanJob) -> None:
    """Refuse numbers that make no sense. Raises :class:`RefusedRun` with every problem found."""
    problems = [
        *find_size_problems(job),
        *(f"plan.{name}: {value} is below 1" for name, value in _least_one(job.plan).items() if value < 1),
        *(f"{role}: none given" for role in ("mentors", "interns") if not getattr(job, role)),
    ]
    for role in ("mentor", "intern", "judge"):
        if getattr(job.plan, role).seconds <= 0:
            problems.append(f"plan.{role}.seconds: must be above 0")
    if problems:
        raise RefusedRun("\n".join(problems))


def _least_one(plan: PlanConfig) -> dict[str, float]:
    counts = {f"nodes.{number}.count": machine.count for number, machine in enumerate(plan.nodes)}
    return {"cases": plan.cases, "sample": plan.sample, "intern.per_replica": plan.intern.per_replica, **counts}


def list_nodes(plan: PlanConfig) -> list[ClusterNode]:
    """The nodes that the plan names, numbered through."""
    sizes = [machine for machine in plan.nodes for _ in range(machine.count)]
    return [
        ClusterNode(f"n{number}", size.gpus, size.cpus, f"n{number}", False, tuple(filter(None, [size.accelerator])))
        for number, size in enumerate(sizes, 1)
    ]


def refuse_what_does_not_fit(job: PlanJob, nodes: Sequence[ClusterNode], on_gpu: bool) -> None:
    """Raises :class:`RefusedRun` with the sum when the nodes cannot hold the least number of replicas."""
    if problems := find_placement_problems(list_needs(list_served(job), on_gpu), nodes):
        raise RefusedRun("; ".join(problems))


def add_replicas(
    wanted: Sequence[ReplicaNeed], nodes: Sequence[ClusterNode], work: Mapping[str, float]
) -> list[ReplicaNeed]:
    """As many replicas as fit, at most each need's limit: the next goes to the model with most work per replica."""
    grown = list(wanted)
    while True:
        # One at a time: a replica that is added changes which model has most work for each of its own.
        order = sorted(range(len(grown)), key=lambda n: -work.get(grown[n].entry, 0.0) / grown[n].replicas)
        for number in order:
            need = grown[number]
            more = [*grown[:number], replace(need, replicas=need.replicas + 1), *grown[number + 1 :]]
            if need.replicas < need.limit and place_replicas(more, nodes) is not None:
                grown = more
                break
        else:
            return grown


def make_plan(
    config: Config, plan: PlanConfig, basis: PlanBasis, nodes: Sequence[ClusterNode], on_gpu: bool
) -> JobPlan:
    """The plan of a job whose models fit on ``nodes``."""
    work = _replica_seconds(basis)
    wanted = add_replicas(list_needs(list_served(config), on_gpu), nodes, work)
    replicas = {need.entry: need.replicas for need in wanted}
    at_work = build_services(config, basis, replicas)
    timeline = _simulate_job(config, plan, basis, at_work, config.window)
    use = _limit_use(at_work, timeline, {need.entry: "GPU" if need.gpus else "CPU" for need in wanted})
    cases = len(timeline.ends)
    # The rest of a job that is longer than the sample goes at the steady pace of the sample's middle.
    left = max(0, plan.cases - cases)
    return JobPlan(
        wanted,
        place_replicas(wanted, nodes) or [],
        timeline.cases_per_hour,
        timeline.seconds / 3600 + left / timeline.cases_per_hour,
        sum(used.sent * basis.calls[name].cost_usd for name, used in timeline.use.items()) / cases * plan.cases,
        sum(used.sent for used in timeline.use.values()) / cases * timeline.cases_per_hour / 3600,
        use,
        _binding_limit(use),
        {
            name: _simulate_job(config, plan, basis, changed, window).cases_per_hour
            for name, changed, window in _list_variants(config, basis, at_work, replicas, work)
        },
    )


def _replica_seconds(basis: PlanBasis) -> dict[str, float]:
    """Seconds of replicas that the recorded searches take of each model."""
    made = count_calls(basis.shapes, JUDGE)
    return {
        name: made.get(name, 0) * (1 - call.spared) * call.mean_s / call.per_replica
        for name, call in basis.calls.items()
    }


def _simulate_job(
    config: Config, plan: PlanConfig, basis: PlanBasis, at_work: Mapping[str, Service], window: int
) -> JobTimeline:
    cases = min(plan.cases, max(plan.sample, WINDOWS * window))
    return simulate(at_work, basis.shapes, JUDGE, cases, window, config.seed)


def _limit_use(at_work: Mapping[str, Service], timeline: JobTimeline, engines: Mapping[str, str]) -> dict[str, float]:
    """How much of each limit was used, over the middle of the job; ``engines`` says what models of ours run on."""
    # The whole simulation has a beginning and an end that are not full: scaled to the pace of its middle.
    scale = timeline.cases_per_hour / 3600 * timeline.seconds / len(timeline.ends)
    found = {}
    for name, service in at_work.items():
        used, limits = timeline.use[name], service.limits
        per_minute = used.sent / timeline.seconds * 60 * scale
        if limits.requests_per_minute:
            found[f"{name}: requests a minute"] = per_minute / (PACE * limits.requests_per_minute)
        if limits.tokens_per_minute:
            found[f"{name}: tokens a minute"] = per_minute * service.tokens / (PACE * limits.tokens_per_minute)
        if limits.max_in_flight:
            share = used.busy_s / timeline.seconds * scale / limits.max_in_flight
            found[f"{name}: {engines.get(name, 'in flight')}"] = share
    return found


def _binding_limit(use: Mapping[str, float]) -> str:
    name, most = max(use.items(), key=lambda pair: pair[1], default=("", 0.0))
    return name if most >= FULL else "window: the latencies of the open searches"


def _list_variants(
    config: Config,
    basis: PlanBasis,
    at_work: Mapping[str, Service],
    replicas: Mapping[str, int],
    work: Mapping[str, float],
) -> list[tuple[str, dict[str, Service], int]]:
    """What could be more: name, services, window."""
    found = []
    if replicas:
        busiest = max(replicas, key=lambda name: work[name] / replicas[name])
        more = build_services(config, basis, {**replicas, busiest: replicas[busiest] + 1})
        found.append((f"one more replica of {busiest}", more, config.window))
    for role, entries in (("mentors' quotas", config.mentors), ("judge's quota", {JUDGE: config.judge})):
        # Replicas of ours have no quota; the line above tells what one more of them brings.
        names = [name for name in entries if name in list_endpoints(config)]
        if any(_has_limit(at_work[name].limits) for name in names):
            double = {name: replace(at_work[name], limits=_double_limits(at_work[name].limits)) for name in names}
            found.append((f"{role} doubled", {**at_work, **double}, config.window))
    found.append(("window doubled", dict(at_work), 2 * config.window))
    return found


def _has_limit(limits: RateLimits) -> bool:
    return bool(limits.requests_per_minute or limits.tokens_per_minute or limits.max_in_flight)


def _double_limits(limits: RateLimits) -> RateLimits:
    pairs = (limits.requests_per_minute, limits.tokens_per_minute)
    requests, tokens = (None if limit is None else 2 * limit for limit in pairs)
    return RateLimits(requests, tokens, None if limits.max_in_flight is None else 2 * limits.max_in_flight)
