"""One reviewer's session: the chains to mark in their order, and what the page is told of its marks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from mics_ray.review.marks.book import StaleMark
from mics_ray.review.marks.mark import ReviewMark, Target
from mics_ray.review.marks.store import MarkStore

Answer = dict[str, Any]


class BadRequest(ValueError):
    """What a page cannot ask; the message says why, without what was asked."""


class ReviewSession:
    """The chains that a reviewer marks. ``targets`` are the steps of each case's chain and, last, the chain itself."""

    def __init__(self, store: MarkStore, targets: Mapping[str, Sequence[Target]]) -> None:
        self._store, self._targets = store, targets
        self._order = list(targets)

    def count_chains(self) -> int:
        """How many there are."""
        return len(self._order)

    def count_done(self) -> int:
        """How many chains have a verdict on each step and on themselves."""
        return sum(map(self._is_done, self._order))

    def count_strangers(self) -> int:
        """Marks that stand for chains which the run does not hold (any more): another search, a longer sample."""
        known = {target for targets in self._targets.values() for target in targets}
        return sum(mark.verdict is not None for target, mark in self._store.book.current.items() if target not in known)

    def tell_all(self) -> Answer:
        """The marks of all cases that have one."""
        return self._tell(self._order, self._order[-1])

    def tell_case(self, case_id: object) -> Answer:
        """The marks of one case. Raises :class:`BadRequest`."""
        return self._tell([self._check_case(case_id)], str(case_id))

    def set_mark(self, asked: Mapping[str, Any]) -> tuple[Answer, bool]:
        """Keep a mark; the case as it stands then, and whether it was kept: not where it answers another state.

        ``asked`` holds ``case_id``, ``step`` (``None``: the chain), ``verdict``, ``comment``, ``answers``. Raises
        :class:`BadRequest`; ``OSError`` where it cannot be kept.
        """
        case_id = self._check_case(asked.get("case_id"))
        step, verdict, comment, answers = (asked.get(name) for name in ("step", "verdict", "comment", "answers"))
        target = next((one for one in self._targets[case_id] if one.step == step), None)
        # A bool equals a number, and would be another step's.
        if target is None or isinstance(step, bool) or not isinstance(comment, str) or not _is_count(answers):
            raise BadRequest("no such step, or no such mark")
        try:
            self._store.set_mark(target, verdict, comment, answers)
        except StaleMark:
            return self.tell_case(case_id), False
        except ValueError as error:
            raise BadRequest(str(error)) from None
        return self.tell_case(case_id), True

    def undo_mark(self, asked: Mapping[str, Any]) -> tuple[Answer, bool]:
        """Undo the mark ``asked["number"]``; otherwise as :meth:`set_mark`."""
        number = asked.get("number")
        if not _is_count(number) or not 1 <= number <= len(self._store.book.marks):
            raise BadRequest("there is no such mark")
        case_id = self._check_case(self._store.book.marks[number - 1].case_id)
        try:
            self._store.undo_mark(number)
        except StaleMark:
            return self.tell_case(case_id), False
        except ValueError as error:
            raise BadRequest(str(error)) from None
        return self.tell_case(case_id), True

    def _check_case(self, case_id: object) -> str:
        if not isinstance(case_id, str) or case_id not in self._targets:
            raise BadRequest("no such case in this review")
        return case_id

    def _is_done(self, case_id: str) -> bool:
        return all(self._find_verdict(target) for target in self._targets[case_id])

    def _find_verdict(self, target: Target) -> str | None:
        mark = self._store.book.current.get(target)
        return mark.verdict if mark else None

    def _tell(self, cases: Iterable[str], here: str) -> Answer:
        marks = {case_id: self._list_marks(case_id) for case_id in cases}
        return {
            "marks": marks,
            "done": self.count_done(),
            "total": len(self._order),
            "next": self._find_open(here),
            "undo": self._describe_last(),
        }

    def _list_marks(self, case_id: str) -> list[dict[str, Any]]:
        standing = (self._store.book.current.get(target) for target in self._targets[case_id])
        return [_describe_mark(mark) for mark in standing if mark is not None]

    def _find_open(self, here: str) -> str | None:
        """The next chain behind ``here``, around the end, that is not done."""
        at = self._order.index(here) + 1
        return next((one for one in (*self._order[at:], *self._order[:at]) if not self._is_done(one)), None)

    def _describe_last(self) -> dict[str, Any] | None:
        last = self._store.book.find_last()
        if last is None or last.target not in self._targets.get(last.case_id, ()):
            return None
        return {"number": last.number, "case_id": last.case_id, "step": last.step}


def _describe_mark(mark: ReviewMark) -> dict[str, Any]:
    return {"step": mark.step, "verdict": mark.verdict, "comment": mark.comment, "version": mark.number}


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
