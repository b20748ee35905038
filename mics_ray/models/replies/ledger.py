"""What a run has spent, and the hard cap on it: money is reserved before a call is sent.

One SQLite file per run, shared by its endpoint processes on one node. A process may be killed at any moment: what it
held back for calls under way counts as spent when its successor opens the account, for those calls may have been paid.
"""

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from mics_ray.private_files import create_private, make_private_folder

LEDGER_FILE = "spent.ledger"
"""The file's name, in the folder of the paid replies."""
UNIT = 1e-9
"""Of the amounts in the file, US dollars: whole numbers, so that nothing held is left over by rounding."""
SCHEMA = "CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, spent INTEGER NOT NULL, held INTEGER NOT NULL)"
OPEN_ACCOUNT = """INSERT INTO accounts VALUES (?, 0, 0)
    ON CONFLICT (name) DO UPDATE SET spent = spent + held, held = 0"""
TOTALS = "SELECT coalesce(sum(spent), 0), coalesce(sum(held), 0) FROM accounts"
HOLD = "UPDATE accounts SET held = held + ? WHERE name = ?"
SETTLE = "UPDATE accounts SET held = held - ?, spent = spent + ? WHERE name = ?"


class Grant(Enum):
    """The answer to a wish to spend."""

    YES = "yes"
    LATER = "later"
    """Calls under way hold what is left; when they are settled there may be room."""
    NEVER = "never"
    """It does not fit, and nothing is held back."""


class Ledger:
    """One process's account, ``name``, in the ledger under ``folder``. Amounts are US dollars."""

    def __init__(self, folder: Path, name: str, cap_usd: float | None) -> None:
        """Open the account. Raises :class:`OSError` where it cannot be written."""
        self._name, self._cap = name, None if cap_usd is None else _to_units(cap_usd)
        path = folder / LEDGER_FILE
        make_private_folder(folder)
        create_private(path)
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=60.0)
            with contextlib.suppress(sqlite3.OperationalError):  # some network file systems cannot
                self._connection.execute("PRAGMA journal_mode = WAL")
            # A killed process loses nothing; a machine that loses power may lose the last moments' entries.
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(SCHEMA)
            self._connection.execute(OPEN_ACCOUNT, (name,))
        except sqlite3.Error as error:
            raise OSError(errno.EIO, str(error), LEDGER_FILE) from None

    def reserve_usd(self, usd: float) -> Grant:
        """Hold ``usd`` back for a call, if spent and held stay within the cap. Raises :class:`OSError`."""
        with self._locked_transaction() as connection:
            spent, held = connection.execute(TOTALS).fetchone()
            if self._cap is not None and spent + held + _to_units(usd) > self._cap:
                return Grant.LATER if held else Grant.NEVER
            connection.execute(HOLD, (_to_units(usd), self._name))
        return Grant.YES

    def settle_usd(self, held_usd: float, paid_usd: float) -> None:
        """End a call that held ``held_usd`` back and cost ``paid_usd``. Raises :class:`OSError`."""
        with self._locked_transaction() as connection:
            connection.execute(SETTLE, (_to_units(held_usd), _to_units(paid_usd), self._name))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def _locked_transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            finally:  # after an error too: a statement that failed wrote nothing
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise OSError(errno.EIO, str(error), LEDGER_FILE) from None


def read_spent_usd(folder: Path) -> float:
    """What the run with this folder of paid replies has spent, in US dollars; amounts held back for calls included."""
    path = folder / LEDGER_FILE
    if not path.exists():
        return 0.0
    with contextlib.closing(sqlite3.connect(path)) as connection:
        try:
            spent, held = connection.execute(TOTALS).fetchone()
        except sqlite3.Error as error:
            raise OSError(errno.EIO, str(error), str(path)) from None
    return float((spent + held) * UNIT)


def _to_units(usd: float) -> int:
    return round(usd / UNIT)
