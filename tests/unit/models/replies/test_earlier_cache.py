"""A cache that versions before the log wrote, its writer killed: its replies are found, and nothing of it is lost."""

import logging
import shutil
import sqlite3
from pathlib import Path

import pytest

from mics_ray.models.replies.closing import tidy_folder
from mics_ray.models.replies.recorded_replies import RecordedReplies
from mics_ray.models.replies.reply_store import ReplyStore, _make_row
from mics_ray.models.replies.store_care import check_files, collect_stats
from mics_ray.models.replies.store_file import INSERT_REPLY, SCHEMA
from mics_ray.models.types import Reply


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def leave_earlier_cache(folder: Path, journal: str = "WAL") -> Path:
    """What a killed writer of one SQLite file left: 20 replies, each a commit, all of them in the write-ahead journal;
    with ``DELETE`` in the file."""
    (made := folder / "made").mkdir()
    connection = sqlite3.connect(made / "endpoint-0.sqlite")
    connection.execute(f"PRAGMA journal_mode = {journal}")
    connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = 3; COMMIT;")
    for number in range(20):
        with connection:
            connection.execute(INSERT_REPLY, _make_row(key(number), "m", Reply("x" * 3000)))
    killed = shutil.copytree(made, folder / "killed", ignore=shutil.ignore_patterns("*-shm"))
    connection.close()
    return Path(killed)


async def count_found(folder: Path, name: str = "endpoint-0") -> int:
    store = ReplyStore(folder, name, kin="endpoint-")
    found = sum(store.find_reply(key(number)) is not None for number in range(20))
    await store.close()
    return found


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
async def test_a_session_goes_on_from_it(tmp_path: Path, journal: str) -> None:
    cache = leave_earlier_cache(tmp_path, journal)
    tidy_folder(cache)
    assert [path.name for path in cache.iterdir()] == ["endpoint-0.sqlite"], "a closed file"
    assert await count_found(cache) == 20
    store = ReplyStore(cache, "endpoint-0")
    await store.store_reply(key(20), "m", Reply("y"))
    await store.close()
    assert await count_found(cache, "endpoint-1") == 20
    assert [(one.rows, one.sound) for one in check_files(cache)] == [(21, True)]


async def test_readers_find_all_of_it_and_leave_it_as_it_is(tmp_path: Path) -> None:
    cache = leave_earlier_cache(tmp_path)
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    record = RecordedReplies(cache)
    assert all(record.find_reply(key(number)) for number in range(20))
    record.close()
    assert [(one.rows, one.sound) for one in check_files(cache)] == [(20, True)]
    assert [one.models["m"].entries for one in collect_stats(cache)] == [20]
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == before
    assert await count_found(cache) == 20


async def test_a_damaged_journal_is_told_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = leave_earlier_cache(tmp_path)
    journal = cache / "endpoint-0.sqlite-wal"
    whole = journal.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    journal.write_bytes(damaged)
    (found,) = check_files(cache)
    assert 0 < found.rows < 20
    assert "behind the damage are lost" in (found.problem or "")
    with caplog.at_level(logging.WARNING):
        tidy_folder(cache)
    assert "commits of replies behind the damage cannot be read" in caplog.text
    assert journal.read_bytes() == damaged
    assert 0 < await count_found(cache) < 20
    journal.write_bytes(whole[: len(whole) // 2])
    assert check_files(cache)[0].sound, "a torn end was never acknowledged"


async def test_one_that_somebody_still_writes_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = leave_earlier_cache(tmp_path)
    other = sqlite3.connect(cache / "endpoint-0.sqlite")
    other.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.WARNING):
        tidy_folder(cache)
    assert "endpoint-0.sqlite cannot be folded in" in caplog.text
    assert await count_found(cache) == 20
    other.execute(INSERT_REPLY, _make_row(key(20), "m", Reply("x")))
    other.execute("COMMIT")
    other.close()
