import gzip
import json
import os
import pickle
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mics_ray.core.types import Case
from mics_ray.io import dealt_records, packed_blocks, readers, scan
from mics_ray.io.cases import Rejection, read_places, survey_cases
from mics_ray.io.dealt_records import DealtSpan, RejectedCount, deal_records, pack_record, read_pending
from mics_ray.io.index.ids import IdSet, SortedHashes
from mics_ray.io.input_files import InputError, InputFile
from mics_ray.io.packed_blocks import pack_part, unpack_block
from mics_ray.io.scan import Scan, look_for_pictures, read_part, scan_cases
from mics_ray.io.sources import read_raw_records
from tests.unit.io.test_cases import lines, record, write

NAMES = ["x.jsonl", "x.json", "x.jsonl.gz", "x.json.gz", "x.parquet"]


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "PART_BYTES", 2000)
    monkeypatch.setattr(scan, "PART_RECORDS", 16)


def write_as(path: Path, rows: list[Any]) -> str:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=50)
        return str(path)
    text = json.dumps(rows) if ".json" in path.suffixes else lines(*rows)
    return write(path, gzip.compress(text.encode()) if path.suffix == ".gz" else text)


def spans_of(found: Scan, done: Any = ()) -> list[DealtSpan]:
    """What a driver deals, every part read by a process that knows nothing of the others."""
    parts = [pickle.loads(pickle.dumps(part)) for part in found.parts]
    shuffled = random.Random(0).sample(range(len(parts)), len(parts))
    known = SortedHashes(IdSet(done).sort_hashes())
    tables = {at: list(pack_part(parts[at], at, known)) for at in shuffled}
    packed = (record for at in range(len(parts)) for table in tables[at] for record in unpack_block(table))
    return list(deal_records(packed, IdSet(done), found.parts))


@pytest.mark.parametrize("name", NAMES)
def test_parts_in_any_order_give_what_one_reading_gives(tmp_path: Path, name: str) -> None:
    rows: list[Any] = [record(f"c{number}") for number in range(200)]
    rows[7], rows[150], rows[199] = record("c3"), record("c149"), record(None)
    path, done = write_as(tmp_path / name, rows), {"c0", "line-8", "c170"}
    found, survey = scan_cases(path), survey_cases(path, done)
    assert (found.records, found.sha256, found.name) == (200, survey.sha256, path)
    assert len(found.parts) == (1 if name.endswith("gz") else 13 if name == "x.parquet" else len(found.parts))
    assert len(found.parts) > 5 or name.endswith("gz")
    expected = [place for span in survey.spans for place in read_places(span)]
    assert list(read_pending(found, done)) == expected
    dealt = [one for span in spans_of(found, done) for one in span.records]
    assert [one.unpack() for one in dealt] == expected
    assert [one.id for one in dealt] == [one.id for _, one in expected]


@pytest.mark.parametrize("name", ["x.jsonl", "x.json.gz", "x.parquet"])
def test_what_is_done_is_not_parsed_and_its_duplicates_are_numbered_as_before(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Any] = [record(number % 90) for number in range(200)]
    rows[3] = record(None)
    path = write_as(tmp_path / name, rows)
    found, everything = scan_cases(path), read_pending(scan_cases(path), ())
    # Of the duplicates some have their row, of the records without an id none, of the others nearly all.
    done = {str(number) for number in range(89)} | {f"line-{number}" for number in (91, 120, 182)}
    expected = [placed for placed in everything if placed[1].id not in done]
    parsed = list[int]()
    parse = scan.parse_raw
    for user in (packed_blocks, dealt_records):
        monkeypatch.setattr(user, "parse_raw", lambda raw, place: parsed.append(place.position) or parse(raw, place))
    assert [one.unpack() for span in spans_of(found, done) for one in span.records] == expected
    assert sorted(parsed) == [place.position for place, _ in expected]
    assert list(read_pending(found, done)) == expected


def test_several_files_and_odd_lines(tmp_path: Path) -> None:
    text = "\ufeff" + lines(record("a"), "", "  \t", "{broken", record("a"), '"text"')
    one = write(tmp_path / "a.jsonl", text.replace("\n", "\r\n"))
    two = write_as(tmp_path / "b.parquet", [record("b"), record("a"), record("line-1-4")])
    found = scan_cases([one, two])
    expected = [item for span in survey_cases([one, two]).spans for item in read_places(span)]
    assert [one.unpack() for span in spans_of(found) for one in span.records] == expected
    assert found.records == len(expected) == 7
    assert [item.id for _, item in expected] == ["a", "line-1-4", "line-1-5", "line-1-6", "b", "line-2-2", "line-2-3"]


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.parquet"])
def test_a_look_for_pictures_goes_over_the_whole_input_and_is_bounded(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Any] = [record(number) | {"images": []} for number in range(1000)]
    decoded = list[int]()

    def count_records(*args: Any) -> Any:
        for raw in read_raw_records(*args):
            decoded.append(raw.position)
            yield raw

    monkeypatch.setattr(scan, "read_raw_records", count_records)
    monkeypatch.setattr(scan, "LOOKED_AT", 400)
    assert not look_for_pictures(scan_cases(write_as(tmp_path / name, rows)))
    assert len(decoded) <= 400
    assert max(decoded) > 900
    # Of a record that is rejected no model sees the picture.
    rows[0] |= {"images": ["a.png"], "messages": None}
    assert not look_for_pictures(scan_cases(write_as(tmp_path / name, rows)))
    rows[-30:] = [record(number) | {"images": ["a.png"]} for number in range(30)]
    assert look_for_pictures(scan_cases(write_as(tmp_path / name, rows)))


