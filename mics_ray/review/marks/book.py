"""One reviewer's marks in their order: what stands for each target, what can be undone. In memory, without files."""

from dataclasses import dataclass, field

from mics_ray.review.marks.mark import ReviewMark, Target, check_saying


class StaleMark(Exception):
    """A mark answers another state than the one that stands; ``current`` stands, ``None`` where nothing does."""

    def __init__(self, current: ReviewMark | None) -> None:
        super().__init__("marked elsewhere meanwhile")
        self.current = current


@dataclass(slots=True)
class MarkBook:
    """Takes marks in the order of their numbers. ``current`` is what stands for each target."""

    marks: list[ReviewMark] = field(default_factory=list)
    current: dict[Target, ReviewMark] = field(default_factory=dict)
    _made: dict[Target, list[int]] = field(default_factory=dict)
    """The numbers of a target's marks that are not undone, the last on top."""
    _order: dict[int, None] = field(default_factory=dict)
    """The same of all targets."""

    def add_mark(self, mark: ReviewMark) -> None:
        """Take the next mark. Raises ``ValueError`` where its numbers do not fit those before it."""
        if mark.number != len(self.marks) + 1:
            raise ValueError(f"mark {mark.number} stands where {len(self.marks) + 1} belongs")
        if mark.answers != self.find_version(mark.target):
            raise ValueError(f"mark {mark.number} answers another mark than the one that stands")
        made = self._made.setdefault(mark.target, [])
        if mark.undoes is None:
            made.append(mark.number)
            self._order[mark.number] = None
        else:
            if made[-1:] != [mark.undoes]:
                raise ValueError(f"mark {mark.number} undoes what is not the last of its target")
            made.pop()
            del self._order[mark.undoes]
        self.marks.append(mark)
        self.current[mark.target] = mark

    def find_version(self, target: Target) -> int:
        """The number of the mark that stands for a target; 0 where none does."""
        mark = self.current.get(target)
        return mark.number if mark else 0

    def find_last(self) -> ReviewMark | None:
        """The last mark that is not undone."""
        number = next(reversed(self._order), None)
        return None if number is None else self.marks[number - 1]

    def is_undone(self, number: int) -> bool:
        """Whether a mark was undone."""
        return 1 <= number <= len(self.marks) and number not in self._order

    def answer_mark(
        self, target: Target, verdict: str | None, comment: str, answers: int, time: str
    ) -> ReviewMark | None:
        """The next mark, not yet taken; ``None`` where just this stands already: a page asks again after a lost reply.

        Raises :class:`StaleMark` where ``answers`` is not the version that stands, ``ValueError`` for no such verdict.
        """
        check_saying(target, verdict, comment)
        standing = self.current.get(target)
        if standing.says(verdict, comment) if standing else (verdict is None and not comment):
            return None
        if answers != self.find_version(target):
            raise StaleMark(standing)
        return self._make_mark(target, verdict, comment, None, time)

    def answer_undo(self, number: int, time: str) -> ReviewMark | None:
        """The mark that undoes mark ``number``; ``None`` where it is undone already.

        Raises :class:`StaleMark` where its target has been marked again, ``ValueError`` where there is no such mark.
        """
        if not 1 <= number <= len(self.marks) or self.marks[number - 1].undoes is not None:
            raise ValueError("there is no such mark")
        if self.is_undone(number):
            return None
        undone = self.marks[number - 1]
        if self._made[undone.target][-1] != number:
            raise StaleMark(self.current[undone.target])
        # What stood before it may itself be the undoing of another: that holds the right values too.
        before = self.marks[undone.answers - 1] if undone.answers else None
        verdict, comment = (before.verdict, before.comment) if before else (None, "")
        return self._make_mark(undone.target, verdict, comment, number, time)

    def _make_mark(
        self, target: Target, verdict: str | None, comment: str, undoes: int | None, time: str
    ) -> ReviewMark:
        version = self.find_version(target)
        return ReviewMark(
            len(self.marks) + 1, target.case_id, target.chain, target.step, verdict, comment, version, undoes, time
        )
