"""The run that is looked at beside another: its cases for the page, and what pairs need of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mics_ray.io.index.ids import hash_id
from mics_ray.review.data.chunks import CaseChunks
from mics_ray.review.data.pairs import OtherCase, PairTally, note_case
from mics_ray.review.run_source import RunSource

Row = Mapping[str, Any]


@dataclass(slots=True)
class OtherRun:
    """The other run: its cases by the hash of their ids, and the pairs so far."""

    source: RunSource
    chunks: CaseChunks
    cases: dict[int, OtherCase] = field(default_factory=dict)
    pairs: PairTally = field(default_factory=PairTally)

    def read_cases(self) -> None:
        """Write its cases for the page, and note what pairs need."""
        for number, row in enumerate(self.source.iter_rows()):
            self.cases[hash_id(row["case_id"])] = note_case(row, number)
            self.chunks.add_row(row)
        self.chunks.close()

    def pair_row(self, row: Row) -> dict[str, Any]:
        """Count a row of this run beside its case there; what the list tells of that one."""
        other = self.cases.get(hash_id(row["case_id"]))
        if not self.pairs.add_row(row, other) or other is None:
            return {"other_number": None, "other_outcome": None, "other_score": None}
        score = None if other.score is None else round(other.score, 4)
        return {"other_number": other.number, "other_outcome": other.outcome, "other_score": score}
