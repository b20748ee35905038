import asyncio
from pathlib import Path

import pytest

from mics_ray.core.types import LostCall
from mics_ray.models.replies.recorded_replies import RecordedReplies, RecordedReplyDamaged, ReplyNotRecorded
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.replies.store_file import DamagedReply
from mics_ray.models.types import Reply, Request


def request(text: str) -> Request:
    return Request("m", "model", "", "", text, "", 0.5, 10, 1)


async def store(folder: Path, name: str, *texts: str) -> ReplyStore:
    cache = ReplyStore(folder, name)
    for text in texts:
        await cache.store_reply(request(text).key, "model", Reply(f"reply to {text}", "length", 5, 6, 0.5))
    return cache


def record_of(folder: Path) -> RecordedReplies:
    async def make() -> None:
        for name, text in (("endpoint-0", "one"), ("intern-x-0", "two")):
            await (await store(folder, name, text)).close()

    asyncio.run(make())
    return RecordedReplies(folder)


def file_of(folder: Path, name: str) -> Path:
    (path,) = folder.glob(f"{name}.*")
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_replies_of_all_files_are_found_and_cost_nothing(tmp_path: Path) -> None:
    record = await asyncio.to_thread(record_of, tmp_path)
    for text in ("one", "two"):
        assert await record.complete(request(text), None) == Reply(f"reply to {text}", "length", 5, 6, 0.0, cached=True)
    record.close()


async def test_a_reply_that_is_not_there_is_no_lost_call(tmp_path: Path) -> None:
    record = await asyncio.to_thread(record_of, tmp_path)
    with pytest.raises(ReplyNotRecorded) as raised:
        await record.complete(request("three"), None)
    assert raised.value.entry == "m"
    assert not isinstance(raised.value, LostCall)
    record.close()


def test_reading_makes_no_file(tmp_path: Path) -> None:
    record_of(tmp_path).close()
    before = names(tmp_path)
    record = RecordedReplies(tmp_path)
    assert record.find_reply(request("one").key)
    assert names(tmp_path) == before
    record.close()
    assert names(tmp_path) == before


async def test_what_a_killed_writer_left_in_its_log_is_read(tmp_path: Path) -> None:
    cache = await store(tmp_path / "c", "endpoint-0", "one")  # not closed
    copy = tmp_path / "killed"
    copy.mkdir()
    for path in (tmp_path / "c").iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert [path.suffix for path in copy.iterdir()] == [".replies"]
    record = RecordedReplies(copy)
    assert record.find_reply(request("one").key)
    record.close()
    await cache.close()


def test_a_damaged_file_is_told_and_stays_where_it_is(tmp_path: Path) -> None:
    record_of(tmp_path).close()
    path = file_of(tmp_path, "endpoint-0")
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    before = names(tmp_path)
    record = RecordedReplies(tmp_path)
    assert list(record.problems) == [path.name]
    assert record.find_reply(request("one").key) is None
    assert record.find_reply(request("two").key)
    record.close()
    assert names(tmp_path) == before


async def test_a_reply_with_a_flipped_bit_is_damaged_unless_another_file_holds_it_whole(tmp_path: Path) -> None:
    (await asyncio.to_thread(record_of, tmp_path)).close()
    path = file_of(tmp_path, "endpoint-0")
    data = path.read_bytes()
    assert data.count(b"reply to one") == 1
    path.write_bytes(data.replace(b"reply to one", b"reply to one"[:-1] + bytes([b"e"[0] ^ 1])))
    record = RecordedReplies(tmp_path)
    with pytest.raises(DamagedReply, match="checksum"):
        record.find_reply(request("one").key)
    with pytest.raises(RecordedReplyDamaged) as raised:
        await record.complete(request("one"), None)
    assert raised.value.entry == "m"
    assert record.find_reply(request("two").key)
    record.close()
    await (await store(tmp_path, "zeta", "one")).close()
    record = RecordedReplies(tmp_path)
    assert await record.complete(request("one"), None) == Reply("reply to one", "length", 5, 6, 0.0, cached=True)
    record.close()


def test_a_run_without_a_cache_has_an_empty_record(tmp_path: Path) -> None:
    record = RecordedReplies(tmp_path / "none")
    assert record.find_reply(b"key") is None
    assert not (tmp_path / "none").exists()
