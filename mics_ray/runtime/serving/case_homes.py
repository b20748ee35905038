"""A case's replica: its home, where pictures and question are cached, as long as the load is even. Pure."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

SLACK = 16
"""Requests that a case's home may have in flight beyond the mean before the case moves."""
ROOM = 4
"""Requests that a replica may have in flight beyond the mean to be given further cases."""
UNEVEN = 12
"""Requests that a case's home may have been given beyond the replica that was given least, before the case moves.

Two rounds of one intern: what moves is read once more, so it must not be for every round.
"""
KEPT_HOMES = 4096
"""Cases whose homes are kept, the latest: many times what is open at a time."""


@dataclass(frozen=True, slots=True)
class ReplicaLoad:
    """One live replica: its number among all replicas, and the requests it has in flight."""

    number: int
    in_flight: int


class CaseHomes:
    """Keeps each case on one replica and counts what each replica is given, so that all are given about as much."""

    def __init__(self) -> None:
        self._homes: OrderedDict[str, int] = OrderedDict()
        self._given: dict[int, int] = {}

    def choose_replica(self, case_id: str, live: Sequence[ReplicaLoad], requests: int = 1) -> int:
        """The number of the replica, of at least one, for so many requests of a case; counted as given to it."""
        mean = sum(load.in_flight for load in live) / len(live)
        best = self._find_best(case_id, [load.number for load in live if load.in_flight <= mean + ROOM])
        home = self._homes.pop(case_id, best)
        able = any(load.number == home and load.in_flight <= mean + SLACK for load in live)
        if not able or self._given[home] - self._given[best] > UNEVEN:
            home = best
        self._homes[case_id] = home
        self._given[home] += requests
        if len(self._homes) > KEPT_HOMES:
            self._homes.popitem(last=False)
        return home

    def _find_best(self, case_id: str, free: Sequence[int]) -> int:
        """Which of the replicas that have room was given least."""
        known = [self._given[number] for number in free if number in self._given]
        least = min(known, default=max(self._given.values(), default=0))
        for number in free:
            self._given.setdefault(number, least)
        # One that is away or slower than the others need not catch up on what they were given meanwhile.
        for number in self._given.keys() - free:
            self._given[number] = max(self._given[number], least)
        # Of equals by a weight that is the same in every process and spreads the cases.
        return min(free, key=lambda number: (self._given[number], _hash_weight(case_id, number)))


def _hash_weight(case_id: str, number: int) -> bytes:
    return hashlib.blake2b(f"{number}:{case_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
