"""Marks that were made in another tool, taken into a reviewer's file: all of a file, or nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mics_ray.core.display import make_storable
from mics_ray.review.exchange.csv_form import read_csv
from mics_ray.review.exchange.items import FilledMark, refuse_file
from mics_ray.review.exchange.label_studio import read_tasks
from mics_ray.review.marks.chain import has_chain, list_targets
from mics_ray.review.marks.mark import Target, check_saying
from mics_ray.review.marks.store import MarkStore
from mics_ray.review.run_source import RunSource

_COLUMNS = ("case_id", "question", "answer", "outcome", "steps", "final_answer")


@dataclass(frozen=True, slots=True)
class Taken:
    """How many marks were new, replaced another of this reviewer, or stood already."""

    fresh: int
    replaced: int
    same: int


def read_filled(form: str, path: Path, completed_by: str | None) -> list[FilledMark]:
    """The marks in a file. Raises :class:`~mics_ray.errors.RefusedRun`, ``OSError``."""
    return read_csv(path) if form == "csv" else read_tasks(path, completed_by)


def take_review(run: RunSource, path: Path, filled: Sequence[FilledMark], store: MarkStore) -> Taken:
    """Keep the marks of a file. What it leaves empty stays as it stands; what it says replaces what the reviewer said.

    Raises :class:`~mics_ray.errors.RefusedRun`, nothing kept, for a mark that is not of the run's chains or not one;
    ``OSError`` where the disk takes no more: then the same file goes on.
    """
    if problems := _find_problems(run, filled):
        raise refuse_file(path, problems)
    counts: Counter[str] = Counter()
    for one in filled:
        standing = store.book.current.get(one.target)
        verdict = one.verdict if one.verdict is not None or standing is None else standing.verdict
        comment = make_storable(one.comment or (standing.comment if standing else ""))
        if standing is not None and standing.says(verdict, comment):
            counts["same"] += 1
            continue
        store.set_mark(one.target, verdict, comment, store.book.find_version(one.target))
        # A mark that was taken back is none.
        counts["replaced" if standing is not None and (standing.verdict or standing.comment) else "fresh"] += 1
    return Taken(counts["fresh"], counts["replaced"], counts["same"])


def _find_problems(run: RunSource, filled: Sequence[FilledMark]) -> list[str]:
    wanted = {one.target.case_id for one in filled}
    known = {
        row["case_id"]: list_targets(row)
        for row in run.iter_rows(_COLUMNS)
        if row["case_id"] in wanted and has_chain(row)
    }
    problems, seen = [], set[Target]()
    for one in filled:
        targets = known.get(one.target.case_id)
        if targets is None:
            problems.append(f"{one.place}: the run keeps no chain of such a case")
        elif one.target.chain != targets[0].chain:
            problems.append(f"{one.place}: of another chain of this case than the run keeps")
        elif one.target not in targets:
            problems.append(f"{one.place}: the chain has no such step")
        elif one.target in seen:
            problems.append(f"{one.place}: a step is marked twice")
        else:
            try:
                check_saying(one.target, one.verdict, one.comment)
            except ValueError as error:
                problems.append(f"{one.place}: {error}")
        seen.add(one.target)
    return problems
