"""How long calls take as a worker sees them, counted in buckets, so that a later job can be planned from them."""

import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mics_ray.jobs.run_folder import RunFolder
from mics_ray.models.types import Model, Pictures, Reply, Request

LATENCIES = "latencies.json"
"""The file in a run's folder: counts by model and bucket, of the last session."""
STEP = 1.05
"""A bucket's upper bound over its lower one."""

Buckets = Mapping[int, int]


def find_bucket(seconds: float) -> int:
    """The bucket of a duration."""
    return round(math.log(max(seconds, 1e-4), STEP))  # a clock may say 0, which has no logarithm


def bucket_seconds(number: int) -> float:
    """The duration, in seconds, that a bucket stands for."""
    return float(STEP**number)


@dataclass(frozen=True, slots=True)
class TimedModel:
    """A :class:`~mics_ray.models.types.Model` whose calls are timed, waiting for permits included, cached ones not."""

    model: Model
    buckets: Counter[int]

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """See the protocol."""
        asked = time.monotonic()
        reply = await self.model.complete(request, pictures)
        if not reply.cached:  # a later job pays for its calls, so a plan needs the time of those that were made
            self.buckets[find_bucket(time.monotonic() - asked)] += 1
        return reply


def merge_buckets(parts: Iterable[Mapping[str, Buckets]]) -> dict[str, dict[int, int]]:
    """The counts of several workers, by model."""
    total: dict[str, Counter[int]] = {}
    for part in parts:
        for name, buckets in part.items():
            total.setdefault(name, Counter()).update(buckets)
    return {name: dict(sorted(buckets.items())) for name, buckets in sorted(total.items())}


def note_latencies(
    folder: RunFolder,
    search_seconds: float,
    replicas: Mapping[str, int],
    waited_s: Mapping[str, float],
    parts: Iterable[Mapping[str, Buckets]],
) -> None:
    """Write :data:`LATENCIES` from the counts of each worker, where any has some. Raises :class:`OSError`.

    ``replicas`` and ``waited_s``, seconds that calls waited for a permit, are by entry.
    """
    if latencies := merge_buckets(parts):
        noted = {"search_seconds": search_seconds, "replicas": replicas, "latencies": latencies, "waited_s": waited_s}
        folder.write_file(LATENCIES, json.dumps(noted))