def test_what_is_no_case_is_counted_as_it_is_dealt(tmp_path: Path) -> None:
    text = lines(record("a"), record("b"), "{broken", record("a"), record("c", None), record("a"), record("d"))
    found = scan_cases(write(tmp_path / "x[b].jsonl", text))
    told = []
    for done in ((), {"line-3"}, {"a", "line-3", "line-4"}, {"line-3", "line-4", "line-6", "c"}):
        count = RejectedCount()
        for span in spans_of(found, done):
            count.add_span(span)
        told.append(count.describe())
    assert told == [
        "4 records unusable; the first: x[b].jsonl, line 3: broken JSON (Expecting property name enclosed in double "
        "quotes, character 2)",
        "3 records unusable; the first: x[b].jsonl, line 4: the id 'a' is that of an earlier record",
        told[2],
        "",
    ]
    assert told[2].startswith("2 records unusable; the first: x[b].jsonl, line 5: ")


def test_a_line_over_the_limit_is_one_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MAX_RECORD", 3 * 2**20)
    long = json.dumps(record("long", "Q" * 2**22))
    for name, text in (("x.jsonl", lines(record("a"), long, record("b"))), ("x.json", f'[{{"id": 1}},{long}]')):
        found = scan_cases(write(tmp_path / name, text))
        assert found.records == (3 if name == "x.jsonl" else 2)
        reasons = [item.reason for _, item in read_pending(found, ()) if isinstance(item, Rejection)]
        assert "longer than 3 MB" in "".join(reasons)


@pytest.mark.parametrize(
    ("name", "text"), [("x.jsonl", "\n" * 5000), ("x.json", "[]"), ("x.json", '[{"rid": 1}'), ("y.json", "{}")]
)
def test_what_holds_no_records_is_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(InputError, match=name):
        scan_cases(write(tmp_path / name, text))


def test_an_empty_table_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    whole = Path(write_as(tmp_path / "x.parquet", [record("a")]))
    pq.write_table(pa.table({"rid": pa.array([], pa.string())}), tmp_path / "y.parquet")
    with pytest.raises(InputError, match=r"y.parquet: holds no records"):
        scan_cases(tmp_path / "y.parquet")
    write(tmp_path / "z.parquet", whole.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"z.parquet: cannot be read as parquet"):
        scan_cases(tmp_path / "z.parquet")


def test_a_file_that_changed_is_noticed_by_who_reads_a_part(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", lines(record("a")))
    (part,) = scan_cases(path).parts
    write(tmp_path / "x.jsonl", lines(record("b"), record("a")))
    with pytest.raises(InputError, match="changed since"):
        list(read_part(part))
    os.remove(path)
    with pytest.raises(InputError, match="cannot be read any more"):
        list(read_part(part))


def test_spans_are_small_at_first_and_never_too_heavy(tmp_path: Path) -> None:
    light = [pack_record(placed) for placed in read_pending(scan_cases(many(tmp_path, 20_000)), ())]
    counts = [len(span.records) for span in deal_records(light, ())]
    assert counts[0] == dealt_records.LEAST_DEAL
    assert max(counts) == counts[-3] == dealt_records.MOST_DEAL
    assert sum(counts) == 20_000
    heavy = [record("a" * n, "Q" * 700_000) for n in range(1, 5)]
    path = write(tmp_path / "heavy.jsonl", lines(*heavy))
    assert [len(span.records) for span in spans_of(scan_cases(path))] == [1, 1, 1, 1]


def many(folder: Path, count: int) -> str:
    return write(folder / "many.jsonl", lines(*(record(number) for number in range(count))))


def test_what_is_left_of_a_span(tmp_path: Path) -> None:
    text = lines(record("a"), record("b"), "", record("a"), "{broken", record("c"))
    (span,) = spans_of(scan_cases(write(tmp_path / "x.jsonl", text)))
    left = span.drop_done({"b", "line-5"})
    assert left is not None
    found = [one.unpack()[1] for one in left.records]
    assert [item.id for item in found] == ["a", "line-4", "c"]
    assert [isinstance(item, Case) for item in found] == [True, False, True]
    assert left.drop_done({"a", "line-4", "c"}) is None


def test_lines_are_found_as_they_are_read_however_the_file_falls_into_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MAX_RECORD", 12)
    lines_of = [b"\n", b"\n\n", b'{"a": 1}\n', b" x\n", b"\x0b\x0c\n"]
    pieces = [*lines_of, b" ", b"\t\r", b"{", b"\xef\xbb\xbf", b" " * 12, b"y" * 7]
    chance = random.Random(0)
    for _ in range(400):
        text = b"".join(chance.choice(pieces) for _ in range(chance.randrange(1, 30)))
        file = InputFile(write(tmp_path / "x.jsonl", text), "x.jsonl")
        expected = [(raw.position, raw.start) for raw in readers.read_jsonl(file, 0, 1)]
        for chunk in (3, 5, 64):
            monkeypatch.setattr(readers, "_CHUNK", chunk)
            found = [place for at, start in readers.find_jsonl(file) for place in zip(at, start, strict=True)]
            assert found == expected, text
