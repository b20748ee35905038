import os
import random
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mics_ray.io.index.ids import IdSet, SortedHashes, hash_id
from mics_ray.io.index.shard_index import INDEX
from mics_ray.io.records import Rejection
from mics_ray.io.rows import Stamp, rejected_row
from mics_ray.io.shards.committed import committed_ids
from mics_ray.io.shards.kind import ShardError
from mics_ray.io.shards.reading import iter_rows, list_shards
from mics_ray.io.shards.store import ShardStore
from tests.support.damage import count_found_flips
from tests.support.run_folders import row as searched_row


def row(case_id: str, text: str = "") -> dict[str, Any]:
    return rejected_row(Rejection(1, case_id, "why", text), Stamp(1, "digest", "version"))


def names(folder: Path) -> list[str]:
    """Without the index, which is a cache."""
    return sorted(name for name in os.listdir(folder) if name != INDEX)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writing beyond ``size`` bytes fails meanwhile, as on a full disk."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_rows_are_committed_once(tmp_path: Path) -> None:
    store = ShardStore(tmp_path)
    first = store.commit([row("a"), row("b")])
    assert (first.path, first.written, first.skipped) == (tmp_path / "part-000000.parquet", ("a", "b"), ())
    second = store.commit([row("b", "other"), row("c"), row("c", "other")])
    assert (second.path, second.written, second.skipped) == (tmp_path / "part-000001.parquet", ("c",), ("b", "c"))
    third = store.commit([row("a")])
    assert (third.path, third.written, third.skipped) == (None, (), ("a",))
    assert store.commit([]).path is None
    assert list(iter_rows(tmp_path)) == [row("a"), row("b"), row("c")]
    assert names(tmp_path) == ["part-000000.parquet", "part-000001.parquet"]


def test_another_store_goes_on_where_the_first_stopped(tmp_path: Path) -> None:
    ShardStore(tmp_path).commit([row("a")])
    again = ShardStore(tmp_path)
    assert again.commit([row("a"), row("b")]).written == ("b",)
    ids = committed_ids(tmp_path)
    assert ("a" in ids, "b" in ids, "c" in ids, len(ids)) == (True, True, False, 2)


def test_sorted_hashes_know_the_ids_of_their_set() -> None:
    known = SortedHashes(IdSet(map(str, range(1000))).sort_hashes())
    assert [number for number in range(1100) if hash_id(str(number)) in known] == list(range(1000))
    assert hash_id("a") not in SortedHashes(IdSet().sort_hashes())


def test_what_a_killed_writer_left_is_never_a_result(tmp_path: Path) -> None:
    ShardStore(tmp_path).commit([row("a")])
    pq.write_table(pa.table({"case_id": ["b"]}), tmp_path / "part-000001.parquet.tmp")
    assert len(committed_ids(tmp_path)) == 1
    assert [item["case_id"] for item in iter_rows(tmp_path)] == ["a"]
    store = ShardStore(tmp_path)
    assert names(tmp_path) == ["part-000000.parquet"]
    assert store.commit([row("b")]).written == ("b",)


def test_shard_numbers_are_not_used_again(tmp_path: Path) -> None:
    (tmp_path / "part-000007.parquet.damaged").touch()
    ShardStore(tmp_path).commit([row("a")])
    (tmp_path / "part-1000000.parquet").write_bytes((tmp_path / "part-000008.parquet").read_bytes())
    (tmp_path / "part-000008.parquet").unlink()
    path = ShardStore(tmp_path).commit([row("b")]).path
    assert path == tmp_path / "part-1000001.parquet"
    assert [shard.name for shard in list_shards(tmp_path)] == ["part-1000000.parquet", "part-1000001.parquet"]


@pytest.mark.parametrize("mask", [0, 0o777])
def test_only_the_owner_can_read_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    (tmp_path / "given").mkdir(mode=0o755)
    usual = os.umask(mask)
    try:
        paths = [ShardStore(tmp_path / name).commit([row("a")]).path for name in ("given", "made")]
    finally:
        os.umask(usual)
    for path in paths:
        assert path is not None
        assert (mode(path), mode(path.parent)) == (0o600, 0o700)


def test_a_full_disk_leaves_nothing_visible_and_nothing_committed(tmp_path: Path) -> None:
    store = ShardStore(tmp_path)
    store.commit([row("a")])
    noise = random.Random(0).randbytes(20_000).hex()
    with largest_file(8192), pytest.raises(OSError):  # noqa: PT011
        store.commit([row("b", noise)])
    assert names(tmp_path) == ["part-000000.parquet"]
    assert store.commit([row("b", noise)]).written == ("b",)
    assert len(committed_ids(tmp_path)) == 2


