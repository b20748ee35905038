"""Rows on their way to the disk: full shards, old rows, errors that everybody hears of, callers that go away."""

import asyncio
import errno
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mics_ray.io.shards.kind import RowKind
from mics_ray.io.shards.reading import iter_rows, list_shards
from mics_ray.io.shards.store import ShardStore
from mics_ray.jobs.row_writer import CommitPolicy, RowWriter

KIND = RowKind(pa.schema([("id", pa.string()), ("value", pa.int64())]), "id")
NEVER = CommitPolicy(rows_per_shard=4, first_age_s=600.0)


def row(number: int, value: int = 0) -> dict[str, Any]:
    return {"id": str(number), "value": value}


def ids(folder: Path) -> list[str]:
    return sorted(one["id"] for one in iter_rows(folder, kind=KIND))


@pytest.mark.parametrize(("run_s", "wait_s"), [(0, 2), (100, 2), (150, 3), (2000, 40), (3000, 60), (90000, 60)])
def test_a_row_waits_two_seconds_at_first_and_a_minute_at_most(run_s: float, wait_s: float) -> None:
    assert CommitPolicy().longest_wait_s(run_s) == wait_s
    assert CommitPolicy().rows_per_shard == 64


async def test_a_full_shard_leaves_at_once_and_what_is_left_when_it_is_told_to(tmp_path: Path) -> None:
    writer = RowWriter(ShardStore(tmp_path, KIND), NEVER)
    adding = [asyncio.create_task(writer.add_row(row(number))) for number in range(3)]
    await asyncio.sleep(0.05)
    assert not list_shards(tmp_path)
    async with asyncio.timeout(30):
        await writer.add_row(row(3))
        await asyncio.gather(*adding)
        assert ids(tmp_path) == ["0", "1", "2", "3"]
        last = asyncio.create_task(writer.add_row(row(4)))
        await asyncio.sleep(0.05)
        assert not last.done()
        await writer.close()
        await last
    assert len(list_shards(tmp_path)) == 2
    await writer.close()
    assert len(list_shards(tmp_path)) == 2


async def test_an_old_row_leaves_by_itself(tmp_path: Path) -> None:
    writer = RowWriter(ShardStore(tmp_path, KIND), CommitPolicy(first_age_s=0.1))
    async with asyncio.timeout(30):
        for number in range(3):  # each waits alone, so each needs a clock of its own
            await writer.add_row(row(number))
            assert len(list_shards(tmp_path)) == number + 1


async def test_a_committed_key_is_reported_once_and_the_first_of_two_rows_is_kept(tmp_path: Path) -> None:
    reported: list[Any] = []
    writer = RowWriter(ShardStore(tmp_path, KIND), NEVER, report=reported.extend)
    handed = [asyncio.create_task(writer.add_row(one)) for one in (row(0, 1), row(0, 2), row(1))]
    await asyncio.sleep(0)
    await writer.flush_rows()
    await asyncio.gather(*handed)
    assert reported == [row(0, 1), row(1)]
    again = asyncio.create_task(writer.add_row(row(0, 3)))
    await asyncio.sleep(0)
    await writer.flush_rows()
    await again
    assert len(reported) == 2
    assert {one["id"]: one["value"] for one in iter_rows(tmp_path, kind=KIND)} == {"0": 1, "1": 0}


async def test_a_batch_is_completed_before_it_is_committed(tmp_path: Path) -> None:
    def complete(rows: Any) -> None:
        for one in rows:
            one["value"] = len(rows)

    writer = RowWriter(ShardStore(tmp_path, KIND), NEVER, complete)
    await asyncio.gather(*(writer.add_row(row(number)) for number in range(4)))
    assert [one["value"] for one in iter_rows(tmp_path, kind=KIND)] == [4] * 4


async def test_a_full_disk_is_told_to_all_who_wait_and_all_who_come_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ShardStore(tmp_path, KIND)
    full = OSError(errno.ENOSPC, "No space left on device")

    def fail(rows: object) -> None:
        raise full

    monkeypatch.setattr(store, "commit", fail)
    writer = RowWriter(store, NEVER)
    async with asyncio.timeout(30):
        assert await asyncio.gather(*(writer.add_row(row(n)) for n in range(4)), return_exceptions=True) == [full] * 4
        with pytest.raises(OSError, match="No space"):
            await writer.add_row(row(5))
        with pytest.raises(OSError, match="No space"):
            await writer.close()
    assert writer.failure is full


async def test_a_row_that_does_not_fit_the_schema_is_an_error_and_nobody_waits_for_ever(tmp_path: Path) -> None:
    writer = RowWriter(ShardStore(tmp_path, KIND), CommitPolicy(rows_per_shard=1))
    async with asyncio.timeout(30):
        with pytest.raises(ValueError, match="columns of a row differ"):
            await writer.add_row({"id": "0"})


async def test_a_caller_that_goes_away_takes_nothing_back(tmp_path: Path) -> None:
    writer = RowWriter(ShardStore(tmp_path, KIND), NEVER)
    handed = [asyncio.create_task(writer.add_row(row(number))) for number in range(4)]
    await asyncio.sleep(0)
    for task in handed:
        task.cancel()
    await asyncio.gather(*handed, return_exceptions=True)
    await writer.close()
    assert ids(tmp_path) == ["0", "1", "2", "3"]
