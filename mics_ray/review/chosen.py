"""The rows whose chains a reviewer is given, in the order of the review."""

import json
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mics_ray.errors import RefusedRun
from mics_ray.review.marks.chain import has_chain
from mics_ray.review.marks.sample import CANDIDATE_COLUMNS, Order, choose_chains
from mics_ray.review.run_source import RunSource


@dataclass(frozen=True, slots=True)
class Choice:
    """Which chains: the order, how many at most, the seed of the draw."""

    order: Order
    size: int
    seed: int


@dataclass(frozen=True, slots=True)
class ChosenRows:
    """Rows by their case ids in ``order``, packed: a run holds them in another one."""

    order: Sequence[str]
    packed: dict[str, bytes]

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        """The rows, one in memory at a time."""
        return (json.loads(zlib.decompress(self.packed[case_id])) for case_id in self.order)


def choose_rows(run: RunSource, choice: Choice, marked: Collection[str]) -> ChosenRows:
    """The rows of a choice and, behind them, those of ``marked`` cases, which somebody has marked already.

    Raises :class:`RefusedRun` where the run keeps no chain.
    """
    chosen = choose_chains(run.iter_rows(CANDIDATE_COLUMNS), choice.order, choice.size, choice.seed)
    wanted = {*chosen, *marked}
    packed = {
        row["case_id"]: zlib.compress(json.dumps(row).encode(), 1)
        for row in run.iter_rows()
        if row["case_id"] in wanted and has_chain(row)
    }
    order = [case_id for case_id in dict.fromkeys([*chosen, *sorted(marked)]) if case_id in packed]
    if not order:
        raise RefusedRun(f"run.dir: {run.folder} keeps no chain; there is nothing to review")
    return ChosenRows(order, packed)
