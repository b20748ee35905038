"""Failed rows leave the results, whatever interrupts that, and are never lost."""

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mics_ray.io.results import failed_rows
from mics_ray.io.results.failed_rows import set_failed_rows_aside, unfailed_ids
from mics_ray.io.shards.kind import ShardError
from mics_ray.io.shards.reading import iter_rows, list_shards
from mics_ray.io.shards.store import ShardStore, write_table
from tests.support.run_folders import row


def make_results(folder: Path) -> Path:
    store = ShardStore(folder / "results")
    store.commit([row("a"), row("b", outcome="failed"), row("c", outcome="dead_end")])
    store.commit([row("d", outcome="failed"), row("e", outcome="failed")])
    store.commit([row("f")])
    return folder / "results"


def ids_of(folder: Path) -> list[str]:
    return sorted(
        one["case_id"] for path in sorted(folder.glob("*.parquet")) for one in pq.read_table(path).to_pylist()
    )


def test_failed_rows_move_and_the_others_stay(tmp_path: Path) -> None:
    results = make_results(tmp_path)
    before = {one["case_id"]: one for one in iter_rows(results)}
    assert [case for case in "abcdef" if case in unfailed_ids(results)] == ["a", "c", "f"]
    assert set_failed_rows_aside(results, tmp_path / "superseded") == 3
    left = {one["case_id"]: one for one in iter_rows(results)}
    assert left == {case: before[case] for case in "acf"}
    assert [path.name for path in list_shards(results)] == ["part-000000.parquet", "part-000002.parquet"]
    assert ids_of(tmp_path / "superseded") == ["b", "d", "e"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*.parquet")} == {0o600}
    assert set_failed_rows_aside(results, tmp_path / "superseded") == 0


def test_a_case_that_fails_again_keeps_both_of_its_old_rows(tmp_path: Path) -> None:
    results = make_results(tmp_path)
    set_failed_rows_aside(results, tmp_path / "superseded")
    again = {**row("d", outcome="failed"), "reason": "once more"}
    ShardStore(results).commit([again])
    assert set_failed_rows_aside(results, tmp_path / "superseded") == 1
    assert ids_of(tmp_path / "superseded") == ["b", "d", "d", "e"]


@pytest.mark.parametrize("at", range(6))
def test_a_crash_at_any_write_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    results, steps = make_results(tmp_path), Counter[str]()
    real = write_table

    def crash(path: Path, table: object) -> None:
        steps["write"] += 1
        if steps["write"] * 2 - 1 == at + 1:
            raise KeyboardInterrupt
        real(path, table)  # type: ignore[arg-type]
        if steps["write"] * 2 == at + 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(failed_rows, "write_table", crash)
    with pytest.raises(KeyboardInterrupt):
        set_failed_rows_aside(results, tmp_path / "superseded")
    monkeypatch.setattr(failed_rows, "write_table", real)
    everywhere = set(ids_of(results)) | set(ids_of(tmp_path / "superseded"))
    assert everywhere == set("abcdef")
    set_failed_rows_aside(results, tmp_path / "superseded")
    assert ids_of(results) == ["a", "c", "f"]
    assert ids_of(tmp_path / "superseded") == ["b", "d", "e"]


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    results = make_results(tmp_path)
    (results / "part-000001.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(ShardError, match="part-000001"):
        set_failed_rows_aside(results, tmp_path / "superseded")
    assert "a" in ids_of_shard(results / "part-000000.parquet")


def ids_of_shard(path: Path) -> list[str]:
    return [one["case_id"] for one in pq.read_table(path).to_pylist()]
