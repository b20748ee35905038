"""Every metric of a run in one table, and how a process hands its numbers to Ray for Prometheus to fetch.

A process adds numbers up in plain dictionaries (0.3 us a call) and hands the sums to Ray once a second (7 us each):
recording four metrics at every call would cost more than the rest of its bookkeeping. Ray fetches them from the process
every 10 s and serves them on its nodes' metrics ports, the names with ``ray_`` before them. Values are counts, never
text of a case.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mics_ray.models.types import Reply

log = logging.getLogger(__name__)

PUBLISH_S = 1.0
RAY_PREFIX = "ray_"


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric: its name without Ray's prefix, what it is, what it means, and its tags besides ``run``.

    There is one object of each, below; hashing their fields at every call would triple its cost.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    tags: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def exported(self) -> str:
        """The name that Prometheus sees."""
        return RAY_PREFIX + self.name


CASES = Metric(
    "mics_cases_total", "counter", "Cases with a committed row, by outcome and quality.", ("outcome", "quality")
)
LOST = Metric(
    "mics_lost_total", "counter", "Votes and candidates of committed rows without answer or verdict, by failure kind.",
    ("kind",),
)  # fmt: skip
CALLS = Metric(
    "mics_calls_total", "counter", "Answered calls, by model and result: ok, cached or a failure kind.",
    ("model", "result"),
)  # fmt: skip
RETRIES = Metric("mics_retries_total", "counter", "Attempts at a call after its first one.", ("model",))
TOKENS = Metric(
    "mics_tokens_total", "counter", "Tokens of replies that were not cached: prompt or completion.", ("model", "kind")
)
TOKEN_PARTS = Metric(
    "mics_token_parts_total", "counter",
    "Of their tokens: prompt tokens in a provider's prefix cache, completion tokens that were thoughts.",
    ("model", "kind"),
)  # fmt: skip
COST = Metric("mics_cost_usd_total", "counter", "US dollars of replies that were not cached.", ("model",))
WAITED = Metric(
    "mics_limiter_wait_seconds_total", "counter", "Seconds that calls waited for a permit of their quota.", ("model",)
)
LIMITER_QUEUE = Metric("mics_limiter_queue", "gauge", "Calls that wait for a permit of their quota.", ("model",))
IN_FLIGHT = Metric("mics_calls_in_flight", "gauge", "Calls that a provider is working on.", ("model",))
INTERN_QUEUE = Metric(
    "mics_intern_queue",
    "gauge",
    "Requests asked of a model served here and not answered, over all its replicas.",
    ("model",),
)
REPLICA_REQUESTS = Metric(
    "mics_replica_requests", "gauge", "Requests that one replica of a model works on.", ("model", "replica")
)
PREFIX_TOKENS = Metric(
    "mics_prefix_tokens_total", "counter",
    "Prompt tokens of a model served here: all (seen), those in its prefix cache (hit).",
    ("model", "kind"),
)  # fmt: skip
OPEN = Metric("mics_open_searches", "gauge", "Cases that a worker searches.", ("worker",))
COMMIT_LAG = Metric(
    "mics_commit_lag_seconds", "histogram", "Seconds from the end of a search to its committed shard.",
    bounds=(0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0),
)  # fmt: skip

ALL = (
    CASES, LOST, CALLS, RETRIES, TOKENS, TOKEN_PARTS, COST, WAITED, LIMITER_QUEUE, IN_FLIGHT, INTERN_QUEUE,
    REPLICA_REQUESTS, PREFIX_TOKENS, OPEN, COMMIT_LAG,
)  # fmt: skip

Key = tuple[Metric, tuple[str, ...]]


def run_name(part: str | Path) -> str:
    """The tag ``run`` for a folder inside a run's folder: the run folder's own name."""
    return Path(part).parent.name


class RunMetrics:
    """This process's numbers of one run. Adding is cheap; :meth:`start` has a thread hand the sums to Ray."""

    def __init__(self, run: str, read: Callable[["RunMetrics"], None] | None = None) -> None:
        """``read`` is called before each publication, to set what is looked up rather than counted."""
        self._run, self._read = run, read
        self._totals: dict[Key, float] = {}
        self._levels: dict[Key, float] = {}
        self._published: dict[Key, float] = {}
        self._ray: dict[Metric, Any] = {}
        self._lock = threading.Lock()

    def add_count(self, metric: Metric, value: float, *tags: str) -> None:
        """Count ``value`` more of a counter; ``tags`` in the metric's order."""
        key = (metric, tags)
        self._totals[key] = self._totals.get(key, 0.0) + value

    def count_reply(self, model: str, reply: Reply) -> None:
        """Count an answered call, its tokens and its money; a cached one took none."""
        self.add_count(CALLS, 1, model, "cached" if reply.cached else "ok")
        if not reply.cached:
            self.add_count(TOKENS, reply.prompt_tokens, model, "prompt")
            self.add_count(TOKENS, reply.completion_tokens, model, "completion")
            self.add_count(COST, reply.cost_usd, model)
            for kind, tokens in (("cached", reply.cached_tokens), ("reasoning", reply.reasoning_tokens)):
                if tokens:  # most providers tell none: no series of zeros for each
                    self.add_count(TOKEN_PARTS, tokens, model, kind)

    def set_total(self, metric: Metric, value: float, *tags: str) -> None:
        """Say what a counter that is kept elsewhere has come to."""
        self._totals[metric, tags] = value

    def set_level(self, metric: Metric, value: float, *tags: str) -> None:
        """Set a gauge."""
        self._levels[metric, tags] = value

    def observe_value(self, metric: Metric, value: float, *tags: str) -> None:
        """Put one value into a histogram; it goes to Ray at once (7 us), so not for every call."""
        self._find_instrument(metric).observe(value, self._tag_values(metric, tags))

    def publish(self) -> None:
        """Hand everything to Ray."""
        with self._lock:  # an actor publishes once more at its end, while the thread may be at it
            if self._read is not None:
                self._read(self)
            # A copy: other threads go on counting.
            for (metric, tags), total in list(self._totals.items()):
                if (more := total - self._published.get((metric, tags), 0.0)) > 0:
                    self._find_instrument(metric).inc(more, self._tag_values(metric, tags))
                    self._published[metric, tags] = total
            for (metric, tags), value in list(self._levels.items()):
                self._find_instrument(metric).set(value, self._tag_values(metric, tags))

    def start(self) -> "RunMetrics":
        """Publish every second for as long as the process lives."""
        # A daemon: the last second of counts is not worth a process that does not end.
        threading.Thread(target=self._publish_forever, name="metrics", daemon=True).start()
        return self

    def _publish_forever(self) -> None:
        warned = False
        while True:
            time.sleep(PUBLISH_S)
            try:
                self.publish()
            except Exception as error:  # watching must never end what is watched
                if not warned:
                    log.warning("metrics could not be published (%s)", type(error).__name__)
                warned = True

    def _tag_values(self, metric: Metric, tags: tuple[str, ...]) -> dict[str, str]:
        return {"run": self._run, **dict(zip(metric.tags, tags, strict=True))}

    def _find_instrument(self, metric: Metric) -> Any:
        """Ray's object for a metric, made when its first number comes."""
        if metric not in self._ray:
            from ray.util import metrics  # here: a process that never publishes need not load it

            keys = ("run", *metric.tags)
            if metric.kind == "counter":
                self._ray[metric] = metrics.Counter(metric.name, metric.help, keys)
            elif metric.kind == "gauge":
                self._ray[metric] = metrics.Gauge(metric.name, metric.help, keys)
            else:
                self._ray[metric] = metrics.Histogram(metric.name, metric.help, list(metric.bounds), keys)
        return self._ray[metric]
