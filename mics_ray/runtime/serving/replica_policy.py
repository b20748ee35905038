"""How many replicas an entry should have, from the depth of its queue. Pure: time is an argument, in seconds.

Depth is the requests asked and not answered, over the replicas. More than ``HIGH`` of it for ``UP_S`` brings as many
replicas as leave at most ``GOAL`` to each; less than ``LOW`` on one replica fewer, for ``DOWN_S``, takes one away. As
``LOW <= GOAL < HIGH``, a constant load never turns the direction: after more, one fewer would be deeper than ``LOW``;
after fewer, each has less than ``LOW``.
"""

import math
from dataclasses import dataclass

from mics_ray.config.schema import Replicas

LEAST_PER_WORKER = 8
"""Open searches below which a further worker process is not worth its start."""


def worker_count(cpus: float, window: int) -> int:
    """Search workers for a cluster: one per two cores, at most 8, each with enough open searches to be worth it."""
    return max(1, min(8, int(cpus) // 2, window // LEAST_PER_WORKER))


@dataclass(frozen=True, slots=True)
class QueueDepths:
    """Requests per replica, and seconds: what is too deep, what is aimed at, what is too shallow, and for how long."""

    high: float = 64.0
    goal: float = 48.0
    low: float = 32.0
    up_s: float = 5.0
    down_s: float = 60.0
    cool_s: float = 30.0  # after a change, until the next


class ReplicaPolicy:
    """One entry's policy. ``target`` is to be called every second or so."""

    def __init__(self, within: Replicas, depths: QueueDepths | None = None) -> None:
        self._within, self._depths = within, depths or QueueDepths()
        self._deep_since: float | None = None
        self._shallow_since: float | None = None
        self._changed: float | None = None

    def choose_count(self, now: float, replicas: int, queued: int) -> int:
        """How many replicas there should be, those that are starting included in ``replicas``."""
        depths, within = self._depths, self._within
        self._deep_since = _holds_since(self._deep_since, now, queued > depths.high * replicas)
        # Over one replica fewer: what is shallow for all of them may be too deep for those that would be left.
        shallow = queued < depths.low * (replicas - 1)
        self._shallow_since = _holds_since(self._shallow_since, now, shallow)
        # A replica that was just added has not shortened the queue yet.
        if self._changed is not None and now - self._changed < depths.cool_s:
            return _clip_count(replicas, within)
        wanted = replicas
        if self._deep_since is not None and now - self._deep_since >= depths.up_s:
            wanted = math.ceil(queued / depths.goal)  # at once: engines load for a minute, side by side
        elif self._shallow_since is not None and now - self._shallow_since >= depths.down_s:
            wanted = replicas - 1  # one by one: a loaded engine is dear, an idle one only takes room
        return _clip_count(wanted, within)

    def note_change(self, now: float) -> None:
        """The number of replicas was changed: wait for its effect."""
        self._changed = now
        self._deep_since = self._shallow_since = None


def _holds_since(began: float | None, now: float, holds: bool) -> float | None:
    """Since when a condition holds without a break."""
    if not holds:
        return None
    return now if began is None else began


def _clip_count(wanted: int, within: Replicas) -> int:
    return max(within.min, min(within.max, wanted))
