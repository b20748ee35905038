"""What a run has committed, as a replay needs it: the canonical result of each case, and the calls that it lost."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mics_ray.io.shards.reading import iter_rows
from mics_ray.replay.lost_calls import LostCalls, find_lost_calls

NOT_CANONICAL = {
    "usage", "seconds", "config_digest", "code_version", "schema_version", "leaks", "context_names_answer",
    "unasked",
}  # fmt: skip
"""Columns, and fields of nodes, that say how a row was made and at what cost, or that follow from the others."""
EXAMPLES = 10
"""Ids that are named where cases differ."""


@dataclass(frozen=True, slots=True)
class CommittedRun:
    """The rows of a run: digest and outcome by case id, and lost calls by the ids of the cases that have any."""

    digests: dict[str, bytes] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    lost: dict[str, LostCalls] = field(default_factory=dict)


@dataclass(slots=True)
class Comparison:
    """Replayed rows beside the run's: how many are the same, which differ, which the run has not.

    ``before`` and ``after`` count the outcomes of the cases that both have.
    """

    same: int = 0
    differing: int = 0
    examples: list[str] = field(default_factory=list)
    added: int = 0
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)


def digest_row(row: Mapping[str, Any]) -> bytes:
    """A digest of what a case's search found."""
    kept = _drop_run_columns(row) | {"nodes": [_drop_run_columns(node) for node in row["nodes"]]}
    # Digests, not rows, are held: a run's rows do not fit into memory, 16 bytes a case do.
    return hashlib.blake2b(json.dumps(kept, sort_keys=True).encode(), digest_size=16).digest()


def _drop_run_columns(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if name not in NOT_CANONICAL}


def read_committed(results: Path) -> CommittedRun:
    """Read a run's rows. Raises :class:`mics_ray.io.shards.kind.ShardError`."""
    found = CommittedRun()
    for row in iter_rows(results):
        case = row["case_id"]
        found.digests[case], found.outcomes[case] = digest_row(row), row["outcome"]
        if lost := find_lost_calls(row):
            found.lost[case] = lost
    return found


def compare_rows(results: Path, run: CommittedRun) -> Comparison:
    """Hold the rows of a replay against the run's. Raises :class:`mics_ray.io.shards.kind.ShardError`."""
    told = Comparison()
    for row in iter_rows(results):
        case = row["case_id"]
        # The run may have ended before this case; that is no difference.
        if case not in run.digests:
            told.added += 1
            continue
        told.before[run.outcomes[case]] += 1
        told.after[row["outcome"]] += 1
        if digest_row(row) == run.digests[case]:
            told.same += 1
            continue
        told.differing += 1
        if told.differing <= EXAMPLES:
            told.examples.append(case)
    return told
