"""A search of cases in this one process, without Ray: real HTTP, the real endpoint, and the evidence if it is wanted.

``python -m benchmarks.harness.direct URL CASES FOLDER [--no-evidence]``: replies are stored and rows committed as in a
run, or neither.
"""

import argparse
import time
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


async def search_cases(url: str, cases: int, folder: Path, evidence: bool) -> None:
    """All cases at a time; the collector of cycles and the event loop are those of a run's processes."""
    spare_collector()
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
    await make_rows(range(cases), make_row, writer, cases, StopSignal())
    await endpoint.close()
    if store is not None:
        await store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("cases", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--no-evidence", action="store_true")
    given = parser.parse_args()
    (given.folder / "cache").mkdir(parents=True)
    (given.folder / "results").mkdir()
    # Ray gives this loop to its actors wherever it is installed.
    uvloop.run(search_cases(given.url, given.cases, given.folder, not given.no_evidence))
