"""The page's data as files that a script tag loads, for browsers let no page from the disk fetch a file.

A file is one call, ``MICS.put(NAME, DATA)``; DATA is JSON, deflated, in base64: whatever a model wrote, nothing of it
can end the script or begin another, and the page decodes it with the browser's own means. A quarter of the size, too.
"""

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from mics_ray.review.data.case_data import dump_case, write_json
from mics_ray.review.data.case_list import arrange_columns, describe_entry

CHUNK_BYTES = 400_000
"""JSON of cases in one file: a case is shown in well under 100 ms, decoding its file included."""
LIST_ENTRIES = 5_000
"""Entries of the list in one file."""

Write = Callable[[str, str], None]
"""Takes the name of a piece of data and its encoded text."""


def encode_data(value: Any) -> str:
    """A JSON value as the page reads it: letters, digits, ``+``, ``/`` and ``=``."""
    return encode_json(write_json(value))


def encode_json(text: str) -> str:
    """JSON as the page reads it, see :func:`encode_data`."""
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode()


def decode_data(text: str) -> Any:
    """The value that :func:`encode_data` was given."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


def wrap_script(name: str, text: str) -> str:
    """The script that hands a piece of data to the page. ``name`` is one of ours, such as ``cases/a/12``."""
    return f'MICS.put("{name}","{text}");\n'


def unwrap_script(script: str) -> str:
    """The encoded text in a script of :func:`wrap_script`."""
    return script.split('"')[3]


@dataclass(slots=True)
class CaseChunks:
    """Takes rows in their order and writes them in files of bounded size: cases, and entries of the list.

    ``side`` tells two runs apart that are looked at together. ``first`` is the number of the first case of each file of
    cases, ``lists`` how many files of the list there are.
    """

    side: str
    write: Write
    count: int = 0
    first: list[int] = field(default_factory=list)
    lists: int = 0
    _cases: list[str] = field(default_factory=list)
    _entries: list[dict[str, Any]] = field(default_factory=list)
    _bytes: int = 0

    def add_row(
        self,
        row: Mapping[str, Any],
        pictures: Sequence[Mapping[str, Any]] = (),
        notes: Sequence[Mapping[str, str]] = (),
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Take one case; ``more`` are further columns of its entry in the list."""
        if not self._cases:
            self.first.append(self.count)
        case = dump_case(row, pictures, notes)
        self._cases.append(case)
        self._entries.append(describe_entry(row) | dict(more))
        self._bytes += len(case)
        self.count += 1
        if self._bytes >= CHUNK_BYTES:
            self._write_cases()
        if len(self._entries) >= LIST_ENTRIES:
            self._write_entries()

    def close(self) -> None:
        """Write what is left."""
        if self._cases:
            self._write_cases()
        if self._entries:
            self._write_entries()

    def _write_cases(self) -> None:
        self.write(f"cases/{self.side}/{len(self.first) - 1}", encode_json(f"[{','.join(self._cases)}]"))
        self._cases, self._bytes = [], 0

    def _write_entries(self) -> None:
        self.write(f"list/{self.side}/{self.lists}", encode_data(arrange_columns(self._entries)))
        self._entries, self.lists = [], self.lists + 1
