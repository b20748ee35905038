"""Which kept chains a reviewer is given, and in which order: a seeded sample, or those whose votes are split first.

The same run, seed and size give the same chains to every reviewer, so that their marks can be compared.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mics_ray.review.data.case_data import find_score
from mics_ray.review.data.tally import find_bin
from mics_ray.review.marks.chain import has_chain, list_chosen


class Order(StrEnum):
    """How chains are chosen and ordered."""

    SAMPLE = "sample"
    UNCERTAINTY = "uncertainty"


CANDIDATE_COLUMNS = (
    "case_id", "outcome", "steps", "attempts", "nodes.attempt", "nodes.chosen", "nodes.score",
)  # fmt: skip
"""What :func:`choose_chains` looks at, paths of fields for parts of a column."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kept chain that may be reviewed. ``stratum`` is its outcome and the bin of its score; ``split`` from 0 (votes
    agree) to 1 (as many right as wrong), of the step where votes are split most."""

    case_id: str
    stratum: tuple[str, str]
    split: float


def describe_candidate(row: Mapping[str, Any]) -> Candidate:
    """The candidate of a row with a kept chain."""
    score = find_score(row)
    scores = [node["score"] for node in list_chosen(row) if node["score"] is not None]
    split = max((1 - abs(2 * one - 1) for one in scores), default=0.0)
    return Candidate(row["case_id"], (row["outcome"], "none" if score is None else find_bin(score)), split)


def choose_chains(rows: Iterable[Mapping[str, Any]], order: Order, size: int, seed: int) -> list[str]:
    """The ids of at most ``size`` cases whose chains are reviewed, in their order; rows have :data:`CANDIDATE_COLUMNS`
    at least."""
    found = [describe_candidate(row) for row in rows if has_chain(row)]
    if order is Order.UNCERTAINTY:
        found.sort(key=lambda one: (-one.split, _draw_place(seed, one.case_id)))
        return [one.case_id for one in found[:size]]
    return draw_sample(found, size, seed)


def draw_sample(found: Sequence[Candidate], size: int, seed: int) -> list[str]:
    """A sample that holds of each stratum the share that it has among all, drawn by a digest of seed and id.

    Its order is drawn likewise: whoever stops early has marked a sample too.
    """
    strata: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in found:
        strata[one.stratum].append(one.case_id)
    shares = share_places({stratum: len(ids) for stratum, ids in strata.items()}, size)
    chosen = [
        case_id
        for stratum, ids in strata.items()
        for case_id in sorted(ids, key=lambda name: _draw_place(seed, name))[: shares[stratum]]
    ]
    return sorted(chosen, key=lambda name: _draw_place(seed, name))


def share_places(counts: Mapping[tuple[str, str], int], size: int) -> Counter[tuple[str, str]]:
    """Places of each stratum, in proportion, whole ones nearest to it; a stratum has a place before one has two.

    Rare strata are where a score and a person may differ, and a share rounded to nothing would show none of them.
    """
    total = sum(counts.values())
    size = min(size, total)
    places = Counter(dict.fromkeys(counts, 0))
    # The largest first where there are more strata than places; names decide between equals.
    for name in sorted(counts, key=lambda name: (-counts[name], name))[:size]:
        places[name] = 1
    while places.total() < size:
        # The one that is furthest below its share, of those that have chains left.
        left = [name for name in counts if places[name] < counts[name]]
        places[max(left, key=lambda name: (size * counts[name] / total - places[name], counts[name], name))] += 1
    return places


def _draw_place(seed: int, case_id: str) -> bytes:
    return hashlib.sha256(f"{seed} {case_id}".encode()).digest()
