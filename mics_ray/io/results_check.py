"""A run's committed rows held against its input: damaged shards, ids twice, unasked for, or without a row."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mics_ray.io.cases import read_span, scan
from mics_ray.io.shards import CASES, IdSet, RowKind, ShardError, read_shard, shards

EXAMPLES = 10
"""Ids of each kind that are kept as examples."""


@dataclass(slots=True)
class Ids:
    """How many ids, and the first of them."""

    count: int
    examples: list[str]

    def note(self, case_id: str) -> None:
        """Count one."""
        self.count += 1
        if self.count <= EXAMPLES:
            self.examples.append(case_id)


@dataclass(frozen=True, slots=True)
class Check:
    """What was found: rows per readable shard, problem per damaged one, and ids that are not there exactly once."""

    rows: dict[Path, int]
    damaged: dict[Path, str]
    twice: Ids
    unasked: Ids
    missing: Ids

    @property
    def sound(self) -> bool:
        """Whether each input case has exactly one row."""
        return not (self.damaged or self.twice.count or self.unasked.count or self.missing.count)


def check_results(results: Path, cases: Path, kind: RowKind = CASES) -> Check:
    """Read every column of every shard of ``results``, then the input. Raises :class:`mics_ray.io.cases.InputError`."""
    asked = IdSet()
    for case_id in input_ids(cases):
        asked.add(case_id)
    rows: dict[Path, int] = {}
    damaged: dict[Path, str] = {}
    twice, unasked, missing, seen = Ids(0, []), Ids(0, []), Ids(0, []), IdSet()
    for path in shards(results):
        try:
            found = [row[kind.key] for row in read_shard(path, kind.schema.names, kind)]
        except ShardError as error:
            damaged[path] = error.problem
            continue
        rows[path] = len(found)
        for case_id in found:
            if not seen.add(case_id):
                twice.note(case_id)
            elif case_id not in asked:
                unasked.note(case_id)
    for case_id in input_ids(cases):
        if case_id not in seen:
            missing.note(case_id)
    return Check(rows, damaged, twice, unasked, missing)


def input_ids(cases: Path) -> Iterator[str]:
    """The ids of all records, rejected ones too. Raises :class:`mics_ray.io.cases.InputError`."""
    for span in scan(str(cases)).spans:
        for found in read_span(span):
            yield found.id


def set_aside(path: Path) -> Path:
    """Rename a damaged shard so that its cases count as not done; its number is not used again."""
    return path.rename(path.with_name(f"{path.name}.damaged"))
