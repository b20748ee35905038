"""Running totals: every shard once, damaged ones named."""

from dataclasses import asdict
from pathlib import Path

from mics_ray.core.types import Usage
from mics_ray.io.results.failed_rows import set_failed_rows_aside
from mics_ray.io.results.summary import ResultsTally, summarise_results
from mics_ray.io.shards.store import ShardStore
from tests.support.run_folders import row

USED = {"model": "gpt", **asdict(Usage(3, 1, 9, 4, 0.5, 6, 2))}


def test_totals_grow_with_the_shards_and_agree_with_the_summary(tmp_path: Path) -> None:
    store, tally = ShardStore(tmp_path), ResultsTally(tmp_path)
    tally.update()
    assert not tally.outcomes
    store.commit([row("a") | {"usage": [USED]}, row("b", outcome="dead_end")])
    tally.update()
    tally.update()
    assert tally.outcomes == {"solved": 1, "dead_end": 1}
    store.commit([row("c") | {"usage": [USED]}])
    tally.update()
    assert tally.usage == {"gpt": Usage(6, 2, 18, 8, 1.0, 12, 4)}
    whole = summarise_results(tmp_path)
    assert tally.outcomes == whole["outcomes"]
    assert tally.quality == whole["quality"]
    assert {name: Usage(**used) for name, used in whole["usage"].items()} == tally.usage


def test_rows_that_a_retry_takes_out_count_no_more(tmp_path: Path) -> None:
    store, tally = ShardStore(tmp_path / "results"), ResultsTally(tmp_path / "results")
    store.commit([row("a") | {"usage": [USED]}, row("b", outcome="failed") | {"usage": [USED]}])
    store.commit([row("c", outcome="failed")])
    tally.update()
    assert tally.outcomes == {"solved": 1, "failed": 2}
    set_failed_rows_aside(tmp_path / "results", tmp_path / "superseded")
    ShardStore(tmp_path / "results").commit([row("b")])
    tally.update()
    assert tally.outcomes == {"solved": 2}
    assert tally.usage["gpt"].calls == 3


def test_a_damaged_shard_is_named_and_the_others_count(tmp_path: Path) -> None:
    store = ShardStore(tmp_path)
    for name in "ab":
        store.commit([row(name)])
    (tmp_path / "part-000000.parquet").write_bytes(b"PAR1 no more")
    tally = ResultsTally(tmp_path)
    tally.update()
    assert tally.outcomes == {"solved": 1}
    assert [path.name for path in tally.damaged] == ["part-000000.parquet"]
