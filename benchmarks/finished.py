"""What the commands after a run take where it has many rows: seconds and memory of ``verify``, ``report``, ``export``.

``python -m benchmarks.finished [ROWS]`` (200,000 unless given). The rows are small searches of two rounds, of about
a kilobyte on the disk, in shards as a run commits them.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.input import write_jsonl
from benchmarks.starts import ROOT, ROWS_PER_SHARD, run_measured
from mics_ray.io.shards.kind import CASES
from mics_ray.io.shards.reading import RESULTS
from tests.support.run_folders import make_run, row

ROWS = 200_000


def main() -> None:
    """Print one line a command."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as folder:
        run = make_finished_run(Path(folder) / "run", rows)
        size = sum(path.stat().st_size for path in (run / RESULTS).iterdir())
        print(f"{rows:,} rows in {-(-rows // ROWS_PER_SHARD):,} shards, {size / 2**20:.0f} MB", flush=True)
        for name, arguments in list_commands(run):
            seconds, cpu, peak = run_measured([sys.executable, str(ROOT / "scripts" / arguments[0]), *arguments[1:]])
            print(f"  {name}: {seconds:.1f} s, CPU {cpu:.1f} s, peak {peak:.0f} MB", flush=True)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


def make_finished_run(folder: Path, rows: int) -> Path:
    """A run whose input has a row for each record, all of them the same search but for id and question."""
    make_run(folder, [row("case-0", images=())])
    write_jsonl(folder / "cases.jsonl", rows)
    for shard in (folder / RESULTS).iterdir():
        shard.unlink()
    table = CASES.to_table([row("case-0", images=())] * ROWS_PER_SHARD)
    for number, first in enumerate(range(0, rows, ROWS_PER_SHARD)):
        numbers = range(first, min(rows, first + ROWS_PER_SHARD))
        shard = table.slice(0, len(numbers))
        for name, text in (("case_id", "case-{}"), ("question", "What does film {} show?")):
            at = shard.schema.names.index(name)
            shard = shard.set_column(at, table.schema.field(at), pa.array([text.format(each) for each in numbers]))
        path = folder / RESULTS / f"part-{number:06d}.parquet"
        pq.write_table(shard, path, compression="zstd", write_page_checksum=True)
    return folder


def list_commands(run: Path) -> Iterator[tuple[str, list[str]]]:
    """What is measured, by name."""
    yield "verify", ["verify.py", f"run.dir={run}"]
    yield "report", ["report.py", f"run.dir={run}"]
    yield "export", ["export.py", f"run.dir={run}", f"export.dir={run}/export"]


if __name__ == "__main__":
    main()
