"""The response cache: what was acknowledged is there, whoever wrote it and however the writer died."""

import asyncio
import os
import resource
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

from mics_ray.models.replies import closing as closing_module
from mics_ray.models.replies import reply_store
from mics_ray.models.replies.closing import draw_name, list_logs, tidy_folder
from mics_ray.models.replies.recorded_replies import RecordedReplies
from mics_ray.models.replies.reply_log import LOG_SUFFIX, LeftLog, ReplyLog
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.replies.store_care import FileCheck, check_files, read_sound_replies
from mics_ray.models.types import Reply
from tests.support.version_2 import DATA

REPLY = Reply("text \0 é", "length", 11, 22, cost_usd=0.5)
STORED = Reply("text \0 é", "length", 11, 22, cost_usd=0.0, cached=True)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def open_files() -> set[str]:
    """Of this process."""
    return {os.readlink(one) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()}


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


@pytest.mark.parametrize("text", ["plain", "é 😀 \u2028", "a lone \ud800 surrogate", "\0", '"quoted" \\'])
async def test_any_text_comes_back_from_a_log_and_from_a_file(tmp_path: Path, text: str) -> None:
    cache = ReplyStore(tmp_path, "a")
    await cache.store_reply(key(1), "m", replace(REPLY, text=text))
    (log,) = map(LeftLog, list_logs(tmp_path))
    for found in (cache.find_reply(key(1)), log.find_reply(key(1))):
        assert found == replace(STORED, text=text)
    await cache.close()
    again = ReplyStore(tmp_path, "a")
    assert again.find_reply(key(1)) == replace(STORED, text=text)
    await again.close()


async def test_what_the_provider_told_of_tokens_comes_back(tmp_path: Path) -> None:
    cache = ReplyStore(tmp_path, "a")
    told = Reply("x", "stop", 100, 20, 0.5, cached_tokens=64, reasoning_tokens=7)
    await cache.store_reply(key(1), "m", told)
    assert cache.find_reply(key(1)) == replace(told, cost_usd=0.0, cached=True)
    await cache.close()
    path = only_file(tmp_path)
    for column in ("cached_tokens", "reasoning_tokens", "prompt_tokens"):
        change(path, f"{column} = {column} + 1")
        assert await found(tmp_path) is None, "the checksum is over the counts too"
        change(path, f"{column} = {column} - 1")
    assert await found(tmp_path) is not None


def change(path: Path, what: str) -> None:
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(f"UPDATE replies SET {what}")


async def found(folder: Path) -> Reply | None:
    """What a store that is opened now finds under key 1."""
    store = ReplyStore(folder, "a")
    reply = store.find_reply(key(1))
    await store.close()
    return reply


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


async def test_the_writer_of_a_file_of_layout_2_goes_on_with_its_replies(tmp_path: Path) -> None:
    copy_layout_2(tmp_path)
    tidy_folder(tmp_path)
    writer = ReplyStore(tmp_path, "endpoint-0")
    told = Reply("x", "stop", 100, 20, cached=True, cached_tokens=64, reasoning_tokens=7)
    await writer.store_reply(key(3), "m", told)
    assert (writer.find_reply(key(1)), writer.find_reply(key(3))) == (EARLIER, told)
    await writer.close()
    again = ReplyStore(tmp_path, "endpoint-0")
    assert (again.find_reply(key(1)), again.find_reply(key(3))) == (EARLIER, told)
    await again.close()
    assert [(one.rows, one.sound) for one in check_files(tmp_path)] == [(3, True)], "small files become one"


async def test_a_reader_finds_what_any_writer_had_stored(tmp_path: Path) -> None:
    first = ReplyStore(tmp_path, "a")
    await first.store_reply(key(1), "m", REPLY)
    second = ReplyStore(tmp_path, "b")  # while the first is still open
    assert second.find_reply(key(1)) == STORED
    await first.close()
    assert second.find_reply(key(1)) == STORED
    await second.close()


async def test_a_store_opens_only_what_is_of_its_kin(tmp_path: Path) -> None:
    for number, name in enumerate(("endpoint-0", "replica-x-0", "replica-x-1", "replica-y-0")):
        other = ReplyStore(tmp_path, name)
        await other.store_reply(key(number), "m", REPLY)
        if number % 2:
            await other.close()
    opened = ReplyStore(tmp_path, "replica-x-2", kin="replica-x-")
    assert [opened.find_reply(key(number)) for number in range(4)] == [None, STORED, STORED, None]
    assert not [path for path in open_files() if "replica-y-0" in path]
    await opened.close()


async def test_a_reply_is_on_the_disk_when_it_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda one: (synced.append(os.fstat(one).st_size), real(one))[1])
    cache = ReplyStore(tmp_path, "a")
    synced.clear()
    await cache.store_reply(key(1), "m", REPLY)
    (log,) = list_logs(tmp_path)
    assert synced == [log.stat().st_size]
    await cache.close()


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


async def test_a_reply_that_comes_alone_waits_for_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_store, "BATCH_S", 3600)
    store = ReplyStore(tmp_path, "one")
    await asyncio.wait_for(store.store_reply(key(1), "m", REPLY), 60)
    assert store._flusher is not None
    store._flusher.cancel()
    store._flusher = None
    await store.close()


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
    assert len(modes) == 1
    assert set(modes.values()) == {0o600}
    await cache.close()
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "c").iterdir()] == [0o600]


