"""Answered items on their way to the disk: scored while they wait, counted when they are committed."""

from collections import Counter
from collections.abc import Callable, Sequence

from eval.types import Kind
from mics_ray.io.shards.store import ShardStore
from mics_ray.jobs.row_writer import DEFAULT_POLICY, CommitPolicy, Row, RowWriter

Score = Callable[[Sequence[str], Sequence[str]], list[float]]
"""BERTScore: the F1 of each candidate against its reference."""


class AnswerWriter:
    """``rows`` commits; ``verdicts`` counts what is committed."""

    def __init__(self, store: ShardStore, score: Score | None, policy: CommitPolicy = DEFAULT_POLICY) -> None:
        self.verdicts: Counter[str] = Counter()
        self._score = score
        complete = None if score is None else self._score_open_answers
        self.rows = RowWriter(store, policy, complete, self._count_verdicts)

    def _score_open_answers(self, batch: Sequence[Row]) -> None:
        """A batch at once: the model that scores is quicker so."""
        assert self._score is not None
        # Closed answers are right or wrong; how near their words are says nothing.
        rows = [row for row in batch if row["kind"] == Kind.OPEN and row["output"]]
        found = self._score([row["parsed"] for row in rows], [row["gold"] for row in rows])
        for row, value in zip(rows, found, strict=True):
            row["bert_score"] = value

    def _count_verdicts(self, batch: Sequence[Row]) -> None:
        self.verdicts.update(row["lenient"] for row in batch)
