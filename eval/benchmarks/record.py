"""Records of a benchmark's files, whose fields are asked for by name and type; a wrong one is named with its file."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mics_ray.core.display import make_storable
from mics_ray.errors import RefusedRun
from mics_ray.io.parquet_files import open_parquet

_BATCH = 64


@dataclass(frozen=True, slots=True)
class BenchmarkRecord:
    """One record: its values, its file, its number in the file from 1. Messages never quote a value."""

    values: dict[str, Any]
    file: Path
    number: int

    def required_text(self, *names: str) -> str:
        """The text (or whole number) of the first of ``names`` that is there. Raises :class:`RefusedRun`."""
        value = next((self.values[name] for name in names if self.values.get(name) is not None), None)
        if value is None:
            raise self.make_refusal(f"has no field {names[0]!r}")
        # bool is an int to Python; as the text of an answer it is a damaged record.
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self.make_refusal(f"{names[0]!r} is not text")
        if text := make_storable(str(value)).strip():
            return text
        raise self.make_refusal(f"{names[0]!r} is empty")

    def gold_answers(self) -> tuple[str, ...]:
        """The answers any of which is right: ``answers`` or ``answer``, a text, a number or a list of them."""
        name = next((name for name in ("answers", "answer") if self.values.get(name) is not None), "answer")
        value = self.values.get(name)
        if not isinstance(value, list) or not value:
            value = [value]
        found = tuple(_write_answer(one) for one in value)
        if not all(found):
            raise self.make_refusal(
                f"has no field {name!r}" if value == [None] else f"{name!r} is not text, or it is empty"
            )
        return found

    def optional_text(self, name: str, default: str = "") -> str:
        """The same for a field that may be missing, null or empty."""
        return self.required_text(name) if self.values.get(name) not in (None, "") else default

    def text_list(self, name: str) -> tuple[str, ...]:
        """A list of texts, or one text for a list of one; a field that is missing or null is an empty list."""
        value = self.values.get(name)
        found = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(found, Sequence) or not all(isinstance(one, str) for one in found):
            raise self.make_refusal(f"{name!r} is neither text nor a list of texts")
        return tuple(make_storable(one) for one in found)

    def picture_bytes(self, name: str) -> bytes:
        """The bytes of an embedded picture, ``{bytes, path}`` as the hub stores it or bare."""
        value = self.values.get(name)
        content = value.get("bytes") if isinstance(value, dict) else value
        if isinstance(content, bytes) and content:
            return content
        raise self.make_refusal(f"{name!r} holds no picture" if name in self.values else f"has no field {name!r}")

    def make_refusal(self, problem: str) -> RefusedRun:
        """The error that says what is wrong with this record."""
        return RefusedRun(f"{self.file}, record {self.number}: {problem}")


def _write_answer(value: object) -> str:
    """A text or a number as it is written; ``""`` for anything else. A bool is an int to Python, and no answer."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return make_storable(str(value)).strip() if isinstance(value, str) or number else ""


def read_benchmark_records(file: Path) -> Iterator[BenchmarkRecord]:
    """All records of a Parquet, JSON Lines, JSON or CSV file. Raises :class:`RefusedRun` naming a damaged file."""
    rows = _ROWS[file.suffix](file)
    number = 0
    while True:
        # Around the reading alone: an error of the caller, which runs between two records, is not the file's.
        try:
            row = next(rows, None)
        except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
            raise RefusedRun(f"{file}: cannot be read ({type(error).__name__}); is the file whole?") from None
        if row is None:
            return
        number += 1
        if not isinstance(row, dict):
            raise RefusedRun(f"{file}, record {number}: not an object")
        yield BenchmarkRecord(row, file, number)


def _iter_parquet(file: Path) -> Iterator[Any]:
    with open_parquet(file) as table:
        for batch in table.iter_batches(_BATCH):
            yield from batch.to_pylist()


def _iter_jsonl(file: Path) -> Iterator[Any]:
    with open(file, encoding="utf-8-sig") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def _iter_json_list(file: Path) -> Iterator[Any]:
    found = json.loads(file.read_text("utf-8-sig"))
    if not isinstance(found, list):
        raise ValueError("no list")
    yield from found


def _iter_csv(file: Path) -> Iterator[Any]:
    """Every cell is text: ``None`` and ``NA`` are answers like others."""
    with open(file, encoding="utf-8-sig", newline="") as lines:
        yield from csv.DictReader(lines)


_ROWS = {".parquet": _iter_parquet, ".jsonl": _iter_jsonl, ".json": _iter_json_list, ".csv": _iter_csv}
