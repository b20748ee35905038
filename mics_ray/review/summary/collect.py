"""The marks of all reviewers beside what the run says of the same steps and chains."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mics_ray.core.display import make_one_line
from mics_ray.core.types import Verdict
from mics_ray.review.data.case_data import find_score
from mics_ray.review.marks.book import MarkBook
from mics_ray.review.marks.chain import ChainStep, has_chain, list_steps, list_targets
from mics_ray.review.marks.mark import ReviewMark, Target
from mics_ray.review.marks.reviewers import find_file, list_reviewers
from mics_ray.review.marks.store import read_marks

CLOSING = "closing"
"""In place of a round: steps that the last mentor wrote after the last candidate, which no intern was scored on."""


@dataclass(frozen=True, slots=True)
class JudgedStep:
    """One reviewer's verdict on one step. ``item`` names the step; ``score`` and ``judged`` are the candidate's: its
    MICS-Score, and whether most of its known votes were right for the judge (``None``: as many, or none)."""

    reviewer: str
    item: str
    verdict: str
    mentor: str
    round: str
    score: float | None
    judged: bool | None
    pictures: str


@dataclass(frozen=True, slots=True)
class JudgedChain:
    """One reviewer's verdict on one chain. ``score`` is the MICS-Score of its last chosen candidate."""

    reviewer: str
    item: str
    verdict: str
    score: float | None
    pictures: str


def read_books(run: Path) -> dict[str, MarkBook]:
    """The marks of each reviewer who has made any. Raises :class:`~mics_ray.errors.RefusedRun`, ``OSError``."""
    books = {name: read_marks(find_file(run, name)).book for name in list_reviewers(run)}
    return {name: book for name, book in books.items() if book.marks}


@dataclass(slots=True)
class ReviewTally:
    """Takes the rows of a run one by one. ``strangers`` counts marks of chains that no row holds."""

    books: Mapping[str, MarkBook]
    steps: list[JudgedStep] = field(default_factory=list)
    chains: list[JudgedChain] = field(default_factory=list)
    _standing: dict[Target, dict[str, ReviewMark]] = field(default_factory=dict)
    _cases: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for name, book in self.books.items():
            for target, mark in book.current.items():
                if mark.verdict is not None:
                    self._standing.setdefault(target, {})[name] = mark
                    self._cases.add(target.case_id)

    @property
    def strangers(self) -> int:
        """Marks of targets that no row so far has."""
        return sum(len(marks) for marks in self._standing.values())

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Take what was said of a row's chain."""
        if row["case_id"] not in self._cases or not has_chain(row):
            return
        pictures = "\n".join(sorted(row["images"])) or f"case {row['case_id']}"
        *targets, whole = list_targets(row)
        for step, target in zip(list_steps(row), targets, strict=True):
            self._add_step(step, target, pictures)
        for name, mark in self._standing.pop(whole, {}).items():
            self.chains.append(JudgedChain(name, _name_item(whole), str(mark.verdict), find_score(row), pictures))

    def _add_step(self, step: ChainStep, target: Target, pictures: str) -> None:
        score, judged = (None, None) if step.node is None else (step.node["score"], _read_judge(step.node))
        number = CLOSING if step.node is None else str(step.node["round"])
        for name, mark in self._standing.pop(target, {}).items():
            said, item, mentor = str(mark.verdict), _name_item(target), make_one_line(step.mentor)
            self.steps.append(JudgedStep(name, item, said, mentor, number, score, judged, pictures))


def _name_item(target: Target) -> str:
    return f"{target.case_id}\n{target.step}"


def _read_judge(node: Mapping[str, Any]) -> bool | None:
    verdicts = [vote["verdict"] for vote in node["votes"]]
    right, wrong = verdicts.count(Verdict.RIGHT.value), verdicts.count(Verdict.WRONG.value)
    return None if right == wrong else right > wrong
