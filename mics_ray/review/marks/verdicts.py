"""What all reviewers together say of a chain, for whoever trains on it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mics_ray.review.marks.book import MarkBook
from mics_ray.review.marks.chain import list_targets
from mics_ray.review.marks.mark import Target
from mics_ray.review.marks.reviewers import find_file, list_reviewers
from mics_ray.review.marks.store import read_marks


@dataclass(frozen=True, slots=True)
class StepVerdicts:
    """How many reviewers said what of a step."""

    right: int
    wrong: int
    unsure: int

    @property
    def label(self) -> bool | None:
        """Right or wrong by most of those who said either; ``None`` where nobody did, or as many."""
        return None if self.right == self.wrong else self.right > self.wrong


@dataclass(frozen=True, slots=True)
class ChainVerdicts:
    """What reviewers said of a chain and its steps, in their order."""

    steps: tuple[StepVerdicts, ...]
    accepted: int
    rejected: int

    @property
    def is_accepted(self) -> bool:
        """Whether somebody accepted the chain and nobody rejected it."""
        return self.accepted > 0 and not self.rejected

    @property
    def is_rejected(self) -> bool:
        """Whether somebody rejected the chain and nobody accepted it."""
        return self.rejected > 0 and not self.accepted


@dataclass(frozen=True, slots=True)
class RunReviews:
    """The marks of all reviewers of a run."""

    books: Sequence[MarkBook] = ()

    def sum_chain(self, row: Mapping[str, Any]) -> ChainVerdicts | None:
        """The verdicts on a row's kept chain; ``None`` where nobody has marked anything of it. Marks of another chain
        of the same case say nothing of this one."""
        if not self.books:
            return None
        *steps, whole = list_targets(row)
        said = [self._count_verdicts(target) for target in steps]
        chain = self._count_verdicts(whole)
        if not chain and not any(said):
            return None
        counts = tuple(StepVerdicts(one["right"], one["wrong"], one["unsure"]) for one in said)
        return ChainVerdicts(counts, chain["accept"], chain["reject"])

    def _count_verdicts(self, target: Target) -> Counter[str]:
        marks = (book.current.get(target) for book in self.books)
        return Counter(mark.verdict for mark in marks if mark is not None and mark.verdict is not None)


NO_REVIEWS = RunReviews()


def read_reviews(run: Path) -> RunReviews:
    """The reviews of a run folder. Raises :class:`~mics_ray.errors.RefusedRun` for a damaged file, ``OSError``."""
    return RunReviews([read_marks(find_file(run, name)).book for name in list_reviewers(run)])
