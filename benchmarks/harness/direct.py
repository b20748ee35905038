"""A search of cases in this one process, without Ray: real HTTP, the real endpoint, with the evidence and without.

``python -m benchmarks.harness.direct URL CASES FOLDER with|without``: after a few cases to warm up a block of ``CASES``
with the evidence, replies stored and rows committed as in a run, and one without; the last argument says which is the
first. Writes ``FOLDER/blocks.json``.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from benchmarks.harness.simulation import make_case, make_config
from mics_ray.assemble.case_search import run_case
from mics_ray.assemble.locations import group_by_provider
from mics_ray.assemble.panel import PanelBuilder, build_strategy
from mics_ray.io.rows import Stamp, result_row
from mics_ray.io.shards.store import ShardStore
from mics_ray.jobs.collector import spare_collector
from mics_ray.jobs.row_writer import Row, RowWriter
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.jobs.window import make_rows
from mics_ray.models.chat.endpoint import Endpoint
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.roles import UsageMeter

WARM = 4
"""Cases whose calls load what the first call loads."""
BLOCKS = "blocks.json"


@dataclass(frozen=True, slots=True)
class Block:
    """Cases that were searched together: calls, seconds and seconds of CPU of this process until all is on the disk."""

    evidence: bool
    calls: int
    seconds: float
    cpu_s: float


def read_blocks(folder: Path) -> tuple[Block, Block]:
    """What the program wrote: with the evidence and without."""
    found = {one["evidence"]: Block(**one) for one in json.loads((folder / BLOCKS).read_text())}
    return found[True], found[False]


async def measure_blocks(url: str, cases: int, folder: Path, evidence_first: bool) -> list[Block]:
    """Both blocks; the collector of cycles and the event loop are those of a run's processes."""
    spare_collector()
    await search_block(url, WARM, folder / "warm", True)
    order = (evidence_first, not evidence_first)
    return [await search_block(url, cases, folder / str(evidence), evidence) for evidence in order]


async def search_block(url: str, cases: int, folder: Path, evidence: bool) -> Block:
    """All cases of a block at a time, the same in each block."""
    (folder / "cache").mkdir(parents=True)
    (folder / "results").mkdir()
    config = make_config({}, 0, url)
    (entries,) = group_by_provider(config).values()
    store = ReplyStore(folder / "cache", "endpoint-0") if evidence else None
    endpoint = Endpoint(entries, None, store)
    panels, stamp = PanelBuilder(config, dict.fromkeys(entries, endpoint)), Stamp(0, "", "")
    strategy = build_strategy(config.search, tuple(config.mentors))

    async def make_row(number: int) -> Row | None:
        began, meter = time.monotonic(), UsageMeter()
        result = await run_case(config, strategy, make_case(number), panels.build_panel(None, None, meter))
        return result_row(result, meter.usage, time.monotonic() - began, stamp) if evidence else None

    writer = RowWriter(ShardStore(folder / "results")) if evidence else None
    began, spent = time.monotonic(), time.process_time()
    await make_rows(range(cases), make_row, writer, cases, StopSignal())
    seconds, cpu_s = time.monotonic() - began, time.process_time() - spent
    calls = sum(one["calls"] for one in endpoint.read_counters().values())
    await endpoint.close()
    if store is not None:
        await store.close()
    return Block(evidence, calls, seconds, cpu_s)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("cases", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("first", choices=["with", "without"])
    given = parser.parse_args()
    # Ray gives this loop to its actors wherever it is installed.
    blocks = uvloop.run(measure_blocks(given.url, given.cases, given.folder, given.first == "with"))
    (given.folder / BLOCKS).write_text(json.dumps([asdict(block) for block in blocks]))
