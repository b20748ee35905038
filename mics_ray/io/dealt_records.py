"""Parsed records on their way from who read them to who searches them: packed, numbered, some of them done already."""

import pickle
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from mics_ray.io.records import reject_duplicate
from mics_ray.io.scan import PlacedRecord, Scan, read_part
from mics_ray.io.shards import IdSet

LEAST_DEAL, MOST_DEAL = 16, 256
"""Records that are dealt together: few at first, so that a short input is shared out evenly too; more later."""
DEAL_BYTES = 2**20
"""Packed, that are dealt together at most, but for a single record that has more."""


@dataclass(frozen=True, slots=True)
class PackedRecord:
    """A parsed record whose reader knows nothing of other records: its ``id``, and the one it has as a duplicate."""

    id: str
    own_id: str
    packed: bytes


@dataclass(frozen=True, slots=True)
class DealtRecord:
    """A record with the id of its row; ``duplicate``: an earlier one has the id that it brought."""

    id: str
    duplicate: bool
    packed: bytes

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


def pack_record(placed: PlacedRecord) -> PackedRecord:
    """A record as it is sent between processes."""
    place, found = placed
    return PackedRecord(found.id, place.own_id, pickle.dumps(placed, pickle.HIGHEST_PROTOCOL))


def deal_records(records: Iterable[PackedRecord], done: Container[str]) -> Iterator[DealtSpan]:
    """The records that are not done, in their order, which decides who is the duplicate of whom."""
    seen, dealt, size = IdSet(), 0, 0
    together: list[DealtRecord] = []
    for record in records:
        duplicate = not seen.add(record.id)
        case_id = record.own_id if duplicate else record.id
        if case_id in done:
            continue
        full = len(together) >= min(MOST_DEAL, max(LEAST_DEAL, dealt // 64)) or size + len(record.packed) > DEAL_BYTES
        if together and full:
            yield DealtSpan(tuple(together))
            together, size = [], 0
        together.append(DealtRecord(case_id, duplicate, record.packed))
        dealt, size = dealt + 1, size + len(record.packed)
    if together:
        yield DealtSpan(tuple(together))


def read_pending(scan: Scan, done: Container[str]) -> Iterator[PlacedRecord]:
    """All records that are not done, one after the other in this process. Raises :class:`InputError`."""
    seen = IdSet()
    for place, found in (placed for part in scan.parts for placed in read_part(part)):
        numbered = found if seen.add(found.id) else reject_duplicate(found, place)
        if numbered.id not in done:
            yield place, numbered
