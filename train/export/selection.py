"""What an export decides over all rows: kept and dropped ones, in a table on the disk, so that any number of them fits.

Only ids, digests and numbers are in it. A row's number is its place in the order of reading, over all runs.
"""

import errno
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median

from mics_ray.errors import RefusedRun
from mics_ray.io.index.ids import IdSet
from mics_ray.private_files import create_private
from train.export.select import Dropped, Kept, digest_content
from train.export.split import Stratum, choose_validation, draw_place, find_leaders

_TABLES = """
CREATE TABLE kept (
    number INTEGER PRIMARY KEY, run TEXT, case_id TEXT, name TEXT, patient TEXT, score REAL, accepted INTEGER,
    rejected INTEGER, content BLOB, tokens INTEGER, outcome TEXT, rounds INTEGER, validates INTEGER DEFAULT 0);
CREATE TABLE shown (number INTEGER, digest TEXT, path TEXT);
CREATE TABLE dropped (run TEXT, case_id TEXT, reason TEXT, detail TEXT);
"""
_IS_ACCEPTED = "(accepted > 0 AND NOT rejected)"
_IS_REJECTED = "(rejected > 0 AND NOT accepted)"


@contextmanager
def open_table(path: Path) -> Iterator[sqlite3.Connection]:
    """A data base that is gone with its file when the block ends. Raises ``OSError``."""
    create_private(path)
    try:
        with closing(sqlite3.connect(path)) as table:
            # Nothing of it outlives the export: no journal, no waiting for the disk.
            table.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-32768")
            yield table
    except sqlite3.OperationalError as error:
        raise OSError(errno.EIO, str(error), str(path)) from None
    finally:
        path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Selected:
    """A row that is a sample: ``name`` is unique over all runs, ``tokens`` its measured length."""

    number: int
    name: str
    tokens: int
    validates: bool


