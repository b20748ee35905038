import contextlib
import errno
import os
import sqlite3
import threading
from pathlib import Path

import pytest

from mics_ray.models.replies.ledger import LEDGER_FILE, Grant, Ledger, read_spent_usd


def test_what_is_held_back_counts_until_it_is_settled(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "a", 1.0)
    assert ledger.reserve_usd(0.6) is Grant.YES
    assert ledger.reserve_usd(0.6) is Grant.LATER
    ledger.settle_usd(0.6, 0.1)
    assert ledger.reserve_usd(0.6) is Grant.YES
    ledger.settle_usd(0.6, 0.6)
    assert ledger.reserve_usd(0.6) is Grant.NEVER
    assert read_spent_usd(tmp_path) == pytest.approx(0.7)


def test_the_accounts_of_all_processes_share_one_cap(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path, "a", 1.0), Ledger(tmp_path, "b", 1.0)
    assert first.reserve_usd(0.7) is Grant.YES
    assert second.reserve_usd(0.7) is Grant.LATER
    first.settle_usd(0.7, 0.7)
    assert second.reserve_usd(0.7) is Grant.NEVER
    assert second.reserve_usd(0.3) is Grant.YES


def test_what_a_killed_process_held_is_taken_for_spent(tmp_path: Path) -> None:
    Ledger(tmp_path, "a", 1.0).reserve_usd(0.4)
    neighbour = Ledger(tmp_path, "b", 1.0)
    neighbour.reserve_usd(0.1)
    successor = Ledger(tmp_path, "a", 1.0)
    neighbour.settle_usd(0.1, 0.0)
    assert successor.reserve_usd(0.7) is Grant.NEVER, "0.4 is spent, nothing is held"
    assert read_spent_usd(tmp_path) == pytest.approx(0.4)


def test_without_a_cap_everything_is_granted_and_counted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "a", None)
    assert ledger.reserve_usd(1e9) is Grant.YES
    ledger.settle_usd(1e9, 2.5)
    assert read_spent_usd(tmp_path) == pytest.approx(2.5)
    assert read_spent_usd(tmp_path / "elsewhere") == 0


def test_threads_never_spend_more_than_the_cap(tmp_path: Path) -> None:
    Ledger(tmp_path, "0", 1.0)

    def spend(name: str) -> None:
        ledger = Ledger(tmp_path, name, 1.0)
        while (grant := ledger.reserve_usd(0.02)) is not Grant.NEVER:
            if grant is Grant.YES:
                ledger.settle_usd(0.02, 0.015)
        ledger.close()

    threads = [threading.Thread(target=spend, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert 0.98 < read_spent_usd(tmp_path) <= 1.0


def test_the_file_is_the_owners_alone_and_a_broken_one_is_told(tmp_path: Path) -> None:
    Ledger(tmp_path, "a", 1.0).close()
    assert (tmp_path / LEDGER_FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / LEDGER_FILE).write_bytes(b"not a database, but long enough to look like one" * 50)
    with pytest.raises(OSError, match=r"spent\.ledger"):
        Ledger(tmp_path, "a", 1.0)
    with pytest.raises(OSError, match=r"spent\.ledger"):
        read_spent_usd(tmp_path)


def test_an_amount_that_cannot_be_written_down_is_an_error(tmp_path: Path) -> None:
    """Swallowed, it would be spent and not counted."""
    ledger = Ledger(tmp_path, "a", 1.0)
    assert ledger.reserve_usd(0.4) is Grant.YES
    with contextlib.closing(sqlite3.connect(tmp_path / LEDGER_FILE)) as other:
        other.execute("ALTER TABLE accounts RENAME TO elsewhere")
    with pytest.raises(OSError, match="accounts") as reserving:
        ledger.reserve_usd(0.1)
    with pytest.raises(OSError, match="accounts"):
        ledger.settle_usd(0.4, 0.4)
    assert (reserving.value.errno, reserving.value.filename) == (errno.EIO, LEDGER_FILE)
    ledger.close()


def test_the_whole_cap_may_be_spent_and_not_a_fraction_more(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "a", 0.3)
    assert [ledger.reserve_usd(0.1) for _ in range(3)] == [Grant.YES] * 3, "in floating point 3 x 0.1 is above 0.3"
    for _ in range(3):
        ledger.settle_usd(0.1, 0.1)
    assert ledger.reserve_usd(1e-9) is Grant.NEVER
    assert ledger.reserve_usd(0.0) is Grant.YES


@pytest.mark.parametrize("usd", [0.0003, 0.0006, 0.29, 0.57])
def test_amounts_are_rounded_to_whole_units_not_cut(usd: float, tmp_path: Path) -> None:
    """Each of these lies a hair below a whole number of units in floating point."""
    ledger = Ledger(tmp_path, "a", 3 * usd)
    for _ in range(3):
        assert ledger.reserve_usd(usd) is Grant.YES
        ledger.settle_usd(usd, usd)
    assert read_spent_usd(tmp_path) == pytest.approx(3 * usd, rel=1e-12)
    assert ledger.reserve_usd(1e-9) is Grant.NEVER


def test_the_folder_that_the_ledger_makes_is_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Ledger(tmp_path / "new", "a", 1.0).close()
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_to_settle_one_call_frees_what_that_one_held_and_no_more(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "a", 1.0)
    assert [ledger.reserve_usd(0.4) for _ in range(2)] == [Grant.YES] * 2
    assert read_spent_usd(tmp_path) == pytest.approx(0.8), "what is held may be spent already"
    ledger.settle_usd(0.4, 0.1)
    assert ledger.reserve_usd(0.6) is Grant.LATER
    ledger.settle_usd(0.4, 0.1)
    assert ledger.reserve_usd(0.6) is Grant.YES


def test_a_call_is_granted_by_what_the_other_processes_have_written_last(tmp_path: Path) -> None:
    """Read before the lock is held, the sum would be an old one."""
    Ledger(tmp_path, "other", 1.0).close()
    granted: list[Grant] = []
    with contextlib.closing(sqlite3.connect(tmp_path / LEDGER_FILE, isolation_level=None)) as other:
        ledgers_open = threading.Event()

        def reserve() -> None:
            ledger = Ledger(tmp_path, "a", 1.0)
            ledgers_open.set()
            locked.wait(30)
            granted.append(ledger.reserve_usd(0.5))
            ledger.close()

        locked = threading.Event()
        thread = threading.Thread(target=reserve)
        thread.start()
        assert ledgers_open.wait(30)
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE accounts SET spent = spent + 900000000 WHERE name = 'other'")
        locked.set()
        thread.join(0.3)  # it waits for the lock: whenever it gets it, the sum is the one below
        other.execute("COMMIT")
        thread.join(30)
    assert granted == [Grant.NEVER]
