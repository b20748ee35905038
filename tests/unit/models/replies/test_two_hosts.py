"""One cache on a disk that two hosts share: memory and locks of one are not the other's."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.types import Reply
from tests.support.another_host import Host

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(shutil.which("cc") is None, reason="the emulated hosts need a C compiler"),
]

WRITER = """
import asyncio, sys
from pathlib import Path
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.types import Reply

async def main():
    store = ReplyStore(Path(sys.argv[1]), "endpoint-0")
    number = 0
    for line in sys.stdin:
        count = int(line)
        await asyncio.gather(*(
            store.store_reply(n.to_bytes(32, "big"), "m", Reply("x" * 300)) for n in range(number, number + count)
        ))
        number += count
        print(number, flush=True)

asyncio.run(main())
"""
READER = """
import asyncio, sys
from pathlib import Path
from mics_ray.models.replies.reply_store import ReplyStore

async def main():
    store = ReplyStore(Path(sys.argv[1]), sys.argv[2])
    print(sum(store.find_reply(n.to_bytes(32, "big")) is not None for n in range(int(sys.argv[3]))), flush=True)
    sys.stdin.read()

asyncio.run(main())
"""
STATS = """
import sys
from mics_ray.commands.cache import run_cache
codes = [run_cache([action, sys.argv[1], "--json"]) for action in ("stats", "verify")]
print("codes", codes)
"""


def start_program(program: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python program of this host, with pipes to talk to it."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def test_another_host_finds_all_and_touches_nothing_of_a_live_writer(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    here, there = Host(tmp_path, "a"), Host(tmp_path, "b")
    with here.start(WRITER, cache) as writer:
        assert writer.stdin
        assert writer.stdout

        def store(count: int) -> int:
            assert writer.stdin
            assert writer.stdout
            writer.stdin.write(f"{count}\n")
            writer.stdin.flush()
            return int(writer.stdout.readline())

        assert store(200) == 200
        with there.start(READER, cache, "replica-x-0", 200) as first:
            assert first.stdout
            assert first.stdout.readline() == "200\n"
            assert store(5800) == 6000
            theirs = sorted(path.name for path in cache.iterdir() if "endpoint-0" in path.name)
            second = there.run(READER, cache, "replica-x-1", 6000)
            assert second.stdout == "6000\n", second.stderr
            looked = there.run(STATS, cache)
            assert "codes [0, 0]" in looked.stdout, looked.stdout + looked.stderr
            assert sorted(path.name for path in cache.iterdir() if "endpoint-0" in path.name) == theirs
            assert store(6) == 6006
            first.communicate()
        writer.kill()
    again = here.run(READER, cache, "endpoint-0", 6006)
    assert again.stdout == "6006\n", again.stderr


async def test_a_log_that_its_writer_closes_while_another_host_reads_is_found_in_the_file(tmp_path: Path) -> None:
    writer = ReplyStore(tmp_path, "a")
    await writer.store_reply(b"k" * 32, "m", Reply("x"))
    reader = ReplyStore(tmp_path, "b")
    await writer.close()
    assert reader.find_reply(b"k" * 32)
    later = ReplyStore(tmp_path, "c")
    assert later.find_reply(b"k" * 32)
    await reader.close()
    await later.close()
