"""A run's committed rows held against its input: damaged shards, ids twice, unasked for, or without a row."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mics_ray.io.index.ids import IdSet
from mics_ray.io.input_files import CasesGiven
from mics_ray.io.scan import find_raw_id, read_raw_part, scan_cases
from mics_ray.io.shards.kind import CASES, RowKind, ShardError
from mics_ray.io.shards.reading import list_shards, read_keys

EXAMPLES = 10
"""Ids of each kind that are kept as examples."""


@dataclass(slots=True)
class IdExamples:
    """How many ids, and the first of them."""

    count: int
    examples: list[str]

    def count_id(self, case_id: str) -> None:
        """Count one."""
        self.count += 1
        if self.count <= EXAMPLES:
            self.examples.append(case_id)


@dataclass(frozen=True, slots=True)
class ResultsCheck:
    """What was found: rows per readable shard, problem per damaged one, and ids that are not there exactly once."""

    rows: dict[Path, int]
    damaged: dict[Path, str]
    twice: IdExamples
    unasked: IdExamples
    missing: IdExamples

    @property
    def sound(self) -> bool:
        """Whether each input case has exactly one row."""
        return not (self.damaged or self.twice.count or self.unasked.count or self.missing.count)


def check_results(results: Path, cases: CasesGiven, kind: RowKind = CASES) -> ResultsCheck:
    """Read the input, then every column of every shard of ``results``. Raises :class:`mics_ray.io.cases.InputError`."""
    asked = IdSet()
    for case_id in read_input_ids(cases):
        asked.add(case_id)
    rows: dict[Path, int] = {}
    damaged: dict[Path, str] = {}
    twice, unasked, missing, seen = IdExamples(0, []), IdExamples(0, []), IdExamples(0, []), IdSet()
    for path in list_shards(results):
        try:
            found = list(read_keys(path, kind))
        except ShardError as error:
            damaged[path] = error.problem
            continue
        rows[path] = len(found)
        for case_id in found:
            if not seen.add(case_id):
                twice.count_id(case_id)
            elif case_id not in asked:
                unasked.count_id(case_id)
    # Only what is missing has to be named.
    if not seen.has_hashes(asked.sort_hashes()).all():
        for case_id in read_input_ids(cases):
            if case_id not in seen:
                missing.count_id(case_id)
    return ResultsCheck(rows, damaged, twice, unasked, missing)


def read_input_ids(cases: CasesGiven) -> Iterator[str]:
    """The ids of all records, rejected ones too. Raises :class:`mics_ray.io.cases.InputError`."""
    seen = IdSet()
    for place, raw in (placed for part in scan_cases(cases).parts for placed in read_raw_part(part)):
        case_id = find_raw_id(raw, place)
        yield case_id if seen.add(case_id) else place.own_id


def set_shard_aside(path: Path) -> Path:
    """Rename a damaged shard so that its cases count as not done; its number is not used again."""
    return path.rename(path.with_name(f"{path.name}.damaged"))
