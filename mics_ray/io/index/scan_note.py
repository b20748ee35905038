"""A note of what the input is: files that no one has touched since are neither counted nor digested again.

A cache, as the index of the shards is: a file is believed to be the one that was scanned where its path, size, times
and inode are the same. One that was changed shortly before it was scanned is not noted: a further change within the
tick of its file system's clock would not show.
"""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mics_ray.io.index.entries import read_entries, write_entries
from mics_ray.io.index.file_state import FileState, read_file_state
from mics_ray.io.input_files import CasesGiven, InputFile, find_input_files
from mics_ray.io.scan import Part, Scan, name_files, scan_files
from mics_ray.io.sources import Format

NOTE = ".input-scan"
"""In the run's folder; who holds its lock may write it."""
SETTLED_S = 10.0
"""For how long a file must have stayed as it is before it is scanned, to be noted: far more than a clock's tick."""
_FORMAT = "mics scan 1"


class ScanNote:
    """The note at ``path``, of what code of ``code_version`` has scanned."""

    def __init__(self, path: Path, code_version: str) -> None:
        self._path, self._header = path, f"{_FORMAT} {code_version}".encode()
        self._new: bytes | None = None

    def scan_cases(self, given: CasesGiven) -> Scan:
        """:func:`mics_ray.io.scan.scan_cases`, or what is noted of the same files. Raises ``InputError``."""
        files, began = find_input_files(given), time.time()
        states = _read_states(files)
        if (known := self._recall_scan(files, states)) is not None:
            return known
        found = scan_files(files)
        settled = bool(states) and all(state.changed_s < began - SETTLED_S for state in states)
        self._new = _pack_scan(found, files, states) if settled and states == _read_states(files) else None
        return found

    def keep(self) -> None:
        """Note what has been scanned, for the next start."""
        if self._new is not None:
            with suppress(OSError):  # it spares time at the next start; the run goes on without it
                write_entries(self._path, self._header, [self._new])

    def _recall_scan(self, files: Sequence[InputFile], states: Sequence[FileState]) -> Scan | None:
        found = read_entries(self._path, self._header).entries if states else ()
        noted = json.loads(found[0]) if found else {}
        if not noted or noted["files"] != _describe_files(files, states):
            return None
        parts = (Part(files[at], Format(form), size, *span) for at, form, size, *span in noted["parts"])
        return Scan(name_files(files), noted["sha256"], noted["records"], tuple(parts))


def _read_states(files: Sequence[InputFile]) -> list[FileState]:
    """Of each file; none where one of them tells nothing by which it is known, as at an address."""
    states = [read_file_state(Path(file.path)) for file in files]
    return states if all(map(any, states)) else []


def _describe_files(files: Sequence[InputFile], states: Sequence[FileState]) -> list[list[Any]]:
    return [[file.path, *state] for file, state in zip(files, states, strict=True)]


def _pack_scan(scan: Scan, files: Sequence[InputFile], states: Sequence[FileState]) -> bytes:
    at = {file: number for number, file in enumerate(files)}
    parts = [[at[part.file], part.form, part.size, part.first, part.start, part.end] for part in scan.parts]
    noted = {"files": _describe_files(files, states), "sha256": scan.sha256, "records": scan.records, "parts": parts}
    return json.dumps(noted).encode()
