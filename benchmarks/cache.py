"""A response cache of many replies: how long it takes to open, to find a reply, to count and to check all of it.

``python benchmarks/cache.py [--replies 10000000] [--bytes 300] [--dir FOLDER]`` writes the replies into files of
``--a-file`` each (several processes write a real one), measures, and removes them. Ten million of 300 bytes take 6 GB.
"""

import argparse
import asyncio
import hashlib
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mics_ray.models.replies import store_care
from mics_ray.models.replies.prune import plan_prune, prune_replies
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.replies.store_file import INSERT_REPLY, Row, create_file, folder_bytes, reply_checksum

FOREVER = 2**62  # no reply is older: all of a model go
LOOKUPS = 2000  # enough for a 99th percentile that stands still
BATCH = 100_000  # rows of a transaction: one of millions would keep them all in a journal


def reply_key(number: int) -> bytes:
    """Spread like the digests that real keys are."""
    return hashlib.sha256(number.to_bytes(8)).digest()


TOKENS = (900, 80, 0, 0)


def make_rows(first: int, count: int, text: str) -> Iterator[Row]:
    """Replies number ``first`` and on."""
    size = len(text)
    for number in range(first, first + count):
        name = reply_key(number)
        yield (
            name,
            f"model-{number % 8}",
            number,
            size,
            *TOKENS,
            reply_checksum(name, text, "stop", TOKENS),
            "stop",
            text,
        )


def write_replies(path: Path, first: int, count: int, text: str) -> None:
    """One file; nothing depends on its being on the disk."""
    connection = create_file(path)
    for start in range(first, first + count, BATCH):
        with connection:
            connection.executemany(INSERT_REPLY, make_rows(start, min(BATCH, first + count - start), text))
    connection.close()


def measure_seconds(work: Callable[..., object], *given: object) -> float:
    """Seconds."""
    began = time.perf_counter()
    work(*given)
    return time.perf_counter() - began


def measure_lookups(cache: ReplyStore, numbers: list[int]) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds; a number beyond the replies is a miss."""
    taken = [1000 * measure_seconds(cache.find_reply, reply_key(number)) for number in numbers]
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]


async def measure_store(folder: Path, replies: int) -> None:
    """Print what a run meets: opening, hits, misses; then what the programs for care take."""
    began = time.perf_counter()
    cache = ReplyStore(folder, "new")
    print(f"open {time.perf_counter() - began:.3f} s")
    rng = random.Random(0)
    for name, first in (("hit", 0), ("miss", replies)):
        median, high = measure_lookups(cache, [rng.randrange(first, first + replies) for _ in range(LOOKUPS)])
        print(f"{name} {median:.3f} ms (99 %: {high:.3f} ms)")
    await cache.close()
    print(f"stats {measure_seconds(store_care.collect_stats, folder):.1f} s")
    print(f"verify {measure_seconds(store_care.check_files, folder):.1f} s")
    doomed = plan_prune(folder, "model-1", FOREVER)
    print(f"prune one model of eight {measure_seconds(prune_replies, folder, doomed):.1f} s")


def main() -> None:
    """Fill, measure, remove."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replies", type=int, default=10_000_000)
    parser.add_argument("--bytes", type=int, default=300, help="of one text")
    parser.add_argument("--a-file", type=int, default=2_500_000, metavar="REPLIES")
    parser.add_argument("--dir", type=Path, help="where the files lie meanwhile (a temporary folder)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cache-", dir=options.dir))
    try:
        for first in range(0, options.replies, options.a_file):
            count = min(options.a_file, options.replies - first)
            seconds = measure_seconds(write_replies, folder / f"{first}.sqlite", first, count, "x" * options.bytes)
            print(f"{count:,} replies written, {count / seconds:,.0f} a second", flush=True)
        print(f"{folder_bytes(folder) / 1e9:.2f} GB")
        asyncio.run(measure_store(folder, options.replies))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
