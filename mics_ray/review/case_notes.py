"""The notes of cases (findings, captions), which mentors see and rows do not hold: read again from the run's input."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mics_ray.assemble.locations import resolve_cases
from mics_ray.core.types import Case
from mics_ray.io.cases import InputError, RecordPlace, survey_cases
from mics_ray.private_files import create_private

Note = dict[str, str]
"""``label`` and ``text``."""


@dataclass(frozen=True, slots=True)
class CaseNotes:
    """The notes of all cases by id, on the disk and not in memory. ``problem`` says why there are none."""

    table: sqlite3.Connection | None
    problem: str = ""

    def find_notes(self, row: Mapping[str, Any]) -> list[Note]:
        """The notes of a row's case beside its context; none where the input holds another question for its id."""
        if self.table is None:
            return []
        found = self.table.execute("SELECT question, notes FROM notes WHERE id = ?", (row["case_id"],)).fetchone()
        if found is None or found[0] != row["question"]:
            return []
        told = set(row["context"].splitlines())
        return [note for note in json.loads(found[1]) if f"{note['label']}: {note['text']}" not in told]


@contextmanager
def read_case_notes(given: object, place: Path) -> Iterator[CaseNotes]:
    """The notes in the input that a run's configuration names as ``data.cases``; kept in ``place`` meanwhile."""
    if not given:
        yield CaseNotes(None, "the run's configuration names no input")
        return
    create_private(place)
    try:
        with closing(sqlite3.connect(place)) as table:
            yield _fill_table(table, given)
    finally:
        for path in place.parent.glob(f"{place.name}*"):
            path.unlink()


def _fill_table(table: sqlite3.Connection, given: object) -> CaseNotes:
    # Nothing of it outlives this report: no journal, no waiting for the disk.
    table.executescript(
        "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; CREATE TABLE notes (id PRIMARY KEY, question, notes)"
    )

    def keep_notes(_: RecordPlace, case: Case) -> None:
        notes = json.dumps([{"label": note.label, "text": note.text} for note in case.notes])
        table.execute("INSERT OR IGNORE INTO notes VALUES (?, ?, ?)", (case.id, case.question, notes))

    try:
        survey_cases(resolve_cases(given), inspect=keep_notes)
    except (InputError, OSError) as error:
        # Without its message: that names a path of this machine, and a report is for others to read.
        return CaseNotes(None, f"the run's input cannot be read where the report was made ({type(error).__name__})")
    return CaseNotes(table)