def test_a_failed_rename_leaves_nothing_visible(tmp_path: Path) -> None:
    store = ShardStore(tmp_path)
    (tmp_path / "part-000000.parquet").mkdir()
    with pytest.raises(OSError):  # noqa: PT011
        store.commit([row("a")])
    assert names(tmp_path) == ["part-000000.parquet"]


def test_chosen_columns_only(tmp_path: Path) -> None:
    ShardStore(tmp_path).commit([row("a"), row("b")])
    assert list(iter_rows(tmp_path, ["outcome", "case_id"])) == [
        {"case_id": "a", "outcome": "rejected"},
        {"case_id": "b", "outcome": "rejected"},
    ]


def test_an_empty_or_missing_folder_holds_nothing(tmp_path: Path) -> None:
    assert list(iter_rows(tmp_path)) == []
    assert len(committed_ids(tmp_path / "missing")) == 0


def test_pages_are_compressed_and_checksummed(tmp_path: Path) -> None:
    path = ShardStore(tmp_path).commit([row("a", "word " * 1000)]).path
    assert path is not None
    column = pq.ParquetFile(path).metadata.row_group(0).column(1)
    assert column.compression == "ZSTD"
    assert column.total_compressed_size < 500


def test_a_flipped_bit_is_found_or_changes_nothing(tmp_path: Path) -> None:
    rows = [row(f"c{number}", f"text {number} " * number) for number in range(20)]
    path = ShardStore(tmp_path).commit(rows).path
    assert path is not None
    assert count_found_flips(path, rows, 150) > 50


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_a_cut_shard_is_named(tmp_path: Path, keep: int) -> None:
    path = ShardStore(tmp_path).commit([row("a")]).path
    assert path is not None
    path.write_bytes(path.read_bytes()[:keep])
    for read in (committed_ids, lambda folder: list(iter_rows(folder)), ShardStore):
        with pytest.raises(ShardError, match=r"part-000000\.parquet") as caught:
            read(tmp_path)
        assert caught.value.path == path


def test_a_shard_of_another_schema_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"case_id": ["a"]}), tmp_path / "part-000000.parquet")
    with pytest.raises(ShardError, match="another schema"):
        committed_ids(tmp_path)


def test_a_folder_in_a_folder_that_is_not_there_is_made_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "results"
    ShardStore(folder).commit([row("a")])
    assert (names(folder), mode(folder)) == (["part-000000.parquet"], 0o700)


def test_a_commit_leaves_no_file_open_and_syncs_the_shard_and_then_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ShardStore(tmp_path)
    store.commit([row("warm")])
    real, synced = os.fsync, []

    def record_sync(descriptor: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), names(tmp_path)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", record_sync)
    for number in range(5):
        store.commit([row(f"c{number}")])
    # By their targets: other tests' files may be closed by the garbage collector meanwhile.
    targets = [os.path.realpath(f"/proc/self/fd/{number}") for number in names(Path("/proc/self/fd"))]
    assert not [target for target in targets if target.startswith(str(tmp_path))]
    assert len(synced) == 10
    for number in range(5):
        shard = f"part-{number + 1:06d}.parquet"
        (first, listed), (second, renamed) = synced[2 * number : 2 * number + 2]
        assert (first, shard in listed) == (str(tmp_path / f"{shard}.tmp"), False)
        assert (second, shard in renamed) == (str(tmp_path), True)


def test_shards_are_in_the_order_of_their_numbers_however_many_digits_they_have(tmp_path: Path) -> None:
    names = [f"part-{number}.parquet" for number in ("000007", "999999", "1000000", "1000001")]
    for name in reversed(names):
        (tmp_path / name).touch()
    assert [shard.name for shard in list_shards(tmp_path)] == names


def test_parts_of_a_column_are_read_by_their_paths(tmp_path: Path) -> None:
    whole = searched_row("a")
    ShardStore(tmp_path).commit([whole])
    (found,) = iter_rows(tmp_path, ["case_id", "nodes.votes.verdict", "nodes.id", "leaks.kind"])
    assert found == {
        "case_id": "a",
        "nodes": [
            {"id": node["id"], "votes": [{"verdict": vote["verdict"]} for vote in node["votes"]]}
            for node in whole["nodes"]
        ],
        "leaks": [{"kind": leak["kind"]} for leak in whole["leaks"]],
    }
