"""A file of cases, surveyed once and then read in parts: the driver plans with spans, the workers read them."""

import hashlib
import os
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace

from mics_ray.core.types import Case
from mics_ray.io.readers import InputError, Raw
from mics_ray.io.records import RecordPlace, Rejection, parse_record, reject_duplicate
from mics_ray.io.shards import IdSet
from mics_ray.io.sources import Format, detect_format, read_raw_records

__all__ = [
    "InputError",
    "RecordPlace",
    "Rejection",
    "Span",
    "Survey",
    "drop_done",
    "read_places",
    "read_span",
    "survey_cases",
]

LEAST_SPAN, MOST_SPAN = 16, 256
"""Positions that one span covers at most: few at first, so that a short file is shared out evenly too; more later."""
EXAMPLES = 20
_SKIP, _PENDING, _DUPLICATE = range(3)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a file. ``marks`` has one byte per position from ``first`` on: to be skipped, pending, a duplicate.

    ``start`` is where to read (byte offset; row of a Parquet file), ``size`` the file's bytes when it was surveyed.
    """

    path: str
    form: Format
    size: int
    first: int
    start: int
    marks: bytes

    @property
    def count(self) -> int:
        """Records that :func:`read_span` yields."""
        return len(self.marks) - self.marks.count(_SKIP)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a file holds: ``records`` and, of them, ``rejections``; ``spans`` cover those that are not done.

    ``examples`` are the first 20 rejections as ``id: reason``; ``sha256`` is the digest of the file's bytes.
    """

    path: str
    sha256: str
    records: int
    rejections: int
    examples: tuple[str, ...]
    spans: tuple[Span, ...]

    @property
    def pending(self) -> int:
        """Records that are not done."""
        return sum(span.count for span in self.spans)


def survey_cases(
    path: str, done: Container[str] = (), inspect: Callable[[RecordPlace, Case], None] | None = None
) -> Survey:
    """Read the whole file once, keeping no text; ``done`` are the ids that need no work. Raises :class:`InputError`.

    ``inspect`` gets every case that is not done, so that who must look into each need not read the file again.
    """
    path = os.path.abspath(path)
    form = detect_format(path)
    plan, seen = _SpanPlanner(path, form, os.path.getsize(path)), IdSet()
    records, rejections = 0, 0
    examples: list[str] = []
    for raw in read_raw_records(path, form):
        found = _parse_raw(raw, place := _locate_record(path, form, raw))
        if duplicate := not seen.add(found.id):
            found = reject_duplicate(found, place)
        # A duplicate is marked here: a worker that reads one span cannot know of ids in another.
        plan.add_record(raw, _SKIP if found.id in done else _DUPLICATE if duplicate else _PENDING)
        records += 1
        if isinstance(found, Rejection):
            rejections += 1
            if len(examples) < EXAMPLES:
                examples.append(f"{found.id}: {found.reason}")
        elif inspect is not None and found.id not in done:
            inspect(place, found)
    if not records:
        raise InputError(f"{path}: holds no records; it should hold at least one")
    # Hashed apart from parsing, because the readers seek and skip and see no continuous stream of bytes.
    return Survey(path, _hash_file(path), records, rejections, tuple(examples), plan.close())


def read_span(span: Span) -> Iterator[Case | Rejection]:
    """The pending records of a span, with the ids that :func:`survey_cases` gave them. Raises :class:`InputError`."""
    return (found for _, found in read_places(span))


def read_places(span: Span) -> Iterator[tuple[RecordPlace, Case | Rejection]]:
    """:func:`read_span`, each record with the place where it stands."""
    # The size, not the digest: every worker checks every span, and hashing the file each time would cost a full read.
    if _file_size(span.path) != span.size:
        raise InputError(f"{span.path}: changed since the run began; put it back, or start a run of its own")
    for raw in read_raw_records(span.path, span.form, span.start, span.first):
        at = raw.position - span.first
        # Readers know no end: they would go on into the next span.
        if at >= len(span.marks):
            return
        if mark := span.marks[at]:
            place = _locate_record(span.path, span.form, raw)
            found = _parse_raw(raw, place)
            yield place, reject_duplicate(found, place) if mark == _DUPLICATE else found


def drop_done(span: Span, done: Container[str]) -> Span | None:
    """What is left of a span without the ids in ``done``; ``None``: nothing. Raises :class:`InputError`."""
    marks = bytearray(span.marks)
    for place, found in read_places(span):
        if found.id in done:
            marks[place.position - span.first] = _SKIP
    left = replace(span, marks=bytes(marks))
    return left if left.count else None


def _locate_record(path: str, form: Format, raw: Raw) -> RecordPlace:
    return RecordPlace(os.path.basename(path), form.unit, raw.position)


def _parse_raw(raw: Raw, place: RecordPlace) -> Case | Rejection:
    if raw.fault:
        return Rejection(place.position, place.own_id, f"{place}: {raw.fault}")
    return parse_record(raw.value, place)


def _file_size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        raise InputError(f"{path}: cannot be read any more; is it on every machine of the cluster?") from None


def _hash_file(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _SpanPlanner:
    """Collects spans; a span begins and ends with a record that is not done."""

    def __init__(self, path: str, form: Format, size: int) -> None:
        self._file = (path, form, size)
        self._spans: list[Span] = []
        self._first = self._start = 0
        self._marks = bytearray()

    def add_record(self, raw: Raw, mark: int) -> None:
        """Take the next record; positions between it and the last one hold none."""
        # Grows with the position: a short file gives every worker a part, a long one is not cut into thousands.
        if self._marks and raw.position - self._first >= min(MOST_SPAN, max(LEAST_SPAN, self._first // 64)):
            self.close()
        if mark == _SKIP:
            return
        if not self._marks:
            self._first, self._start = raw.position, raw.start
        # Zero bytes are _SKIP: blank lines and finished records between two pending ones need no mark of their own.
        self._marks.extend(bytes(raw.position - self._first - len(self._marks)))
        self._marks.append(mark)

    def close(self) -> tuple[Span, ...]:
        """All spans, the open one included."""
        if self._marks:
            self._spans.append(Span(*self._file, self._first, self._start, bytes(self._marks)))
            self._marks.clear()
        return tuple(self._spans)
