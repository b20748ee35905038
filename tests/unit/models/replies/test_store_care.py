"""A response cache looked after: its limit, what it holds, what is damaged, what goes."""

import asyncio
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from mics_ray.config.schema import ModelConfig
from mics_ray.models.chat.endpoint import Endpoint
from mics_ray.models.replies.closing import tidy_folder
from mics_ray.models.replies.prune import plan_prune, prune_replies
from mics_ray.models.replies.reply_store import ReplyStore, ReplyStoreFull
from mics_ray.models.replies.store_care import (
    FileCheck,
    check_files,
    collect_stats,
    list_set_aside,
    read_sound_replies,
    total_by_model,
)
from mics_ray.models.types import Reply, Request

FOREVER = 2**62


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


async def fill(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, at: float, name: str = "a") -> None:
    """``count`` replies of 3 kB of model ``m-NAME``, stored at ``at``; keys go on from what is there."""
    monkeypatch.setattr(time, "time", lambda: at)
    store = ReplyStore(folder, name)
    start = sum(tally.entries for tally in total_by_model(collect_stats(folder)).values())
    await asyncio.gather(
        *(
            store.store_reply(key(number), f"m-{name}", Reply("x" * 3000, "stop", 5, 7))
            for number in range(start, start + count)
        )
    )
    await store.close()


def full(store: ReplyStore) -> bool:
    try:
        store.find_reply(b"unknown")
    except ReplyStoreFull:
        return True
    return False


def file_of(folder: Path, name: str) -> Path:
    """The one closed file of a writer."""
    (path,) = folder.glob(f"{name}.*sqlite")
    return path


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


async def test_at_the_limit_stored_replies_are_found_and_new_ones_are_not_asked_for(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path, "a", max_bytes=1_000_000)
    assert store.find_reply(key(0)) is None
    number = 0
    while not full(store) and number < 400:
        await store.store_reply(key(number), "m", Reply("x" * 3000))
        number += 1
    assert 1 < number < 400
    with pytest.raises(ReplyStoreFull) as raised:
        store.find_reply(b"unknown")
    assert "cache.max_gb=0.001" in str(raised.value.strerror)
    await store.store_reply(key(999), "m", Reply("was under way"))  # paid: kept all the same
    for stored in (*range(number), 999):
        assert store.find_reply(key(stored)) is not None
    await store.close()
    again = ReplyStore(tmp_path, "b", max_bytes=10)
    with pytest.raises(ReplyStoreFull):
        again.find_reply(b"unknown")
    assert again.find_reply(key(999)) is not None
    await again.close()


async def test_an_endpoint_pays_for_nothing_beyond_the_limit(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path, "a", max_bytes=1)
    await store.store_reply(key(1), "m", Reply("paid"))
    endpoint = Endpoint({"judge": ModelConfig("m", base_url="http://127.0.0.1:9/v1")}, None, store)
    request = Request("judge", "m", "", "", "text", "", 0.0, 16, 0)
    with pytest.raises(ReplyStoreFull):
        await endpoint.complete(request, None)
    assert endpoint.read_counters()["judge"]["calls"] == 0
    await endpoint.close()
    await store.close()


async def test_a_flipped_bit_in_a_text_is_a_miss_and_is_counted(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path, "a")
    await store.store_reply(key(1), "m", Reply("the finding is here"))
    await store.store_reply(key(2), "m", Reply("another"))
    await store.close()
    path = file_of(tmp_path, "a")
    data = path.read_bytes()
    assert data.count(b"the finding") == 1
    path.write_bytes(data.replace(b"the finding", b"thd finding"))
    again = ReplyStore(tmp_path, "a")
    assert again.find_reply(key(1)) is None
    assert again.find_reply(key(2)) is not None
    await again.close()
    (found,) = check_files(tmp_path)
    assert (found.rows, found.damaged, found.problem, found.sound) == (2, 1, None, False)
    counted = FileCheck("a")
    assert [row["text"] for row in read_sound_replies(path, counted)] == ["another"]
    assert (counted.rows, counted.damaged) == (2, 1)


