"""The response cache: what was acknowledged is there, whoever wrote it and however the writer died."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mics_ray.models.replies.recorded_replies import RecordedReplies
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.replies.store_care import FileCheck, check_files, list_set_aside, read_sound_replies
from mics_ray.models.replies.store_file import connect_writer
from mics_ray.models.types import Reply
from tests.support.version_2 import DATA

REPLY = Reply("text \0 é", "length", 11, 22, cost_usd=0.5)
STORED = Reply("text \0 é", "length", 11, 22, cost_usd=0.0, cached=True)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def start_writer(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)


async def test_round_trip_and_reopening(tmp_path: Path) -> None:
    cache = ReplyStore(tmp_path / "c", "a")
    assert cache.find_reply(key(1)) is None
    await cache.store_reply(key(1), "m", REPLY)
    assert cache.find_reply(key(1)) == STORED
    await cache.close()
    again = ReplyStore(tmp_path / "c", "a")
    assert again.find_reply(key(1)) == STORED
    await again.close()


async def test_what_the_provider_told_of_tokens_comes_back(tmp_path: Path) -> None:
    cache = ReplyStore(tmp_path, "a")
    told = Reply("x", "stop", 100, 20, 0.5, cached_tokens=64, reasoning_tokens=7)
    await cache.store_reply(key(1), "m", told)
    assert cache.find_reply(key(1)) == replace(told, cost_usd=0.0, cached=True)
    for column in ("cached_tokens", "reasoning_tokens", "prompt_tokens"):
        with closing(sqlite3.connect(tmp_path / "a.sqlite")) as other, other:
            other.execute(f"UPDATE replies SET {column} = {column} + 1")
        assert cache.find_reply(key(1)) is None, "the checksum is over the counts too"
        with closing(sqlite3.connect(tmp_path / "a.sqlite")) as other, other:
            other.execute(f"UPDATE replies SET {column} = {column} - 1")
    assert cache.find_reply(key(1)) is not None
    await cache.close()


EARLIER = Reply("A bright spot \0 é.", "length", 11, 22, cached=True)
"""In `tests/data/version_2/cache`, with `Reply("Yes")` under key 2: a file of layout 2."""


def copy_layout_2(folder: Path) -> Path:
    return Path(shutil.copy(DATA / "cache/endpoint-0.sqlite", folder / "endpoint-0.sqlite"))


async def test_a_file_of_layout_2_is_read_where_it_lies(tmp_path: Path) -> None:
    path = copy_layout_2(tmp_path)
    before = path.read_bytes()
    record = RecordedReplies(tmp_path)
    assert (record.find_reply(key(1)), record.find_reply(key(3)), record.problems) == (EARLIER, None, {})
    record.close()
    other = ReplyStore(tmp_path, "another")
    assert other.find_reply(key(1)) == EARLIER
    assert other.find_reply(key(2)) == Reply("Yes", cached=True)
    await other.close()
    (found,) = (one for one in check_files(tmp_path) if one.name == path.name)
    assert (found.rows, found.sound) == (2, True)
    rows = list(read_sound_replies(path, FileCheck(path.name)))
    assert [(row["text"], row["cached_tokens"]) for row in rows] == [(EARLIER.text, 0), ("Yes", 0)]
    assert path.read_bytes() == before


async def test_the_writer_of_a_file_of_layout_2_goes_on_in_it(tmp_path: Path) -> None:
    copy_layout_2(tmp_path)
    reader = ReplyStore(tmp_path, "another")  # has it open while it is brought to the layout of today
    assert reader.find_reply(key(1)) == EARLIER
    writer = ReplyStore(tmp_path, "endpoint-0")
    told = Reply("x", "stop", 100, 20, cached=True, cached_tokens=64, reasoning_tokens=7)
    await writer.store_reply(key(3), "m", told)
    for store in (writer, reader):
        assert (store.find_reply(key(1)), store.find_reply(key(3))) == (EARLIER, told)
    await writer.close()
    await reader.close()
    again = ReplyStore(tmp_path, "endpoint-0")
    assert (again.find_reply(key(1)), again.find_reply(key(3))) == (EARLIER, told)
    await again.close()
    assert [(one.rows, one.sound) for one in check_files(tmp_path) if one.rows] == [(3, True)]
    assert not list_set_aside(tmp_path)


async def test_every_reader_finds_what_any_writer_stored(tmp_path: Path) -> None:
    first = ReplyStore(tmp_path, "a")
    await first.store_reply(key(1), "m", REPLY)
    second = ReplyStore(tmp_path, "b")  # while the first is still open
    assert second.find_reply(key(1)) == STORED
    await first.store_reply(key(2), "m", REPLY)
    assert second.find_reply(key(2)) == STORED
    await first.close()
    await second.close()


def test_a_commit_is_on_the_disk_when_it_returns(tmp_path: Path) -> None:
    with closing(connect_writer(tmp_path / "a.sqlite")) as writer:
        assert writer.execute("PRAGMA synchronous").fetchone() == (2,), "FULL: the journal is synced at every commit"


async def test_many_puts_share_a_disk_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ReplyStore(tmp_path, "a")
    batches: list[int] = []
    real = cache._commit_rows
    monkeypatch.setattr(cache, "_commit_rows", lambda rows: batches.append(len(rows)) or real(rows))
    await asyncio.gather(*(cache.store_reply(key(i), "m", REPLY) for i in range(500)))
    assert sum(batches) == 500
    assert len(batches) <= 2
    assert all(cache.find_reply(key(i)) for i in range(500))
    await cache.close()


async def test_a_cancelled_put_holds_nobody_up_and_is_stored_all_the_same(tmp_path: Path) -> None:
    cache = ReplyStore(tmp_path, "a")
    cancelled = asyncio.create_task(cache.store_reply(key(1), "m", REPLY))
    kept = asyncio.create_task(cache.store_reply(key(2), "m", REPLY))
    await asyncio.sleep(0)
    cancelled.cancel()
    await kept
    assert cache.find_reply(key(1)) == cache.find_reply(key(2)) == STORED
    await cache.close()


async def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        cache = ReplyStore(tmp_path / "c", "a")
        await cache.store_reply(key(1), "m", REPLY)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in [tmp_path / "c", *(tmp_path / "c").iterdir()]}
    assert modes.pop("c") == 0o700
    assert "a.sqlite" in modes
    assert set(modes.values()) == {0o600}
    await cache.close()


@pytest.mark.parametrize("name", ["a", "other"])
async def test_a_damaged_file_is_set_aside(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / f"{name}.sqlite").write_bytes(b"not a database" * 1000)
    (tmp_path / f"{name}.sqlite-wal").write_bytes(b"its journal")
    cache = ReplyStore(tmp_path, "a")
    assert "damaged" in caplog.text
    assert (tmp_path / f"{name}.sqlite.damaged-1").read_bytes().startswith(b"not a database")
    assert b"its journal" not in [data for name, data in contents(tmp_path).items() if name.endswith("-wal")]
    await cache.store_reply(key(1), "m", REPLY)
    assert cache.find_reply(key(1)) == STORED
    await cache.close()


async def test_damage_that_shows_only_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = ReplyStore(tmp_path, "a")
    await asyncio.gather(*(cache.store_reply(key(i), "m", Reply("x" * 3000)) for i in range(300)))
    await cache.close()
    path = tmp_path / "a.sqlite"
    assert list(contents(tmp_path)) == [path.name]
    size = len(contents(tmp_path)[path.name])
    overwrite(path, 2 * 4096, b"\xee" * (size - 4 * 4096))  # the first two pages hold the header and the root
    again = ReplyStore(tmp_path, "a")
    for i in range(300):
        again.find_reply(key(i))  # a miss or the reply, never an exception
    await asyncio.gather(*(again.store_reply(key(1000 + i), "m", REPLY) for i in range(20)))
    await asyncio.gather(*(again.store_reply(key(i), "m", REPLY) for i in range(300)))
    assert all(again.find_reply(key(1000 + i)) == STORED for i in range(20))
    assert "damaged" in caplog.text
    await again.close()


async def test_an_alien_database_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "alien.sqlite") as alien:
        alien.execute("CREATE TABLE t (x)")
    cache = ReplyStore(tmp_path, "a")
    assert cache.find_reply(key(1)) is None
    assert (tmp_path / "alien.sqlite").exists()
    await cache.close()


async def test_a_disk_that_takes_nothing_is_an_os_error_for_every_waiter(tmp_path: Path) -> None:
    cache = ReplyStore(tmp_path, "a")
    cache._writer.execute("PRAGMA max_page_count = 1")  # SQLite's own "database or disk is full"
    results = await asyncio.gather(
        *(cache.store_reply(key(i), "m", Reply("x" * 10_000)) for i in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [OSError] * 3
    assert "xxx" not in str(results[0])
    await cache.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from mics_ray.models.replies.recorded_replies import RecordedReplies
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.replies.store_care import FileCheck, check_files, list_set_aside, read_sound_replies
from mics_ray.models.types import Reply

async def main():
    cache = ReplyStore(Path(sys.argv[1]), "a")
    async def one(number):
        await cache.store_reply(number.to_bytes(32, "big"), "m", Reply(f"reply {number}" * 50))
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
    for start in range(0, 10**9, 8):
        await asyncio.gather(*(one(start + i) for i in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 40, 333])
async def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, acknowledged: int) -> None:
    writer = start_writer(tmp_path)
    assert writer.stdout is not None
    numbers = [int(writer.stdout.readline()) for _ in range(acknowledged)]
    writer.send_signal(signal.SIGKILL)
    numbers += [int(line) for line in writer.stdout.read().split("\n")[:-1]]
    assert writer.wait() == -signal.SIGKILL
    for name in ("b", "a"):  # read by another, then by a successor of the same name
        cache = ReplyStore(tmp_path, name)
        for number in numbers:
            reply = cache.find_reply(key(number))
            assert reply is not None
            assert reply.text == f"reply {number}" * 50
        await cache.store_reply(key(10**12), "m", REPLY)
        await cache.close()


def damage_index(path: Path, index: str) -> None:
    """Overwrite the root page of an index that only writing looks at."""
    with closing(sqlite3.connect(path)) as connection:
        ((root,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (index,)).fetchall()
        ((size,),) = connection.execute("PRAGMA page_size").fetchall()
    overwrite(path, (root - 1) * size, b"\xee" * size)


async def test_a_file_that_takes_no_more_is_replaced_and_still_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "ab":
        before = ReplyStore(tmp_path, name)
        number = ord(name)
        await asyncio.gather(*(before.store_reply(key(number + i * 1000), "m", REPLY) for i in range(50)))
        await before.close()
    damage_index(tmp_path / "a.sqlite", "replies_by_model")
    store = ReplyStore(tmp_path, "a")
    assert "damaged" not in caplog.text
    stored = Reply("after the damage", "stop", 1, 2)
    await asyncio.gather(*(store.store_reply(key(i), "m", stored) for i in range(5)))
    assert "set aside as .damaged-1" in caplog.text
    kept = [key(ord(name) + i * 1000) for name in "ab" for i in range(50)]
    assert [store.find_reply(one) for one in kept] == [STORED] * 100, "what was paid for is read where it lies"
    assert {store.find_reply(key(i)) for i in range(5)} == {replace(stored, cached=True)}
    await store.store_reply(key(9), "m", stored)
    await store.close()
    assert sorted(name for name in contents(tmp_path) if name.endswith(".sqlite")) == ["a.sqlite", "b.sqlite"]
    successor = ReplyStore(tmp_path, "c")
    assert [successor.find_reply(key(i)) for i in (0, 4, 9)] == [replace(stored, cached=True)] * 3
    await successor.close()


async def test_a_closed_store_leaves_no_thread_and_no_journal(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path, "of-this-test")
    await store.store_reply(key(1), "m", REPLY)
    assert any("of-this-test" in thread.name for thread in threading.enumerate())
    await store.close()
    assert not any("of-this-test" in thread.name for thread in threading.enumerate())
    assert list(contents(tmp_path)) == ["of-this-test.sqlite"]


async def test_a_neighbours_file_that_cannot_be_opened_is_left_out_and_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "b.sqlite").mkdir()
    store = ReplyStore(tmp_path, "a")
    assert "b.sqlite is left out" in caplog.text
    assert (tmp_path / "b.sqlite").is_dir()
    assert store.find_reply(key(1)) is None
    await store.close()
    with pytest.raises(OSError, match=r"b\.sqlite"):
        ReplyStore(tmp_path, "b")
