"""How the input is read: seconds to the first and to all records, and the memory of the driver and of the readers.

``python -m benchmarks.input [RECORDS [STARTED]]`` writes JSONL of that many records (100,000 unless given) and Parquet
of a tenth as many with a picture of 70 kB each, reads both through Ray Data as a run does, then the JSONL again as a
run does whose rows are there but for the last. Then it starts whole runs (:mod:`benchmarks.starts`) over STARTED
records (a million unless given; 0: none), fresh and with all rows but the last.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray

from benchmarks.starts import measure_starts
from mics_ray.config.schema import RayConfig
from mics_ray.io.index.ids import IdSet
from mics_ray.io.scan import scan_cases
from mics_ray.runtime.driver.cluster import join_cluster
from mics_ray.runtime.driver.dataset import CaseStream

PICTURE_BYTES = 70_000


def make_record(number: int) -> dict[str, object]:
    """About 2 kB, as real cases have."""
    question = {"role": "user", "content": f"**Question:** What does {number} show? {'x' * 800}"}
    answer = {"role": "assistant", "content": "**Correct Answer:** right"}
    return {"rid": f"case-{number}", "messages": [question, answer], "images": [], "caption": ["y" * 900]}


def write_jsonl(path: Path, count: int) -> None:
    """``count`` records, one a line."""
    with path.open("w") as file:
        file.writelines(json.dumps(make_record(number)) + "\n" for number in range(count))


def write_parquet(path: Path, count: int) -> None:
    """``count`` records with a picture in the file, row groups of 100."""
    draw = np.random.default_rng(0)
    kind = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    writer = None
    for first in range(0, count, 100):
        rows = [make_record(number) for number in range(first, first + 100)]
        cells = [[{"bytes": draw.bytes(PICTURE_BYTES), "path": "a.png"}] for _ in rows]
        table = pa.Table.from_pylist([{name: row[name] for name in ("rid", "messages")} for row in rows])
        table = table.append_column("images", pa.array(cells, kind))
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def read_input(path: Path, done: IdSet) -> Iterator[tuple[str, float]]:
    """What is measured, by name."""
    started = time.monotonic()
    found = scan_cases(path)
    yield "scanned, s", time.monotonic() - started
    stream, first, records, most = CaseStream(found.parts, done), 0.0, 0, 0
    while not stream.ended:
        if (span := stream.take_span()) is None:
            time.sleep(0.01)
            most = max(most, read_readers_mb())
            continue
        first = first or time.monotonic() - started
        records += len(span.records)
    yield "first record, s", first
    yield "all records, s", time.monotonic() - started
    yield "records dealt", records
    # Of this whole process: it has also written the files.
    yield "driver, peak MB", getrusage(RUSAGE_SELF).ru_maxrss / 1024
    yield "largest read task, MB", most


def read_readers_mb() -> int:
    """The largest resident size among the read tasks on this machine."""
    sizes = [0]
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if text.startswith("Name:\tray::Read") and "VmRSS:" in text:
            sizes.append(int(text.split("VmRSS:")[1].split()[0]) // 1024)
    return max(sizes)


def main() -> None:
    """Print one line a figure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder, join_cluster(RayConfig()):
        jsonl, parquet = Path(folder) / "cases.jsonl", Path(folder) / "cases.parquet"
        write_jsonl(jsonl, count)
        write_parquet(parquet, count // 10)
        done = IdSet(f"case-{number}" for number in range(count - 1))
        for path, ids in ((jsonl, IdSet()), (parquet, IdSet()), (jsonl, done)):
            print(f"{path.name}: {os.path.getsize(path) / 2**20:.0f} MB, {len(ids)} rows are there", flush=True)
            for name, figure in read_input(path, ids):
                print(f"  {name}: {figure:.2f}" if isinstance(figure, float) else f"  {name}: {figure}", flush=True)
    if started := int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000:
        with tempfile.TemporaryDirectory() as folder:
            write_jsonl(cases := Path(folder) / "cases.jsonl", started)
            print(f"starts over {started} records, {os.path.getsize(cases) / 2**20:.0f} MB", flush=True)
            for name, figure in measure_starts(Path(folder), cases, started):
                print(f"  {name}: {figure:.2f}", flush=True)
    print(f"Ray {ray.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
