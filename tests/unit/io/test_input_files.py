import gzip
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mics_ray.core.types import Case
from mics_ray.io.cases import Rejection, read_places, survey_cases
from mics_ray.io.input_files import CasesGiven, InputError, InputFile, find_input_files, list_folders
from tests.unit.io.test_cases import lines, record, write


def read(given: CasesGiven) -> list[Case | Rejection]:
    return [found for span in survey_cases(given).spans for _, found in read_places(span)]


def ids(given: CasesGiven) -> list[str]:
    return [found.id for found in read(given)]


def write_four(folder: Path) -> list[str]:
    """One file of each kind, the names in the order of their letters."""
    rows: dict[str, list[Any]] = {name: [record(f"{name}{number}") for number in range(40)] for name in "abcd"}
    pq.write_table(pa.Table.from_pylist(rows["d"]), folder / "d.parquet")
    return [
        write(folder / "a.jsonl", lines(*rows["a"])),
        write(folder / "b.json", json.dumps(rows["b"])),
        write(folder / "c.JSONL.gz", gzip.compress(lines(*rows["c"]).encode())),
        str(folder / "d.parquet"),
    ]


def test_a_folder_a_pattern_and_a_list_are_read_in_order(tmp_path: Path) -> None:
    paths = write_four(tmp_path)
    for name in (".hidden.jsonl", "_SUCCESS", "notes.txt", "picture.png", "old.jsonl.damaged"):
        write(tmp_path / name, "not a record")
    (tmp_path / "run.parquet").mkdir()
    expected = [f"{name}{number}" for name in "abcd" for number in range(40)]
    for given in (str(tmp_path), tmp_path, f"{tmp_path}/[a-d].*", f"{tmp_path}/**/[a-d].*", paths):
        assert ids(given) == expected
    assert ids(paths[::-1]) == [f"{name}{number}" for name in "dcba" for number in range(40)]
    survey = survey_cases(paths)
    assert (survey.records, survey.pending, survey.name) == (160, 160, "4 files")
    digests = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]
    assert survey.sha256 == hashlib.sha256("\n".join(digests).encode()).hexdigest()
    assert survey_cases([paths[0]]).sha256 == survey_cases(paths[0]).sha256 == digests[0]


def test_duplicates_and_records_without_an_id_over_several_files(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    one = write(tmp_path / "cases.jsonl", lines(record("a"), "", "{", record("line-2-1")))
    two = write(tmp_path / "x/cases.jsonl", lines(record("b"), record("a"), record("line-3"), record("line-2-4")))
    found = read([one, two])
    own = ["a", "line-1-3", "line-1-4", "b", "line-2-2", "line-2-3", "line-2-4"]
    assert [item.id for item in found] == own
    reasons = [item.reason for item in found if isinstance(item, Rejection)]
    assert [reason.partition(":")[0] for reason in reasons] == [
        "cases.jsonl, line 3", "cases.jsonl, line 4", "x/cases.jsonl, line 2", "x/cases.jsonl, line 3",
    ]  # fmt: skip
    assert "is that of an earlier record" in reasons[2]
    spans = survey_cases([one, two], done={"a", "line-2-2"}).spans
    assert [item.id for span in spans for _, item in read_places(span)] == [own[1], own[2], "b", own[5], own[6]]


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.json.gz", "x.jsonl", "x"])
def test_gzip_is_read_as_what_it_holds(tmp_path: Path, name: str) -> None:
    rows = [record(f"c{number}") for number in range(700)]
    text = json.dumps(rows) if name == "x.json.gz" else lines(*rows)
    half = len(text) // 2
    # Two members: what `cat a.gz b.gz` makes.
    packed = gzip.compress(text[:half].encode()) + gzip.compress(text[half:].encode())
    path = write(tmp_path / name, packed)
    assert ids(path) == [f"c{number}" for number in range(700)]
    survey = survey_cases(path)
    assert survey.sha256 == hashlib.sha256(packed).hexdigest()
    backwards = [[found.id for _, found in read_places(span)] for span in reversed(survey.spans)]
    assert [one for part in reversed(backwards) for one in part] == ids(path)


def test_a_damaged_gzip_is_refused(tmp_path: Path) -> None:
    text = lines(*(record(f"c{zlib.crc32(bytes([n]))}") for n in range(200))).encode()
    whole = gzip.compress(text, 1)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for packed in (whole[:20], whole[: len(whole) // 2], whole[:-4], bytes(flipped), b"\x1f\x8brest"):
        for name in ("x.jsonl.gz", "x.json.gz"):
            with pytest.raises(InputError, match=name):
                survey_cases(write(tmp_path / name, packed))


def test_what_names_no_cases_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lines(record("a")))
    empty = write(tmp_path / "empty.jsonl", "")
    blank = write(tmp_path / "blank.jsonl", "\n" * 5000)
    (tmp_path / "below").mkdir()
    for given, said in [
        ([], "a list of these"), ([""], "a list of these"), ([path, 5], "a list of these"), ({}, "a list of these"),
        (f"{tmp_path}/*.parquet", "no file matches"), (str(tmp_path / "below"), "no .jsonl, .ndjson"),
        ([path, path], "given twice"), ([path, f"{tmp_path}/a.*"], "given twice"), ([path, empty], "empty"),
        ([path, blank], "blank.jsonl: empty"), ([path, f"{tmp_path}/gone.jsonl"], "no such file"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=said):
            survey_cases(given)  # type: ignore[arg-type]


def test_a_name_with_the_letters_of_a_pattern_is_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a[1].jsonl", lines(record("a")))
    write(tmp_path / "a1.jsonl", lines(record("b")))
    assert ids(path) == ["a"]
    assert find_input_files(path) == (InputFile(path, "a[1].jsonl"),)


def test_the_folders_of_the_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.jsonl", lines(record("a")))
    write(tmp_path / "b.jsonl", lines(record("b")))
    (tmp_path / "x").mkdir()
    write(tmp_path / "x/c.jsonl", lines(record("c")))
    monkeypatch.chdir(tmp_path)
    here, below = str(tmp_path), str(tmp_path / "x")
    for given, folders in [
        ("a.jsonl", [here]), (".", [here]), (["a.jsonl", "b.jsonl"], [here]), ("*.jsonl", [here]),
        ("x", [below]), (["x", "a.jsonl"], [below, here]), ("**/*.jsonl", [here, below]),
    ]:  # fmt: skip
        assert sorted(list_folders(given)) == sorted(folders)
