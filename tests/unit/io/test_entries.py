"""A file of entries gives back what was written, and of a damaged one only entries before the damage."""

from pathlib import Path

import pytest

from mics_ray.io.index.entries import append_entry, read_entries, write_entries

HEADER, ENTRIES = b"of these", (b"one", b"", b"three " * 5, bytes(40))


def test_entries_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "index"
    assert read_entries(path, HEADER).entries == ()
    write_entries(path, HEADER, ENTRIES[:2])
    for entry in ENTRIES[2:]:
        append_entry(path, entry)
    found = read_entries(path, HEADER)
    assert (found.entries, found.intact) == (ENTRIES, True)
    other = read_entries(path, b"of those")
    assert (other.entries, other.intact) == ((), False)
    with pytest.raises(FileNotFoundError):
        append_entry(tmp_path / "none", b"")


def test_damage_at_any_byte_ends_what_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "index"
    write_entries(path, HEADER, ENTRIES)
    whole = path.read_bytes()
    ends = [len(whole) - sum(24 + len(entry) for entry in ENTRIES[at:]) for at in range(len(ENTRIES) + 1)]
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        before = max(0, sum(end <= at for end in ends) - 1)
        for damaged in (bytes(flipped), whole[:at], whole[:at] + b"\xff" * 30):
            path.write_bytes(damaged)
            found = read_entries(path, HEADER)
            assert found.entries == ENTRIES[:before]
            # Cut between two entries a file is whole: the rest was never written, or is read again.
            assert found.intact == (damaged == whole[:at] and at in ends)
