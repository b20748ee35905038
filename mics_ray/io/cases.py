"""Files of cases, surveyed once and then read in parts, by programs without Ray (a run: :mod:`mics_ray.io.scan`)."""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass

from mics_ray.core.types import Case
from mics_ray.io.index.ids import IdSet
from mics_ray.io.input_files import CasesGiven, InputError, InputFile, find_input_files
from mics_ray.io.readers import Raw
from mics_ray.io.records import RecordPlace, Rejection, reject_duplicate
from mics_ray.io.scan import hash_files, locate_record, name_files, parse_raw
from mics_ray.io.sources import Format, detect_format, read_raw_records

__all__ = [
    "InputError",
    "RecordPlace",
    "Rejection",
    "Span",
    "Survey",
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

    file: InputFile
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
    """What the input holds: ``records`` and, of them, ``rejections``; ``spans`` cover those that are not done.

    ``examples`` are the first 20 rejections as ``id: reason``; ``sha256`` is the digest of the bytes of the one file,
    or of the digests of several in their order.
    """

    name: str
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
    given: CasesGiven, done: Container[str] = (), inspect: Callable[[RecordPlace, Case], None] | None = None
) -> Survey:
    """Read all files once, keeping no text; ``done`` are the ids that need no work. Raises :class:`InputError`.

    ``inspect`` gets every case that is not done, so that who must look into each need not read the files again.
    """
    files = find_input_files(given)
    count = _Count(done, inspect)
    spans = [span for file in files for span in _survey_file(file, count)]
    # Hashed apart from parsing, because the readers seek and skip and see no continuous stream of bytes.
    digest, name = hash_files(files), name_files(files)
    return Survey(name, digest, count.records, count.rejections, tuple(count.examples), tuple(spans))


class _Count:
    """What is counted over all files, and the ids seen so far."""

    def __init__(self, done: Container[str], inspect: Callable[[RecordPlace, Case], None] | None) -> None:
        self.records = self.rejections = 0
        self.examples: list[str] = []
        self._done, self._inspect, self._seen = done, inspect, IdSet()

    def count_record(self, place: RecordPlace, found: Case | Rejection) -> int:
        """Count one record; returns its mark."""
        if duplicate := not self._seen.add(found.id):
            found = reject_duplicate(found, place)
        done = found.id in self._done
        self.records += 1
        if isinstance(found, Rejection):
            self.rejections += 1
            if len(self.examples) < EXAMPLES:
                self.examples.append(f"{found.id}: {found.reason}")
        elif self._inspect is not None and not done:
            self._inspect(place, found)
        # A duplicate is marked here: who reads one span cannot know of ids in another.
        return _SKIP if done else _DUPLICATE if duplicate else _PENDING


def _survey_file(file: InputFile, count: _Count) -> tuple[Span, ...]:
    form = detect_format(file)
    plan, before = _SpanPlanner(file, form, file.read_size()), count.records
    for raw in read_raw_records(file, form):
        place = locate_record(file, form, raw)
        plan.add_record(raw, count.count_record(place, parse_raw(raw, place)))
    if count.records == before:
        raise InputError(f"{file.path}: holds no records; it should hold at least one")
    return plan.close()


def read_span(span: Span) -> Iterator[Case | Rejection]:
    """The pending records of a span, with the ids that :func:`survey_cases` gave them. Raises :class:`InputError`."""
    return (found for _, found in read_places(span))


def read_places(span: Span) -> Iterator[tuple[RecordPlace, Case | Rejection]]:
    """:func:`read_span`, each record with the place where it stands."""
    # The size, not the digest: every worker checks every span, and hashing the file each time would cost a full read.
    if span.file.read_size() != span.size:
        raise InputError(f"{span.file.path}: changed since the run began; put it back, or start a run of its own")
    for raw in read_raw_records(span.file, span.form, span.start, span.first):
        at = raw.position - span.first
        # Readers know no end: they would go on into the next span.
        if at >= len(span.marks):
            return
        if mark := span.marks[at]:
            place = locate_record(span.file, span.form, raw)
            found = parse_raw(raw, place)
            yield place, reject_duplicate(found, place) if mark == _DUPLICATE else found


class _SpanPlanner:
    """Collects spans; a span begins and ends with a record that is not done."""

    def __init__(self, file: InputFile, form: Format, size: int) -> None:
        self._file = (file, form, size)
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
