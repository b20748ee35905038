"""The input counted and cut into parts that can be read side by side, before any record is parsed."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import numpy as np

from mics_ray.core.types import Case
from mics_ray.io.input_files import CasesGiven, InputError, InputFile, find_input_files, is_packed, open_stored
from mics_ray.io.readers import Raw
from mics_ray.io.records import RecordPlace, Rejection, find_id, has_pictures, parse_record
from mics_ray.io.sources import Format, detect_format, find_raw_records, read_raw_records
from mics_ray.io.storage import is_address

PlacedRecord = tuple[RecordPlace, Case | Rejection]
"""An input record and where it stands."""

MOST_PARTS = 4096
PART_BYTES = 4 * 2**20
"""Of a text file that one part covers at least, of a very large one more."""
PART_RECORDS = 2048
"""Rows of a Parquet file that one part covers at least."""

LOOKED_AT = 4096
"""Records that are looked at for pictures at most, and in how many parts."""
LOOKED_INTO = 32


@dataclass(frozen=True, slots=True)
class Part:
    """The records of a file whose positions are from ``first`` to before ``end``; the first stands at ``start``.

    ``size``: bytes of the file when it was scanned.
    """

    file: InputFile
    form: Format
    size: int
    first: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What the input is: its ``name`` for people, how many ``records``, and its ``parts`` in order.

    ``sha256`` is the digest of the bytes of the one file, or of the digests of several in their order.
    """

    name: str
    sha256: str
    records: int
    parts: tuple[Part, ...]


def scan_cases(given: CasesGiven) -> Scan:
    """Count the records of all files and digest their bytes; none is parsed. Raises :class:`InputError`."""
    return scan_files(find_input_files(given))


def scan_files(files: Sequence[InputFile]) -> Scan:
    """:func:`scan_cases` of files that are found."""
    # Hashing lets other threads run, and reads what the count has just brought in, or the other way round.
    with ThreadPoolExecutor(1) as aside:
        hashed = aside.submit(hash_files, files)
        records, parts = 0, list[Part]()
        for file in files:
            count, found = _scan_file(file)
            records, parts = records + count, parts + found
        digest = hashed.result()
    return Scan(name_files(files), digest, records, tuple(parts))


def look_for_pictures(scan: Scan) -> bool:
    """Whether a case with a picture is among :data:`LOOKED_AT` records at the beginnings of parts all over the input.

    Raises :class:`InputError`.
    """
    parts = scan.parts[:: -(-len(scan.parts) // LOOKED_INTO)]
    looked = (placed for part in parts for placed in islice(read_raw_part(part), LOOKED_AT // len(parts)))
    return any(has_pictures(raw.value) and isinstance(parse_raw(raw, place), Case) for place, raw in looked)


def read_part(part: Part) -> Iterator[PlacedRecord]:
    """Parse the records of a part. Raises :class:`InputError`, also where the file is another by now."""
    return ((place, parse_raw(raw, place)) for place, raw in read_raw_part(part))


def read_raw_part(part: Part) -> Iterator[tuple[RecordPlace, Raw]]:
    """:func:`read_part` without the parsing."""
    # The size, not the digest: every part is checked, and hashing the file each time would cost a full read.
    if part.file.read_size() != part.size:
        raise InputError(f"{part.file.path}: changed since the run began; put it back, or start a run of its own")
    for raw in read_raw_records(part.file, part.form, part.start, part.first):
        # Readers know no end: they would go on into the next part.
        if raw.position >= part.end:
            return
        yield locate_record(part.file, part.form, raw), raw


def locate_record(file: InputFile, form: Format, raw: Raw) -> RecordPlace:
    """Where a record stands, as messages name it."""
    return RecordPlace(file.name, form.unit, raw.position, file.number)


def parse_raw(raw: Raw, place: RecordPlace) -> Case | Rejection:
    """The case of a record, or why there is none."""
    if raw.fault:
        return Rejection(place.position, place.own_id, f"{place}: {raw.fault}")
    return parse_record(raw.value, place)


def find_raw_id(raw: Raw, place: RecordPlace) -> str:
    """The id of what :func:`parse_raw` makes of a record."""
    return place.own_id if raw.fault else find_id(raw.value, place)


def name_files(files: Sequence[InputFile]) -> str:
    """The input as a line for people names it."""
    return files[0].path if len(files) == 1 else f"{len(files)} files"


def hash_files(files: Sequence[InputFile]) -> str:
    """The digest of the input, 64 hex digits. Raises :class:`InputError`."""
    digests = []
    for file in files:
        try:
            with open_stored(file.path) as stream:
                digests.append(hashlib.file_digest(cast(Any, stream), "sha256").hexdigest())
        except OSError as error:
            raise InputError(f"{file.path}: cannot be read ({type(error).__name__}); check data.cases") from None
    # That of the one file as it is: runs are known by it.
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _scan_file(file: InputFile) -> tuple[int, list[Part]]:
    """How many records a file has, and its parts. One that cannot be entered midway is one part."""
    form, size = detect_format(file), file.read_size()
    # A list in JSON is read through a map of the file, for which one at an address would be copied for each part.
    whole = is_packed(file.path) or (form is Format.JSON and is_address(file.path))
    full = PART_RECORDS if form is Format.PARQUET else max(PART_BYTES, size // MOST_PARTS)
    records, end = 0, 0
    begin: tuple[int, int] | None = None
    parts: list[Part] = []
    for positions, starts in find_raw_records(file, form):
        if not len(starts):
            continue
        begin = begin or (int(positions[0]), int(starts[0]))
        while not whole and (at := int(np.searchsorted(starts, begin[1] + full))) < len(starts):
            parts.append(Part(file, form, size, *begin, int(positions[at])))
            begin = int(positions[at]), int(starts[at])
        records, end = records + len(starts), int(positions[-1]) + 1
    if begin is None:
        raise InputError(f"{file.path}: holds no records; it should hold at least one")
    return records, [*parts, Part(file, form, size, *begin, end)]
