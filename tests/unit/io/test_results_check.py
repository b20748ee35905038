import json
import subprocess
from pathlib import Path

import pyarrow.parquet as pq

from mics_ray.commands.verify import run_verify
from mics_ray.io.results.results_check import check_results, set_shard_aside
from mics_ray.io.shards.reading import list_shards
from mics_ray.io.shards.store import ShardStore
from mics_ray.jobs.lock import RunLock
from tests.support.program import run_here
from tests.support.run_folders import make_run, row


def write_input(folder: Path, *ids: str) -> Path:
    records = [
        {
            "rid": case_id,
            "messages": [
                {"role": "user", "content": "**Question:** What is shown?"},
                {"role": "assistant", "content": "**Correct Answer:** Gold"},
            ],
            "images": ["a.png"],
        }
        for case_id in ids
    ]
    path = folder / "cases.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def run_of(folder: Path, *ids: str) -> Path:
    make_run(folder, [row("a"), row("b")])
    ShardStore(folder / "results").commit([row("c")])
    write_input(folder, *ids)
    return folder


def flip_a_bit(path: Path) -> None:
    """In the last page of the first column: a bit of a page's header may change nothing that is read."""
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    begin = column.dictionary_page_offset or column.data_page_offset
    data = bytearray(path.read_bytes())
    data[begin + column.total_compressed_size - 1] ^= 1
    path.write_bytes(data)


def verify(folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    return run_here(run_verify, f"run.dir={folder}", *more)


def test_a_run_with_one_row_for_each_case_is_sound(tmp_path: Path) -> None:
    found = check_results(run_of(tmp_path, "a", "b", "c") / "results", tmp_path / "cases.jsonl")
    assert found.sound
    assert list(found.rows.values()) == [2, 1]


def test_missing_and_unasked_ids_are_told(tmp_path: Path) -> None:
    found = check_results(run_of(tmp_path, "a", "c", "d") / "results", tmp_path / "cases.jsonl")
    assert not found.sound
    assert (found.missing.examples, found.unasked.examples, found.twice.count) == (["d"], ["b"], 0)


def test_an_id_in_two_shards_is_told(tmp_path: Path) -> None:
    run_of(tmp_path, "a", "b", "c")
    other = tmp_path / "other"
    ShardStore(other).commit([row("b")])
    list_shards(other)[0].rename(tmp_path / "results" / "part-000009.parquet")
    assert check_results(tmp_path / "results", tmp_path / "cases.jsonl").twice.examples == ["b"]


def test_a_flipped_bit_is_found_and_its_cases_become_missing(tmp_path: Path) -> None:
    run_of(tmp_path, "a", "b", "c")
    first = list_shards(tmp_path / "results")[0]
    flip_a_bit(first)
    found = check_results(tmp_path / "results", tmp_path / "cases.jsonl")
    assert list(found.damaged) == [first]
    assert found.missing.examples == ["a", "b"]
    assert set_shard_aside(first).exists()
    commit = ShardStore(tmp_path / "results").commit([row("a"), row("b"), row("c")])
    assert commit.written == ("a", "b")
    assert check_results(tmp_path / "results", tmp_path / "cases.jsonl").sound


def test_the_program_finds_damage_sets_it_aside_and_says_what_goes_on(tmp_path: Path) -> None:
    run_of(tmp_path, "a", "b", "c")
    assert verify(tmp_path).returncode == 0
    first = list_shards(tmp_path / "results")[0]
    flip_a_bit(first)
    told = verify(tmp_path)
    assert (told.returncode, first.exists()) == (74, True)
    assert first.name in told.stdout
    assert "--repair" in told.stdout
    repaired = verify(tmp_path, "--repair")
    assert (repaired.returncode, first.exists()) == (75, False)
    assert "2 cases have no row" in repaired.stdout
    assert verify(tmp_path).returncode == 75


def test_wrong_usage_a_folder_without_a_run_and_a_held_one_have_their_codes(tmp_path: Path) -> None:
    assert verify(tmp_path, "--wrong").returncode == 64
    assert verify(tmp_path).returncode == 78
    with RunLock(run_of(tmp_path, "a", "b", "c") / ".lock"):
        assert verify(tmp_path).returncode == 73