@pytest.mark.parametrize("name", ["a", "other"])
async def test_a_damaged_file_stays_as_it_is(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    for suffix, data in (("", b"not a database" * 1000), ("-wal", b"its journal")):
        (tmp_path / f"{name}.sqlite{suffix}").write_bytes(data)
    before = contents(tmp_path)
    tidy_folder(tmp_path)
    cache = ReplyStore(tmp_path, "a")
    assert f"{name}.sqlite is left out" in caplog.text
    await cache.store_reply(key(1), "m", REPLY)
    assert cache.find_reply(key(1)) == STORED
    await cache.close()
    assert before.items() <= contents(tmp_path).items()
    assert await found(tmp_path) == STORED


async def test_damage_inside_a_closed_file_costs_what_it_hits_and_holds_no_writer_up(tmp_path: Path) -> None:
    cache = ReplyStore(tmp_path, "a")
    await asyncio.gather(*(cache.store_reply(key(i), "m", Reply("x" * 3000)) for i in range(300)))
    await cache.close()
    path = only_file(tmp_path)
    size = path.stat().st_size
    overwrite(path, 2 * 8192, b"\xee" * (size - 4 * 8192))  # the first two pages hold the header and the root
    damaged = contents(tmp_path)
    again = ReplyStore(tmp_path, "a")
    for i in range(300):
        again.find_reply(key(i))  # a miss or the reply, never an exception
    await asyncio.gather(*(again.store_reply(key(i), "m", REPLY) for i in range(320)))
    await again.close()
    assert damaged.items() <= contents(tmp_path).items(), "no writer touches it"
    later = ReplyStore(tmp_path, "b")
    assert all(later.find_reply(key(i)) for i in range(320))
    await later.close()


async def test_an_alien_database_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "alien.sqlite") as alien:
        alien.execute("CREATE TABLE t (x)")
    cache = ReplyStore(tmp_path, "a")
    assert cache.find_reply(key(1)) is None
    assert (tmp_path / "alien.sqlite").exists()
    await cache.close()


async def test_a_disk_that_takes_nothing_is_an_os_error_for_every_waiter(tmp_path: Path) -> None:
    cache = ReplyStore(tmp_path, "a")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    results = await asyncio.gather(
        *(cache.store_reply(key(i), "m", Reply("x" * 10_000)) for i in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [OSError] * 3
    assert "xxx" not in str(results[0])
    await cache.store_reply(key(7), "m", REPLY)
    assert cache.find_reply(key(7)) == STORED, "in another log: nothing follows a write that failed"
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await cache.close()
    again = ReplyStore(tmp_path, "b")
    assert again.find_reply(key(7)) == STORED
    await again.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from mics_ray.models.replies.reply_store import ReplyStore
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


async def test_a_closed_store_leaves_no_thread_and_no_journal(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path, "of-this-test")
    await store.store_reply(key(1), "m", REPLY)
    assert any("of-this-test" in thread.name for thread in threading.enumerate())
    await store.close()
    assert not any("of-this-test" in thread.name for thread in threading.enumerate())
    path = only_file(tmp_path)
    assert (path.name.split(".")[0], path.suffix) == ("of-this-test", ".sqlite")


async def test_a_neighbours_file_that_cannot_be_opened_is_left_out_and_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "b.sqlite").mkdir()
    store = ReplyStore(tmp_path, "a")
    assert "b.sqlite is left out" in caplog.text
    assert (tmp_path / "b.sqlite").is_dir()
    assert store.find_reply(key(1)) is None
    await store.close()


async def test_long_logs_become_files_while_the_store_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_store, "LONG_LOG", 50)
    monkeypatch.setattr(closing_module, "GROWTH", 0)
    store = ReplyStore(tmp_path, "a")
    for start in range(0, 1000, 10):
        await asyncio.gather(*(store.store_reply(key(start + i), "m", REPLY) for i in range(10)))
        assert store.find_reply(key(start)) == store.find_reply(key(0)) == STORED
    await store.close()
    assert not list_logs(tmp_path)
    later = ReplyStore(tmp_path, "b")
    assert all(later.find_reply(key(i)) == STORED for i in range(1000))
    await later.close()
    assert sum(one.rows for one in check_files(tmp_path)) == 1000


def test_files_of_one_writer_stay_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing_module, "SMALL", 2**17)
    for start in range(0, 1280, 10):
        log = ReplyLog(draw_name(tmp_path, "a", LOG_SUFFIX))
        log.append_rows([reply_store._make_row(key(start + i), "m", Reply("x" * 3000)) for i in range(10)])
        log.close()
        tidy_folder(tmp_path)
    assert len(list(tmp_path.iterdir())) <= 7
    assert sum(one.rows for one in check_files(tmp_path)) == 1280


async def test_a_reader_whose_file_goes_finds_its_replies_in_the_one_that_took_its_place(tmp_path: Path) -> None:
    for number in range(2):
        store = ReplyStore(tmp_path, "a")
        await store.store_reply(key(number), "m", REPLY)
        if number == 0:
            await store.close()
            reader = ReplyStore(tmp_path, "b")
            (path,) = reader._files
            reader._files[path].close()  # as a file that another host removed: it can be read no more
    await store.close()
    assert not path.exists()
    assert reader.find_reply(key(0)) == reader.find_reply(key(1)) == STORED
    await reader.close()
