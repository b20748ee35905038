"""A reviewer's file: appended to by one process, each mark synced before it counts, never rewritten.

What a crash left behind the last whole line was never answered for: reading passes over it, and it is cut off before
the next mark is appended. Any other damage is refused, for what stands behind it could not be trusted.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mics_ray.core.display import make_storable
from mics_ray.errors import LockedRun, RefusedRun
from mics_ray.jobs.lock import LockHeld, RunLock
from mics_ray.private_files import make_private_folder, sync_folder
from mics_ray.review.marks.book import MarkBook
from mics_ray.review.marks.mark import ReviewMark, Target, parse_line
from mics_ray.review.marks.reviewers import find_file, find_folder


@dataclass(frozen=True, slots=True)
class ReadMarks:
    """A file as read: ``size`` are the bytes of its whole lines, ``torn`` what stands behind them."""

    book: MarkBook
    size: int = 0
    torn: int = 0


def read_marks(path: Path) -> ReadMarks:
    """The marks in a file; none where there is no file. Raises :class:`RefusedRun` for a damaged line, ``OSError``."""
    book, size = MarkBook(), 0
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ReadMarks(book)
    lines = data.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            book.add_mark(parse_line(line))
        except ValueError as error:
            raise RefusedRun(f"{path}, line {number}: {error}; mend the file or move it away") from None
        size += len(line) + 1
    return ReadMarks(book, size, len(data) - size)


class MarkStore:
    """One reviewer's marks, open for writing; made by :func:`open_store`. ``torn`` are the bytes of an unfinished last
    line that it found."""

    def __init__(self, path: Path, lock: RunLock) -> None:
        """Raises :class:`RefusedRun` for a damaged file, ``OSError``."""
        self._path, self._lock = path, lock
        read = read_marks(path)
        self.book, self.torn = read.book, read.torn
        self._size, self._is_torn = read.size, bool(read.torn)

    def set_mark(self, target: Target, verdict: str | None, comment: str, answers: int) -> ReviewMark | None:
        """Say this of ``target``, where its version is ``answers``; the mark that stands then.

        ``None`` where nothing is said and nothing stood. Raises :class:`~mics_ray.review.marks.book.StaleMark`,
        ``ValueError``; ``OSError`` where it cannot be kept: nothing is changed then.
        """
        return self._keep(self.book.answer_mark(target, verdict, make_storable(comment), answers, _tell_time()), target)

    def undo_mark(self, number: int) -> ReviewMark | None:
        """Put back what stood before mark ``number``; raises as :meth:`set_mark`."""
        mark = self.book.answer_undo(number, _tell_time())
        return self._keep(mark, self.book.marks[number - 1].target)

    def _keep(self, mark: ReviewMark | None, target: Target) -> ReviewMark | None:
        if mark is not None:
            self._append(mark.dump_line())
            self.book.add_mark(mark)
        return self.book.current.get(target)

    def _append(self, line: bytes) -> None:
        """Append and sync; on any failure what was written is taken back, or counts as torn."""
        self._lock.check_held()
        is_fresh = not self._path.exists()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            self._cut_torn_end(descriptor)
            self._is_torn = True
            try:
                _write_all(descriptor, line)
                os.fsync(descriptor)
                if is_fresh:
                    sync_folder(self._path.parent)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, self._size)
                raise
            self._is_torn = False
            self._size += len(line)
        finally:
            os.close(descriptor)

    def _cut_torn_end(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        if size == self._size:
            return
        if not self._is_torn or size < self._size:
            # Under our lock nobody appends but us: another program did, and what it wrote is not ours to lose.
            raise RefusedRun(f"{self._path}: changed by another program while it is open; stop and start again")
        os.ftruncate(descriptor, self._size)


@contextmanager
def open_store(run: Path, reviewer: str) -> Iterator[MarkStore]:
    """The reviewer's marks, held by this process alone. Raises :class:`LockedRun`, :class:`RefusedRun`, ``OSError``.

    ``reviewer`` has passed :func:`~mics_ray.review.marks.reviewers.check_reviewer`.
    """
    make_private_folder(find_folder(run))
    path = find_file(run, reviewer)
    try:
        lock = RunLock(path.with_name(f".{reviewer}.lock"), shared=True)
    except LockHeld:
        raise LockedRun(
            f"reviewer {reviewer} has a review of {run} open; go on at its address, or stop it first"
        ) from None
    with lock:
        yield MarkStore(path, lock)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _tell_time() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
