"""The index of shards spares their opening; whatever happens to it, no id is lost and none is made up."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from mics_ray.io.index.shard_index import INDEX
from mics_ray.io.results.failed_rows import set_failed_rows_aside
from mics_ray.io.shards import committed
from mics_ray.io.shards.committed import committed_ids, read_committed
from mics_ray.io.shards.kind import CASES, RowKind, ShardError
from mics_ray.io.shards.reading import iter_rows, read_shard
from mics_ray.io.shards.store import ShardStore, write_table
from tests.support.run_folders import row
from tests.unit.io.test_shards import largest_file, mode

SMALL = RowKind(pa.schema([("id", pa.string())]), "id")
IDS = ("a", "b", "c", "d", "e")
OUTCOMES = {"a": "solved", "b": "failed", "c": "depth", "d": "solved", "e": "failed"}


def make_results(folder: Path) -> ShardStore:
    store = ShardStore(folder)
    for ids in ("ab", "c", "de"):
        store.commit([row(one, outcome=OUTCOMES[one]) for one in ids])
    return store


def count_opened(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    opened, real = Counter[str](), read_shard

    def read(path: Path, columns: list[str], kind: RowKind = CASES) -> object:
        opened[path.name] += 1
        return real(path, columns, kind)

    monkeypatch.setattr(committed, "read_shard", read)
    return opened


def list_ids(folder: Path) -> list[str]:
    """What a start takes for done; the outcomes are held against the shards too."""
    found = read_committed(folder)
    assert found.counts == Counter(one["outcome"] for one in iter_rows(folder, ["outcome"]))
    assert len(found.ids) == len(committed_ids(folder))
    return [one for one in IDS if one in found.ids]


def test_a_start_opens_no_shard_that_was_committed_or_read_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_results(tmp_path)
    assert mode(tmp_path / INDEX) == 0o600
    opened = count_opened(monkeypatch)
    store = ShardStore(tmp_path)
    assert store.counts == {"solved": 2, "failed": 2, "depth": 1}
    assert store.commit([row(one) for one in "aecf"]).written == ("f",)
    assert store.counts == {"solved": 3, "failed": 2, "depth": 1}
    assert (opened, read_committed(tmp_path).indexed) == ({}, True)
    (tmp_path / INDEX).unlink()
    assert ShardStore(tmp_path).commit([row("f")]).written == ()
    assert set(opened.values()) == {1}
    assert len(opened) == 4
    ShardStore(tmp_path)
    assert set(opened.values()) == {1}
    # Of what is held against the input nothing comes from the index.
    committed_ids(tmp_path)
    assert set(opened.values()) == {2}


def test_an_index_cut_or_flipped_at_any_byte_loses_and_repeats_nothing(tmp_path: Path) -> None:
    store = ShardStore(tmp_path, SMALL)
    for ids in ("ab", "c", "de"):
        store.commit([{"id": one} for one in ids])
    whole = (tmp_path / INDEX).read_bytes()
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        for damaged in (whole[:at], bytes(flipped))[: 1 + (at % 3 == 0)]:
            (tmp_path / INDEX).write_bytes(damaged)
            found = read_committed(tmp_path, SMALL)
            assert ([one in found.ids for one in IDS], len(found.ids), found.indexed) == ([True] * 5, 5, False)
    for at in (0, 7, len(whole) // 2, len(whole) - 1):
        (tmp_path / INDEX).write_bytes(whole[:at])
        assert ShardStore(tmp_path, SMALL).commit([{"id": "a"}, {"id": "e"}]).written == ()
        assert (tmp_path / INDEX).read_bytes() == whole


def swap_shards(folder: Path) -> None:
    (folder / "part-000000.parquet").rename(folder / "x")
    (folder / "part-000002.parquet").rename(folder / "part-000000.parquet")
    (folder / "x").rename(folder / "part-000002.parquet")


def replace_content(folder: Path) -> None:
    """Other rows in the same file, of the same length, with the times set back."""
    path = folder / "part-000002.parquet"
    before, content = path.stat(), path.read_bytes()
    write_table(folder / "other", CASES.to_table([row(one, outcome=OUTCOMES[one]) for one in "xy"]))
    other = (folder / "other").read_bytes()
    assert len(other) == len(content)
    with path.open("r+b") as file:
        file.write(other)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def put_other_file(folder: Path) -> None:
    write_table(folder / "part-000001.parquet", CASES.to_table([row("x")]))


def move_away(folder: Path) -> None:
    (folder / "part-000001.parquet").rename(folder / "part-000001.parquet.damaged")


def retry_failed(folder: Path) -> None:
    assert set_failed_rows_aside(folder, folder.parent / "aside") == 2


def copy_folder(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / "copy")
    shutil.rmtree(folder)
    (folder.parent / "copy").rename(folder)
    (folder / "part-000001.parquet").unlink()


def take_index_of_another_run(folder: Path) -> None:
    ShardStore(folder.parent / "b").commit([row("x"), row("y")])
    shutil.copy(folder.parent / "b" / INDEX, folder / INDEX)


OUTCOMES |= {"x": "solved", "y": "failed"}


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (swap_shards, "abcde"),
        (replace_content, "abc"),
        (put_other_file, "abde"),
        (move_away, "abde"),
        (retry_failed, "acd"),
        (copy_folder, "abde"),
        (take_index_of_another_run, "abcde"),
    ],
)
def test_an_entry_that_is_another_files_is_not_believed(
    tmp_path: Path, change: Callable[[Path], None], left: str
) -> None:
    folder = tmp_path / "results"
    make_results(folder)
    change(folder)
    assert list_ids(folder) == list(left)
    store = ShardStore(folder)
    assert set(store.commit([row(one) for one in IDS]).written) == set(IDS) - set(left)
    assert list_ids(folder) == list(IDS)
    assert read_committed(folder).indexed


def test_shards_of_another_schema_are_refused_though_an_index_covers_them(tmp_path: Path) -> None:
    newer = RowKind(CASES.schema.append(pa.field("more", pa.string())), CASES.key, counted=CASES.counted)
    ShardStore(tmp_path, newer).commit([row("a") | {"more": "x"}])
    assert read_committed(tmp_path, newer).indexed
    with pytest.raises(ShardError, match="another schema"):
        read_committed(tmp_path)


def test_an_index_that_cannot_be_written_costs_no_commit(tmp_path: Path) -> None:
    store = ShardStore(tmp_path, SMALL)
    for number in range(40):
        store.commit([{"id": f"c{number}"}])
    whole = (tmp_path / INDEX).read_bytes()
    with largest_file(len(whole) + 30):  # the shard fits, of the entry some bytes do
        assert store.commit([{"id": "x"}]).written == ("x",)
    assert (tmp_path / INDEX).read_bytes() == whole
    assert store.commit([{"id": "x"}, {"id": "y"}]).written == ("y",)
    (tmp_path / INDEX).unlink()
    (tmp_path / INDEX).mkdir()
    assert ShardStore(tmp_path, SMALL).commit([{"id": one} for one in ("x", "y", "z")]).written == ("z",)
    (tmp_path / INDEX).rmdir()
    assert ShardStore(tmp_path, SMALL).commit([{"id": one} for one in ("y", "z")]).written == ()
    assert len(read_committed(tmp_path, SMALL).ids) == 43
    assert read_committed(tmp_path, SMALL).indexed
