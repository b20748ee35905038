"""Seconds from the start of `scripts/generate.py` to the first call for a case, and the driver's memory until then."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mics_ray.config.identity import find_code_version
from mics_ray.io.index.ids import IdSet, SortedHashes
from mics_ray.io.index.input_index import INDEX as INPUT_INDEX
from mics_ray.io.index.input_index import InputIndex, PartCollector
from mics_ray.io.index.scan_note import NOTE
from mics_ray.io.index.shard_index import INDEX as SHARD_INDEX
from mics_ray.io.packed_blocks import join_pieces, read_pieces
from mics_ray.io.records import Rejection
from mics_ray.io.rows import Stamp, rejected_row
from mics_ray.io.scan import scan_cases
from mics_ray.io.shards.kind import CASES
from mics_ray.io.shards.reading import RESULTS
from mics_ray.io.shards.store import ShardStore
from tests.support.provider import Provider

ROOT = Path(__file__).resolve().parents[1]
ROWS_PER_SHARD = 64
"""As a run commits them."""
PATIENCE_S = 600.0


def measure_starts(folder: Path, cases: Path, records: int) -> Iterator[tuple[str, float]]:
    """Of a run over one record, of a fresh one over ``cases``, and of one that has all rows but the last, without and
    with what earlier starts have noted."""
    with Provider() as provider:
        provider.write_groups(folder / "conf")
        (folder / "one.jsonl").write_bytes(cases.open("rb").readline())
        yield from _time_start(provider, folder, "one record", folder / "one.jsonl", "one")
        # It is ended before it has a row; the next go on in its folder.
        yield from _time_start(provider, folder, "all records", cases, "run")
        run, last = folder / "run", f"does {records - 1} show"
        write_shards(run / RESULTS, records - 1)
        for index in (run / NOTE, run / INPUT_INDEX, run / RESULTS / SHARD_INDEX):
            index.unlink(missing_ok=True)
        yield from _time_start(provider, folder, "resumed, nothing noted", cases, "run", last)
        began = time.monotonic()
        note_start(run, cases, records - 1)
        yield "noting, s", time.monotonic() - began
        yield from _time_start(provider, folder, "resumed", cases, "run", last)
        sizes = [(run / RESULTS / SHARD_INDEX).stat().st_size, (run / INPUT_INDEX).stat().st_size]
        yield "both indexes, MB", sum(sizes) / 2**20
        write_shards(run / RESULTS, records)
        note_start(run, cases, records)
        names = ("to the end, s", "CPU, s", "peak, MB")
        for name, figure in zip(names, run_measured(_make_command(folder, cases, "run")), strict=True):
            yield f"finished: {name}", figure


def run_measured(command: list[str]) -> tuple[float, float, float]:
    """Seconds, seconds of CPU and the peak in MB of a command, each of its own process alone."""
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        # What is known of all children together would hide a small one behind a large one.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def write_shards(folder: Path, rows: int) -> None:
    """Rows ``case-0``, …, small ones, in shards as a run leaves them, without an index."""
    one = rejected_row(Rejection(1, "", "for the benchmark"), Stamp(0, "", ""))
    table = CASES.to_table([one] * ROWS_PER_SHARD)
    at = table.schema.names.index(CASES.key)
    for number, first in enumerate(range(0, rows, ROWS_PER_SHARD)):
        ids = pa.array([f"case-{number}" for number in range(first, min(rows, first + ROWS_PER_SHARD))])
        shard = table.slice(0, len(ids)).set_column(at, table.schema.field(at), ids)
        pq.write_table(shard, folder / f"part-{number:06d}.parquet", compression="zstd", write_page_checksum=True)


def note_start(run: Path, cases: Path, rows: int) -> None:
    """What the starts before have left: an entry of each shard, and of each part of the input that was read."""
    ShardStore(run / RESULTS)
    found, done = scan_cases(cases), IdSet(f"case-{number}" for number in range(rows))
    index = InputIndex(run / INPUT_INDEX, found, find_code_version())
    known, hashes = index.find_done(done), SortedHashes(done.sort_hashes())
    left = (number for number in range(len(found.parts)) if number not in known)
    pieces = (piece for number in left for piece in read_pieces(found.parts[number], number, hashes))
    for _ in join_pieces(pieces, known, len(found.parts), PartCollector(index)):
        pass


def _make_command(folder: Path, cases: Path, run: str) -> list[str]:
    return [
        sys.executable, str(ROOT / "scripts/generate.py"), "--config-dir", str(folder / "conf"), "mentors=test",
        "interns=test", "judge=test", f"data.cases={cases}", f"run.dir={folder / run}",
    ]  # fmt: skip


def _time_start(
    provider: Provider, folder: Path, name: str, cases: Path, run: str, asked: str = ""
) -> Iterator[tuple[str, float]]:
    """Start, wait for the first call whose prompt says ``asked``, end the run at once."""
    provider.log.clear()
    # Every call is held: the driver's memory is that of a start.
    provider.hold_when = lambda: True
    began, before = time.monotonic(), os.times()
    with subprocess.Popen(_make_command(folder, cases, run), stdout=subprocess.DEVNULL) as process:
        try:
            first = _await_call(provider, process, asked)
            yield f"{name}: first call, s", first - began
            yield f"{name}: driver's peak, MB", _read_peak_mb(process.pid)
        finally:
            for _ in range(2):
                process.send_signal(signal.SIGINT)
                time.sleep(1)
            provider.release()
    after = os.times()
    yield f"{name}: CPU of all processes to the end, s", sum(after[2:4]) - sum(before[2:4])


def _await_call(provider: Provider, process: "subprocess.Popen[bytes]", asked: str) -> float:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        for call in list(provider.log):
            if not call["probe"] and asked in call["prompt"]:
                return float(call["at"])
        time.sleep(0.02)
    raise RuntimeError(f"no call for a case; exit code {process.poll()}")


def _read_peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
