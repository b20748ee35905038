"""Whose samples belong together, and which of them validate: functions of ids, pictures and the seed alone."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

Stratum = tuple[str, int]
"""Outcome and rounds of a sample."""


def find_leaders(count: int, pairs: Iterable[tuple[int, int]]) -> "array[int]":
    """For each of the numbers below ``count`` the lowest of those that ``pairs`` join it with, itself included."""
    leaders = array("q", range(count))

    def find_leader(number: int) -> int:
        while leaders[number] != number:
            leaders[number] = leaders[leaders[number]]
            number = leaders[number]
        return number

    for pair in pairs:
        low, high = sorted(map(find_leader, pair))
        leaders[high] = low
    for number in range(count):
        leaders[number] = find_leader(number)
    return leaders


def draw_place(seed: int, patient: str) -> bytes:
    """Where a patient stands in the draw. A digest: patients keep their order when cases are added."""
    return hashlib.sha256(f"{seed} {patient}".encode()).digest()


def choose_validation(
    patients: Iterable[tuple[str, Counter[Stratum]]], strata: Mapping[Stratum, int], share: float
) -> Iterator[str]:
    """The patients, of those in the order of the draw, all of whose samples validate.

    About ``share`` of the samples of all ``strata`` do, and about that of each stratum.
    """
    wanted = {kind: share * count for kind, count in strata.items()}
    total = round(share * sum(strata.values()))
    for patient, counts in patients:
        after = {kind: wanted[kind] - count for kind, count in counts.items()}
        left = total - counts.total()
        gain = abs(total) - abs(left) + sum(abs(wanted[kind]) - abs(after[kind]) for kind in counts)
        if gain > 0:
            yield patient
            wanted |= after
            total = left
