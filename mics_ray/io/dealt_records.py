"""Parsed records on their way from who read them to who searches them: packed, numbered, some of them done already."""

import pickle
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mics_ray.core.display import make_one_line
from mics_ray.io.index.ids import Hashes, IdSet
from mics_ray.io.readers import Raw
from mics_ray.io.records import RecordPlace, Rejection, reject_duplicate
from mics_ray.io.scan import Part, PlacedRecord, Scan, find_raw_id, parse_raw, read_raw_part

LEAST_DEAL, MOST_DEAL = 16, 256
"""Records that are dealt together: few at first, so that a short input is shared out evenly too; more later."""
DEAL_BYTES = 2**20
"""Packed, that are dealt together at most, but for a single record that has more."""


@dataclass(frozen=True, slots=True)
class PackedRecord:
    """A parsed record whose reader knows nothing of other records: its ``id``, and the one it has as a duplicate.

    ``rejected``: no case is in it.
    """

    id: str
    own_id: str
    packed: bytes
    rejected: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A record that brings an id whose row is there, which its reader did not parse.

    It is done unless an earlier record brings the same id, of which its reader knows nothing. ``hashed``: the id's
    :func:`mics_ray.io.index.ids.hash_id`; ``part``: the number of the part from 0; ``position``: the record's.
    """

    hashed: int
    part: int
    position: int


@dataclass(frozen=True, slots=True)
class KnownRecords:
    """Consecutive records that all bring an id whose row is there, as an index says; nobody read them.

    One element of each array for a record: as in :class:`LeftOut`.
    """

    hashes: Hashes
    parts: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]


ReadRecord = PackedRecord | LeftOut | KnownRecords
"""What comes of the input: a record, or many that need no work unless they are duplicates."""


@dataclass(frozen=True, slots=True)
class DealtRecord:
    """A record with the id of its row; ``duplicate``: an earlier one has the id that it brought.

    ``rejected``: it is no case, for that reason or another.
    """

    id: str
    duplicate: bool
    packed: bytes
    rejected: bool

    def unpack(self) -> PlacedRecord:
        """The record and its place, a duplicate as a rejection."""
        place, found = pickle.loads(self.packed)  # noqa: S301 - made by a process of this run
        return place, reject_duplicate(found, place) if self.duplicate else found


@dataclass(frozen=True, slots=True)
class DealtSpan:
    """Records that a worker gets together."""

    records: tuple[DealtRecord, ...]

    def drop_done(self, done: Container[str]) -> "DealtSpan | None":
        """What is left without the ids in ``done``; ``None``: nothing."""
        left = tuple(record for record in self.records if record.id not in done)
        return DealtSpan(left) if left else None


@dataclass(slots=True)
class RejectedCount:
    """How many records of spans are no cases, and why the first is none."""

    count: int = 0
    first: str = ""

    def add_span(self, span: DealtSpan) -> None:
        """Count those of one more span."""
        for record in span.records:
            if record.rejected:
                if not self.count and isinstance(found := record.unpack()[1], Rejection):
                    self.first = found.reason
                self.count += 1

    def describe(self) -> str:
        """A line for people, empty where every record is a case."""
        return f"{self.count} records unusable; the first: {make_one_line(self.first)}" if self.count else ""


def pack_record(placed: PlacedRecord) -> PackedRecord:
    """A record as it is sent between processes."""
    place, found = placed
    packed = pickle.dumps(placed, pickle.HIGHEST_PROTOCOL)
    return PackedRecord(found.id, place.own_id, packed, isinstance(found, Rejection))


def deal_records(
    records: Iterable[ReadRecord], done: Container[str], parts: Sequence[Part] = ()
) -> Iterator[DealtSpan]:
    """The records that are not done, in their order, which decides who is the duplicate of whom.

    ``parts`` are those that :attr:`LeftOut.part` numbers. Raises :class:`InputError` where one has to be read again.
    """
    dealt, size = 0, 0
    together: list[DealtRecord] = []
    for record in _number_records(records, done, parts):
        full = len(together) >= min(MOST_DEAL, max(LEAST_DEAL, dealt // 64)) or size + len(record.packed) > DEAL_BYTES
        if together and full:
            yield DealtSpan(tuple(together))
            together, size = [], 0
        together.append(record)
        dealt, size = dealt + 1, size + len(record.packed)
    if together:
        yield DealtSpan(tuple(together))


def read_pending(scan: Scan, done: Container[str]) -> Iterator[PlacedRecord]:
    """All records that are not done, one after the other in this process. Raises :class:`InputError`."""
    seen = IdSet()
    for place, raw in (placed for part in scan.parts for placed in read_raw_part(part)):
        case_id = find_raw_id(raw, place)
        duplicate = not seen.add(case_id)
        if (place.own_id if duplicate else case_id) not in done:
            found = parse_raw(raw, place)
            yield place, reject_duplicate(found, place) if duplicate else found


def _number_records(
    records: Iterable[ReadRecord], done: Container[str], parts: Sequence[Part]
) -> Iterator[DealtRecord]:
    seen, again = IdSet(), _SecondReading(parts)
    for record in _find_duplicates(records, seen):
        if isinstance(record, PackedRecord):
            duplicate = not seen.add(record.id)
            case_id = record.own_id if duplicate else record.id
            if case_id not in done:
                yield DealtRecord(case_id, duplicate, record.packed, duplicate or record.rejected)
        elif not seen.add_hash(record.hashed) and (own_id := again.name_record(record)) not in done:
            yield DealtRecord(own_id, True, again.pack_again(record), True)


def _find_duplicates(records: Iterable[ReadRecord], seen: IdSet) -> Iterator[PackedRecord | LeftOut]:
    """All but known records whose id no earlier record has brought; the ids of those are ``seen`` then."""
    for record in records:
        if not isinstance(record, KnownRecords):
            yield record
            continue
        first = np.zeros(len(record.hashes), bool)
        first[np.unique(record.hashes, return_index=True)[1]] = True
        first &= ~seen.has_hashes(record.hashes)
        seen.add_hashes(record.hashes[first])
        for at in np.flatnonzero(~first).tolist():
            yield LeftOut(int(record.hashes[at]), int(record.parts[at]), int(record.positions[at]))


class _SecondReading:
    """Reads records that were left out and are duplicates; those of one part come in their order."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._part = -1
        self._rest: Iterator[tuple[RecordPlace, Raw]] = iter(())

    def name_record(self, left: LeftOut) -> str:
        """The id of the record as a duplicate."""
        part = self._parts[left.part]
        return RecordPlace(part.file.name, part.form.unit, left.position, part.file.number).own_id

    def pack_again(self, left: LeftOut) -> bytes:
        """The record, packed. Raises :class:`InputError`."""
        if left.part != self._part:
            self._part, self._rest = left.part, read_raw_part(self._parts[left.part])
        place, raw = next(placed for placed in self._rest if placed[0].position == left.position)
        return pack_record((place, parse_raw(raw, place))).packed
