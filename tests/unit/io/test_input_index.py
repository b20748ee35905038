"""The index of the input spares the reading of what is done; with it, damaged or not, the same records are dealt."""

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from mics_ray.io import packed_blocks, scan
from mics_ray.io.dealt_records import deal_records, read_pending
from mics_ray.io.index.ids import IdSet, SortedHashes
from mics_ray.io.index.input_index import InputIndex, PartCollector
from mics_ray.io.packed_blocks import PartPiece, join_pieces, pack_part, read_pieces, split_block
from mics_ray.io.scan import PlacedRecord, Scan, scan_cases
from tests.unit.io.test_cases import lines, record, write
from tests.unit.io.test_scan import write_as


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "PART_BYTES", 2000)
    monkeypatch.setattr(scan, "PART_RECORDS", 16)
    monkeypatch.setattr(packed_blocks, "MOST_ROWS", 5)


class Start:
    """One start of a run: what it deals, and the parts that it reads."""

    def __init__(self, found: Scan, index: Path, version: str = "1") -> None:
        self._scan, self._index = found, InputIndex(index, found, version)
        self.read = list[int]()

    def deal(self, done: Iterable[str], stop_in: int = 10**9) -> list[PlacedRecord]:
        """With ``stop_in`` the start is killed within that part."""
        ids = IdSet(done)
        known = self._index.find_done(ids)
        records = join_pieces(
            self._read_parts(set(known), ids, stop_in), known, len(self._scan.parts), PartCollector(self._index)
        )
        try:
            return [one.unpack() for span in deal_records(records, ids, self._scan.parts) for one in span.records]
        except KeyboardInterrupt:
            return []

    def _read_parts(self, known: set[int], done: IdSet, stop_in: int) -> Iterable[PartPiece]:
        """Those of odd numbers as tables."""
        hashes = SortedHashes(done.sort_hashes())
        for number, part in enumerate(self._scan.parts):
            if number not in known:
                self.read.append(number)
                if number % 2:
                    pieces = [one for block in pack_part(part, number, hashes) for one in split_block(block)]
                else:
                    pieces = list(read_pieces(part, number, hashes))
                if number == stop_in:
                    yield from pieces[:-1]
                    raise KeyboardInterrupt
                yield from pieces


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.parquet"])
def test_a_start_with_the_index_deals_what_one_without_it_deals(tmp_path: Path, name: str) -> None:
    chance = random.Random(0)
    rows: list[Any] = [record(f"c{chance.randrange(150)}" if number % 9 else None) for number in range(240)]
    found, index = scan_cases(write_as(tmp_path / name, rows)), tmp_path / "index"
    every = [placed[1].id for placed in read_pending(found, ())]
    assert len(set(every)) == len(every)
    for done in (set(every[:100]), set(every[:170]) - set(every[40:44]), set(every) - {every[7], every[200]}):
        start = Start(found, index)
        assert start.deal(done) == list(read_pending(found, done))
        pending = [at for at, case_id in enumerate(every) if case_id not in done]
        again = Start(found, index)
        assert again.deal(done) == list(read_pending(found, done))
        assert 0 < len(again.read) <= min(len(pending) + 1, len(found.parts))
    finished = Start(found, index)
    assert (finished.deal(every), finished.read) == ([], [])


def test_a_duplicate_in_parts_that_are_not_read_is_still_dealt(tmp_path: Path) -> None:
    rows: list[Any] = [record(f"c{number}") for number in range(120)]
    rows[60], rows[61], rows[110] = record("c3"), record("c62"), record("c115")
    found, index = scan_cases(write_as(tmp_path / "x.jsonl", rows)), tmp_path / "index"
    every = [placed[1].id for placed in read_pending(found, ())]
    Start(found, index).deal([])
    # The rows of c3 and c62 are there; those of the records that bring the same ids, or bring them first, are not.
    done = set(every) - {"line-61", "line-63", "line-116"}
    start = Start(found, index)
    assert [placed[1].id for placed in start.deal(done)] == ["line-61", "line-63", "line-116"]
    assert start.read == []


def test_a_killed_start_notes_whole_parts_alone(tmp_path: Path) -> None:
    rows: list[Any] = [record(f"c{number}") for number in range(200)]
    found, index = scan_cases(write_as(tmp_path / "x.jsonl", rows)), tmp_path / "index"
    every = [f"c{number}" for number in range(200)]
    Start(found, index).deal([], stop_in=3)
    start = Start(found, index)
    assert (start.deal(every[:-1]), start.read) == (
        list(read_pending(found, every[:-1])),
        list(range(3, len(found.parts))),
    )
    last = Start(found, index)
    last.deal(every[:-1])
    assert last.read == [len(found.parts) - 1]


@pytest.mark.parametrize("change", ["bytes", "version", "form", "order"])
def test_an_index_of_something_else_is_not_believed(tmp_path: Path, change: str) -> None:
    rows = [record(f"c{number}") for number in range(30)]
    one, two = (write(tmp_path / name, lines(*part)) for name, part in (("a.jsonl", rows[:15]), ("b.jsonl", rows[15:])))
    before = scan_cases([one, two])
    every = [placed[1].id for placed in read_pending(before, ())]
    Start(before, tmp_path / "index").deal(every)
    assert (tmp_path / "index").stat().st_mode & 0o777 == 0o600
    given, version = [one, two], "1"
    if change == "bytes":
        write(Path(two), Path(two).read_text().replace('"c29"', '"new"'))
    elif change == "version":
        version = "2"
    elif change == "form":
        given = [write(tmp_path / "c.json", json.dumps(rows)), two]
    else:
        given = [two, one]
    found = scan_cases(given)
    start = Start(found, tmp_path / "index", version)
    assert start.deal(every) == list(read_pending(found, every))
    assert start.read == list(range(len(found.parts)))
    again = Start(found, tmp_path / "index", version)
    again.deal({placed[1].id for placed in read_pending(found, ())})
    assert again.read == []


def test_a_cut_or_flipped_index_changes_nothing_that_is_dealt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "PART_BYTES", 800)
    rows: list[Any] = [record(f"c{number}") for number in range(24)]
    rows[12] = record("c2")
    found, index = scan_cases(write_as(tmp_path / "x.jsonl", rows)), tmp_path / "index"
    done = {f"c{number}" for number in range(23)}
    Start(found, index).deal(done)
    expected, whole = list(read_pending(found, done)), index.read_bytes()
    assert len(found.parts) == 3
    hashes = SortedHashes(IdSet(done).sort_hashes())
    tables = [list(pack_part(part, number, hashes)) for number, part in enumerate(found.parts)]
    monkeypatch.setitem(globals(), "pack_part", lambda _, number, __: tables[number])
    for at in range(0, len(whole), 29):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        for damaged in (whole[:at], bytes(flipped)):
            index.write_bytes(damaged)
            assert Start(found, index).deal(done) == expected
    start = Start(found, index)
    assert (start.deal(done), len(start.read)) == (expected, 1)


def test_a_folder_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    found = scan_cases(write_as(tmp_path / "x.jsonl", [record(number) for number in range(30)]))
    start = Start(found, tmp_path / "gone" / "index")
    assert start.deal(["1"]) == list(read_pending(found, ["1"]))
