"""What a finished run tells about calls: how long they take, their tokens and price, how many are answered twice."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mics_ray.assemble.locations import JUDGE, list_endpoints
from mics_ray.config.schema import Config, Price
from mics_ray.core.types import Usage
from mics_ray.errors import RefusedRun
from mics_ray.io.rows import add_usage
from mics_ray.io.shards.kind import ShardError
from mics_ray.io.shards.reading import iter_rows
from mics_ray.models.chat.rate_limiter import RateLimits
from mics_ray.models.replies.pricing import cost_usd
from mics_ray.plan.config import AssumedCall, PlanConfig
from mics_ray.plan.shape import Shape, assume_shapes, count_calls, read_shapes
from mics_ray.plan.simulate import Service
from mics_ray.runtime.monitor.latency import LATENCIES, bucket_seconds

QUANTILES = 400
"""Latencies that stand for a recorded distribution."""


@dataclass(frozen=True, slots=True)
class CallProfile:
    """One model's calls: latencies in seconds, tokens, US dollars each, and how many a replica works on at a time."""

    seconds: tuple[float, ...]
    tokens: float
    cost_usd: float
    per_replica: float
    cached: float = 0.0
    again: float = 0.0
    spared: float = 0.0

    @property
    def mean_s(self) -> float:
        """The mean latency."""
        return sum(self.seconds) / len(self.seconds)


@dataclass(frozen=True, slots=True)
class PlanBasis:
    """What a plan is reckoned from."""

    shapes: list[Shape]
    calls: Mapping[str, CallProfile]


def load_basis(config: Config, plan: PlanConfig) -> PlanBasis:
    """From the run that ``plan.run`` names, else assumed. Raises :class:`RefusedRun`."""
    if plan.run is None:
        return PlanBasis(
            assume_shapes(config, plan.sample, config.seed),
            {name: _assume_profile(config, plan, name) for name in _model_names(config)},
        )
    folder = Path(plan.run)
    try:
        rows = list(iter_rows(folder / "results", ["nodes", "usage"]))
        noted = json.loads((folder / LATENCIES).read_text())
    except (OSError, ValueError, ShardError) as error:
        raise RefusedRun(
            f"plan.run: {folder} holds no finished run with {LATENCIES} ({type(error).__name__})"
        ) from None
    shapes = read_shapes(rows)
    # Both ways: a model that the run did not have has no latency, one that is not asked any more no place in the plan.
    strangers = sorted(set(count_calls(shapes, JUDGE)) ^ set(_model_names(config)))
    if strangers:
        raise RefusedRun(f"plan.run: {folder} was searched by other models; the names differ in {', '.join(strangers)}")
    return PlanBasis(shapes, _measure_calls(config, rows, shapes, noted))


def _model_names(config: Config) -> list[str]:
    return [*config.mentors, *config.interns, JUDGE]


def _assume_profile(config: Config, plan: PlanConfig, name: str) -> CallProfile:
    call: AssumedCall = plan.judge if name == JUDGE else plan.mentor if name in config.mentors else plan.intern
    price = _model_price(config, name)
    cost = cost_usd(price, call.prompt_tokens, call.completion_tokens)
    # From half to one and a half of the given mean: a single value would let the calls go in step.
    spread = tuple(call.seconds * (0.5 + number / 20) for number in range(21))
    return CallProfile(spread, call.prompt_tokens + call.completion_tokens, cost, call.per_replica)


def _model_price(config: Config, name: str) -> Price:
    entry = list_endpoints(config).get(name)
    return entry.price if entry else Price()


def _measure_calls(
    config: Config, rows: Sequence[Mapping[str, Any]], shapes: Sequence[Shape], noted: Mapping[str, Any]
) -> dict[str, CallProfile]:
    """Every model's calls as the run made them."""
    usage: dict[str, Usage] = {}
    for row in rows:
        add_usage(usage, row)
    structural = count_calls(shapes, JUDGE)
    found = {}
    for name in _model_names(config):
        buckets = {int(number): count for number, count in noted["latencies"].get(name, {}).items()}
        if not buckets or name not in usage:
            raise RefusedRun(f"plan.run: no call of {name} was timed; its replies all came from the cache")
        found[name] = _measure_model(usage[name], structural[name], buckets, noted, name)
    return found


def _measure_model(
    used: Usage, structural: int, buckets: Mapping[int, int], noted: Mapping[str, Any], name: str
) -> CallProfile:
    # Cached replies took no time and cost nothing: what remains was sent.
    sent = max(1, used.calls - used.cached_calls)
    open_calls = sum(bucket_seconds(number) * count for number, count in buckets.items()) / max(
        noted["search_seconds"], 1e-9
    )
    return CallProfile(
        _spread_quantiles(buckets),
        (used.prompt_tokens + used.completion_tokens) / used.calls,
        used.cost_usd / sent,
        max(1.0, open_calls / noted["replicas"].get(name, 1)),
        used.cached_calls / used.calls,
        max(0.0, min(1.0, used.calls / structural - 1)),
        # Of a judge: answers that were matched, or had a verdict.
        max(0.0, 1 - used.calls / structural),
    )


def _spread_quantiles(buckets: Mapping[int, int]) -> tuple[float, ...]:
    """Evenly spaced quantiles of what the buckets hold."""
    numbers, total = sorted(buckets), sum(buckets.values())
    ends, upto = [], 0
    for number in numbers:
        upto += buckets[number]
        ends.append(upto)
    found, place = [], 0
    for step in range(QUANTILES):
        while ends[place] < (step + 0.5) / QUANTILES * total:
            place += 1
        found.append(bucket_seconds(numbers[place]))
    return tuple(found)


def build_services(config: Config, basis: PlanBasis, replicas: Mapping[str, int]) -> dict[str, Service]:
    """Every model as a service: an API with its limits, ``replicas`` with the calls that they work on at a time."""
    found = {}
    for name, call in basis.calls.items():
        entry = list_endpoints(config).get(name)
        if entry is None:
            # A model that we serve has no quota; its replicas take so many calls at a time.
            limits = RateLimits(max_in_flight=math.ceil(replicas[name] * call.per_replica))
        else:
            limits = RateLimits(entry.requests_per_minute, entry.tokens_per_minute, entry.max_in_flight)
        found[name] = Service(limits, call.seconds, call.tokens, call.cached, call.again, call.spared)
    return found