async def test_damage_in_a_log_costs_its_own_reply_and_is_told(tmp_path: Path) -> None:
    """A process that is killed leaves its replies in the log."""
    store = ReplyStore(tmp_path / "made", "a")
    for number in range(20):
        await store.store_reply(key(number), "m", Reply(f"{number:03}" * 1000))
    killed = tmp_path / "killed"
    shutil.copytree(tmp_path / "made", killed)
    await store.close()
    (log,) = killed.iterdir()
    whole = log.read_bytes()
    (found,) = check_files(killed)
    assert (found.rows, found.sound) == (20, True)
    text, length = whole.index(b"007007"), whole.index(b"\xf1mR\x1e", 100) + 5
    for at in (text, length):
        log.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        (found,) = check_files(killed)
        assert (found.rows, found.damaged, found.sound) == (20, 1, False)
        assert sum(tally.entries for tally in total_by_model(collect_stats(killed)).values()) == 19
        before = log.read_bytes()
        tidy_folder(killed)
        assert log.read_bytes() == before, "what is damaged stays to be looked at"
        again = ReplyStore(killed, "b")
        assert sum(again.find_reply(key(number)) is not None for number in range(20)) == 19
        await again.close()
    for end in (1, 5, 3000):
        log.write_bytes(whole[:-end])
        (found,) = check_files(killed)
        assert (found.rows, found.sound) == (19, True), "a torn end was never acknowledged"


async def test_a_torn_file_is_named_and_the_others_are_still_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(tmp_path, monkeypatch, 100, 1e9, "a")
    await fill(tmp_path, monkeypatch, 3, 1e9, "b")
    path = file_of(tmp_path, "a")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (tmp_path / "c.sqlite.damaged-1").touch()
    torn, whole = check_files(tmp_path)
    assert (torn.name, torn.sound) == (path.name, False)
    assert (whole.name, whole.sound, whole.rows) == (file_of(tmp_path, "b").name, True, 3)
    assert list_set_aside(tmp_path) == ["c.sqlite.damaged-1"]


async def test_stats_add_up_over_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(tmp_path, monkeypatch, 3, 1000, "a")
    await fill(tmp_path, monkeypatch, 2, 5000, "a")
    await fill(tmp_path, monkeypatch, 4, 9000, "b")
    found = total_by_model(collect_stats(tmp_path))
    first, second = found["m-a"], found["m-b"]
    assert (first.entries, first.text_bytes, first.prompt_tokens, first.completion_tokens) == (5, 15000, 25, 35)
    assert (first.oldest, first.newest, second.entries, second.oldest) == (1000, 5000, 4, 9000)


async def test_prune_by_age_and_model_takes_these_and_frees_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(tmp_path, monkeypatch, 300, 6000, "a")
    await fill(tmp_path, monkeypatch, 50, 60000, "a")
    await fill(tmp_path, monkeypatch, 20, 6000, "b")
    size = file_of(tmp_path, "a").stat().st_size
    doomed = plan_prune(tmp_path, "m-a", 12000)
    assert dict(doomed.entries) == {"m-a": 300}
    assert prune_replies(tmp_path, doomed) == 300
    assert file_of(tmp_path, "a").stat().st_size < size / 4
    assert {model: tally.entries for model, tally in total_by_model(collect_stats(tmp_path)).items()} == {
        "m-a": 50,
        "m-b": 20,
    }
    assert all(file.sound for file in check_files(tmp_path))


async def test_prune_down_to_a_size_takes_the_oldest_of_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(tmp_path, monkeypatch, 200, 6000, "a")
    await fill(tmp_path, monkeypatch, 200, 12000, "b")
    await fill(tmp_path, monkeypatch, 200, 18000, "a")
    size = size_of(tmp_path)
    doomed = plan_prune(tmp_path, None, FOREVER, down_to=size // 2)
    assert dict(doomed.entries) == {"m-a": 200, "m-b": 200}
    prune_replies(tmp_path, doomed)
    assert size_of(tmp_path) <= size // 2
    (left,) = total_by_model(collect_stats(tmp_path)).values()
    assert (left.entries, left.oldest) == (200, 18000)
    assert not plan_prune(tmp_path, None, FOREVER, down_to=size).entries


@pytest.mark.parametrize("name", ["a", "other"])
async def test_a_database_without_replies_of_this_layout_is_left_as_it_is(tmp_path: Path, name: str) -> None:
    with sqlite3.connect(tmp_path / f"{name}.sqlite") as alien:
        alien.execute("CREATE TABLE replies (key BLOB PRIMARY KEY, text TEXT)")
        alien.execute("INSERT INTO replies VALUES (?, 'text')", (key(1),))
    alien.close()
    before = (tmp_path / f"{name}.sqlite").read_bytes()
    store = ReplyStore(tmp_path, "a")
    assert store.find_reply(key(1)) is None
    await store.close()
    assert (tmp_path / f"{name}.sqlite").read_bytes() == before
    assert [file.name for file in check_files(tmp_path) if file.problem] == [f"{name}.sqlite"]
    assert [file.name for file in collect_stats(tmp_path) if file.problem] == [f"{name}.sqlite"]