class Selection:
    """Takes every row once, kept or dropped; then each decision drops some of the kept, in the order of its methods."""

    def __init__(self, table: sqlite3.Connection) -> None:
        table.executescript(_TABLES)
        self._table = table

    def keep_row(self, number: int, one: Kept, tokens: int) -> None:
        """Take a kept row with its number and the tokens that it would have as a sample."""
        said = (one.verdicts.accepted, one.verdicts.rejected) if one.verdicts else (0, 0)
        case_id, about = one.row["case_id"], (one.row["outcome"], one.row["rounds"])
        values = (number, one.run.name, case_id, case_id, one.patient, one.score, *said, digest_content(one), tokens)
        self._table.execute(
            "INSERT INTO kept (number, run, case_id, name, patient, score, accepted, rejected, content, tokens, "
            "outcome, rounds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, *about),
        )
        if one.pictures:
            pictures = [(number, picture.digest, picture.path) for picture in one.pictures]
            self._table.executemany("INSERT INTO shown VALUES (?, ?, ?)", pictures)

    def drop_row(self, one: Dropped) -> None:
        """Take a row that is left out."""
        self._table.execute("INSERT INTO dropped VALUES (?, ?, ?, ?)", (one.run, one.case_id, one.reason, one.detail))

    def drop_unaccepted(self) -> None:
        """Chains that some reviewer accepts and none rejects stay."""
        self._table.execute(
            "INSERT INTO dropped SELECT run, case_id, 'review', CASE WHEN rejected THEN "
            "'rejected by ' || rejected || ' of ' || (rejected + accepted) ELSE 'not reviewed' END "
            f"FROM kept WHERE NOT {_IS_ACCEPTED} ORDER BY number"
        )
        self._table.execute(f"DELETE FROM kept WHERE NOT {_IS_ACCEPTED}")

    def drop_duplicates(self) -> None:
        """Of rows with the same question and the same pictures the best stays: what people say goes before the score,
        of equals the first."""
        self._table.executescript(f"""
            CREATE TEMP TABLE beaten AS SELECT number, best FROM (
                SELECT number, FIRST_VALUE(number) OVER (
                    PARTITION BY content ORDER BY {_IS_ACCEPTED} - {_IS_REJECTED} DESC, score DESC, number
                ) AS best FROM kept) WHERE number <> best;
            INSERT INTO dropped SELECT one.run, one.case_id, 'duplicate', 'of ' || other.case_id || ' in ' || other.run
                FROM beaten JOIN kept AS one USING (number) JOIN kept AS other ON other.number = best
                ORDER BY one.number;
            DELETE FROM kept WHERE number IN (SELECT number FROM beaten);
            DROP TABLE beaten;
        """)

    def unite_patients(self) -> None:
        """Of patients with a picture in common all get the name that is first in alphabetical order."""
        self._table.executescript(
            "CREATE TEMP TABLE patients (number INTEGER PRIMARY KEY, name TEXT UNIQUE, leader INTEGER);"
            "INSERT INTO patients (name) SELECT DISTINCT patient FROM kept ORDER BY patient;"
        )
        # Numbers are in the order of names; from 0 here, from 1 there.
        leaders = find_leaders(self._count("SELECT COUNT(*) FROM patients"), self._list_pairs())
        joined = ((leader + 1, number + 1) for number, leader in enumerate(leaders) if leader != number)
        self._table.executemany("UPDATE patients SET leader = ? WHERE number = ?", joined)
        self._table.executescript(
            "UPDATE kept SET patient = (SELECT other.name FROM patients AS one JOIN patients AS other ON "
            "other.number = one.leader WHERE one.name = kept.patient) "
            "WHERE patient IN (SELECT name FROM patients WHERE leader IS NOT NULL);"
            "DROP TABLE patients;"
        )

    def _list_pairs(self) -> Iterator[tuple[int, int]]:
        """The numbers, from 0, of patients with a picture in common, each with the next of them."""
        rows = self._table.execute(
            "SELECT digest, patients.number - 1 FROM shown JOIN kept USING (number) "
            "JOIN patients ON patients.name = kept.patient ORDER BY digest"
        )
        for (digest, one), (next_digest, other) in pairwise(rows):
            if digest == next_digest:
                yield one, other

    def name_samples(self) -> None:
        """Where two rows have the same case id, their samples are named after their runs too."""
        self._table.execute(
            "UPDATE kept SET name = case_id || '@' || run "
            "WHERE case_id IN (SELECT case_id FROM kept GROUP BY case_id HAVING COUNT(*) > 1)"
        )

    def drop_long(self, most: int) -> None:
        """Samples of more than ``most`` tokens go."""
        self._table.execute(
            "INSERT INTO dropped SELECT run, case_id, 'length', tokens || ' tokens, at most ' || ?1 FROM kept "
            "WHERE tokens > ?1 ORDER BY number",
            (most,),
        )
        self._table.execute("DELETE FROM kept WHERE tokens > ?", (most,))

    def check_names(self) -> None:
        """Raises :class:`RefusedRun` where two samples would have the same id."""
        twice = "SELECT name FROM kept GROUP BY name HAVING COUNT(*) > 1 ORDER BY MIN(number) LIMIT 1"
        for (name,) in self._table.execute(twice):
            raise RefusedRun(f"two samples would have the id {name}; rename a run folder, or export the runs apart")

    def split(self, share: float, seed: int) -> None:
        """About ``share`` of the samples validate, and about that of each outcome and rounds; no patient is on both
        sides."""
        self._table.create_function("place", 1, lambda name: draw_place(seed, name), deterministic=True)
        counted = self._table.execute("SELECT outcome, rounds, COUNT(*) FROM kept GROUP BY outcome, rounds")
        strata = {(outcome, rounds): count for outcome, rounds, count in counted}
        chosen = choose_validation(self._iter_patients(), strata, share)
        self._table.execute("CREATE TEMP TABLE validating (patient TEXT PRIMARY KEY)")
        self._table.executemany("INSERT INTO validating VALUES (?)", ((name,) for name in chosen))
        self._table.executescript(
            "UPDATE kept SET validates = 1 WHERE patient IN (SELECT patient FROM validating); DROP TABLE validating;"
        )

    def _iter_patients(self) -> Iterator[tuple[str, Counter[Stratum]]]:
        """Patients in the order of the draw, each with the samples of each stratum."""
        rows = self._table.execute(
            "SELECT patient, outcome, rounds, COUNT(*) FROM kept GROUP BY patient, outcome, rounds "
            "ORDER BY place(patient), patient, MIN(number)"
        )
        for patient, group in groupby(rows, key=lambda row: str(row[0])):
            yield patient, Counter({(outcome, rounds): count for _, outcome, rounds, count in group})

    def iter_samples(self) -> Iterator[Selected]:
        """What is kept, in the order of reading."""
        rows = self._table.execute("SELECT number, name, tokens, validates FROM kept ORDER BY number")
        for number, name, tokens, validates in rows:
            yield Selected(number, name, tokens, bool(validates))

    def count_side(self, validates: bool) -> int:
        """Samples of a side."""
        return self._count("SELECT COUNT(*) FROM kept WHERE validates = ?", validates)

    def count_patients(self, validates: bool) -> int:
        """Patients of a side."""
        return self._count("SELECT COUNT(DISTINCT patient) FROM kept WHERE validates = ?", validates)

    def count_kept(self, run: str) -> int:
        """Samples of a run."""
        return self._count("SELECT COUNT(*) FROM kept WHERE run = ?", run)

    def count_dropped(self, run: str) -> int:
        """Rows of a run that are left out."""
        return self._count("SELECT COUNT(*) FROM dropped WHERE run = ?", run)

    def summarise_tokens(self) -> dict[str, int]:
        """The least, the median and the most tokens of a sample."""
        least, most, count = next(self._table.execute("SELECT MIN(tokens), MAX(tokens), COUNT(*) FROM kept"))
        middle = self._table.execute(
            "SELECT tokens FROM kept ORDER BY tokens LIMIT ? OFFSET ?", (2 - count % 2, (count - 1) // 2)
        )
        return {"min": least, "median": round(median(tokens for (tokens,) in middle)), "max": most}

    def count_reasons(self) -> dict[str, int]:
        """How many rows each reason left out, the most frequent first."""
        return dict(self._table.execute(
            "SELECT reason, COUNT(*) FROM dropped GROUP BY reason ORDER BY COUNT(*) DESC, MIN(rowid)"
        ))  # fmt: skip

    def iter_dropped(self, reason: str) -> Iterator[dict[str, str]]:
        """The rows that a reason left out, as the report lists them."""
        for case_id, run, detail in self._table.execute(
            "SELECT case_id, run, detail FROM dropped WHERE reason = ? ORDER BY rowid", (reason,)
        ):
            yield {"id": case_id, "run": run, "detail": detail}

    def list_pictures(self) -> IdSet:
        """The paths of the pictures that samples show."""
        rows = self._table.execute("SELECT path FROM shown JOIN kept USING (number)")
        found = IdSet()
        for (path,) in rows:
            found.add(path)
        return found

    def _count(self, query: str, *values: object) -> int:
        return int(next(self._table.execute(query, values))[0])
