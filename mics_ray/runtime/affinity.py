"""Which replica a case goes to: always the same one, for its prefix cache, unless that is overloaded. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

SLACK = 16
"""Requests that a replica may have in flight beyond twice the mean before its cases spill over."""


@dataclass(frozen=True, slots=True)
class Load:
    """One live replica: its number among all replicas, and the requests it has in flight."""

    number: int
    in_flight: int


def choose(case_id: str, live: Sequence[Load]) -> int:
    """The replica for a case, of at least one: always the same (rendezvous hashing) unless that one is overloaded."""
    ranked = sorted(live, key=lambda load: _weight(case_id, load.number), reverse=True)
    mean = sum(load.in_flight for load in live) / len(live)
    if ranked[0].in_flight <= 2 * mean + SLACK:
        return ranked[0].number
    return min(ranked, key=lambda load: load.in_flight).number


def _weight(case_id: str, number: int) -> bytes:
    return hashlib.blake2b(f"{number}:{case_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
