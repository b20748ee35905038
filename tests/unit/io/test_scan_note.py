"""A start recalls the scan of files that no one has touched; of any other input it takes a new one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from mics_ray.io import scan
from mics_ray.io.index import scan_note
from mics_ray.io.index.file_state import read_file_state
from mics_ray.io.index.scan_note import ScanNote
from mics_ray.io.input_files import InputError
from mics_ray.io.scan import Scan, scan_cases
from tests.unit.io.test_cases import lines, record, write
from tests.unit.io.test_scan import NAMES, write_as


@pytest.fixture(autouse=True)
def settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_note, "SETTLED_S", -60.0)


class Starts:
    """Starts with one note, and how many of them had to scan."""

    def __init__(self, note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.note, self.scanned = note, 0
        scan_files = scan.scan_files

        def count(files: Any) -> Scan:
            self.scanned += 1
            return scan_files(files)

        monkeypatch.setattr(scan_note, "scan_files", count)

    def start(self, given: Any, version: str = "1") -> Scan:
        note = ScanNote(self.note, version)
        found = note.scan_cases(given)
        note.keep()
        return found


@pytest.fixture
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Starts:
    return Starts(tmp_path / "note", monkeypatch)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_recalled_is_what_a_scan_finds(tmp_path: Path, starts: Starts, name: str) -> None:
    (tmp_path / "cases").mkdir()
    for file in (name, f"b{name}"):
        write_as(tmp_path / "cases" / file, [record(f"{file}{number}") for number in range(100)])
    for given in (tmp_path / "cases" / name, tmp_path / "cases"):
        starts.scanned = 0
        assert [starts.start(given) for _ in range(3)] == [scan_cases(given)] * 3
        assert starts.scanned == 1
    assert starts.note.stat().st_mode & 0o777 == 0o600


def _change_bytes(path: Path) -> None:
    """Of the same length, and with the time of the last change set back."""
    before = path.stat()
    path.write_text(path.read_text().replace("a cyst", "a mass"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(path: Path) -> None:
    other = path.with_suffix(".other")
    other.write_bytes(path.read_bytes())
    before = path.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize(
    "touch", [_change_bytes, _replace, lambda path: path.write_text(path.read_text() + lines(record("more")))]
)
def test_a_file_that_was_touched_is_scanned_again(
    tmp_path: Path, starts: Starts, touch: Callable[[Path], None]
) -> None:
    path = Path(write(tmp_path / "x.jsonl", lines(record("a"), record("b"))))
    starts.start(path)
    before = read_file_state(path)
    while read_file_state(path) == before:  # within a tick of the file system's clock a change does not show
        touch(path)
    assert starts.start(path) == scan_cases(path)
    assert starts.scanned == 2


def test_more_files_other_code_or_a_damaged_note_are_scanned_again(tmp_path: Path, starts: Starts) -> None:
    (tmp_path / "cases").mkdir()
    write(tmp_path / "cases/a.jsonl", lines(record("a")))
    starts.start(tmp_path / "cases")
    write(tmp_path / "cases/b.jsonl", lines(record("b")))
    assert starts.start(tmp_path / "cases").records == 2
    starts.start(tmp_path / "cases", "2")
    starts.note.write_bytes(starts.note.read_bytes()[:-3])
    starts.start(tmp_path / "cases", "2")
    assert starts.scanned == 4
    os.unlink(tmp_path / "cases/a.jsonl")
    with pytest.raises(InputError, match="no such file"):
        starts.start([str(tmp_path / "cases/a.jsonl"), str(tmp_path / "cases/b.jsonl")])


def test_a_file_that_was_just_written_is_not_noted(
    tmp_path: Path, starts: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_note, "SETTLED_S", 3600.0)
    path = write(tmp_path / "x.jsonl", lines(record("a")))
    starts.start(path)
    starts.start(path)
    assert starts.scanned == 2
    assert not starts.note.exists()


def test_a_file_that_changes_while_it_is_scanned_is_not_noted(
    tmp_path: Path, starts: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "x.jsonl", lines(record("a")))
    scan_files = scan.scan_files

    def change(files: Any) -> Scan:
        found = scan_files(files)
        write(tmp_path / "x.jsonl", lines(record("a"), record("b")))
        return found

    monkeypatch.setattr(scan_note, "scan_files", change)
    starts.start(path)
    assert not starts.note.exists()


def test_a_note_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path, starts: Starts) -> None:
    path = write(tmp_path / "x.jsonl", lines(record("a")))
    starts.note = tmp_path / "nowhere/note"
    assert starts.start(path) == starts.start(path) == scan_cases(path)


def test_what_is_at_an_address_is_scanned_each_time(tmp_path: Path, starts: Starts) -> None:
    path = write(tmp_path / "x.jsonl", lines(record("a")))
    fsspec.filesystem("memory").pipe("/scanned/y.jsonl", lines(record("b"), record("c")).encode())
    for given, records in ((path, 1), ("memory://scanned/y.jsonl", 2), ([path, "memory://scanned/y.jsonl"], 3)):
        starts.scanned = 0
        assert [starts.start(given).records for _ in range(2)] == [records] * 2
        assert starts.scanned == (1 if given == path else 2)
