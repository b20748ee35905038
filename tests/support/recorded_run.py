"""Finished runs of scripted models with a real record, made without Ray as `scripts/generate.py` leaves them."""

import asyncio
import json
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from mics_ray.assemble.case_search import load_pictures, run_case
from mics_ray.assemble.locations import JUDGE
from mics_ray.assemble.panel import PanelBuilder, build_strategy, find_room
from mics_ray.config.compose import compose_config
from mics_ray.config.schema import Config
from mics_ray.core.types import Case
from mics_ray.io.cases import Rejection
from mics_ray.io.rows import rejected_row, result_row
from mics_ray.io.shards.store import ShardStore
from mics_ray.jobs.generation import GenerationJob, prepare_generation
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.roles import UsageMeter
from mics_ray.models.types import Failure, LostCall, Pictures, Reply, Request
from tests.support.run_folders import noise

STEPS = 5
CHECKED = "## Step to check"
"""In a question about a step that may leak."""


@dataclass
class Scripted:
    """A model whose reply is drawn by the request's key, kept in a cache; a share ``loss`` of its calls is lost.

    A share ``cut`` of its replies is cut; asked again with more room than ``room``, the model has none.
    """

    cache: ReplyStore
    loss: float
    cut: float
    room: int

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        if kept := self.cache.find_reply(request.key):
            return kept
        chance = int.from_bytes(request.key[:4], "big") / 2**32
        # A question about a step has its reply by its text alone, so that each kind comes about.
        always_lost = self.loss and CHECKED in request.text and crc32(request.text.encode()) % 4 == 3
        if chance < self.loss or always_lost:
            raise LostCall(Failure("timeout", "no reply in time"))
        if request.max_tokens > self.room and chance < 0.5:
            raise LostCall(Failure("too_much_room", "400"))
        finish = "length" if request.key[5] < 256 * self.cut else "stop"
        reply = Reply(_text(request, chance), finish, prompt_tokens=7, completion_tokens=3, cost_usd=0.01)
        await self.cache.store_reply(request.key, request.model, reply)
        return reply


def _text(request: Request, chance: float) -> str:
    if CHECKED in request.text:
        return ("Yes", "No", "Perhaps.", "No")[crc32(request.text.encode()) % 4]
    if request.entry == JUDGE:
        return "Yes" if chance < 0.15 else "No" if chance < 0.97 else "Perhaps."
    if request.entry.startswith("tiny"):
        agreed = crc32(request.text.encode())  # every vote on half of the prefixes is the same
        answer = f"### The final answer is: finding {agreed if agreed % 2 else request.key.hex()[:6]}"
        return answer if chance < 0.95 else "No answer here."
    first = int(match[1]) if (match := re.search(r"Go on with step (\d+)", request.text)) else 1
    steps = [f"### Step {k}: {request.entry} sees {request.key.hex()[:6]} {k}." for k in range(first, STEPS + 1)]
    return "\n\n".join([*steps, "### The final answer is: Gold"])


def overrides(folder: Path) -> list[str]:
    """The command line that made the run in ``folder/run``."""
    return ["experiment=demo", f"data.cases={folder}/cases.jsonl", f"run.dir={folder}/run", "search.restarts=1"]


def write_cases(folder: Path, count: int) -> None:
    """``count`` cases with a picture each, and one record that cannot be used."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(count):
        noise(number).save(folder / f"{number}.png")
        messages = [{"role": "user", "content": "What is shown?"}, {"role": "assistant", "content": "Gold"}]
        lines.append({"rid": f"case-{number}", "messages": messages, "images": [f"{number}.png"]})
    lines.append({"rid": "unusable", "messages": [], "images": []})
    (folder / "cases.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def recorded_run(folder: Path, count: int = 12, loss: float = 0.0, cut: float = 0.0, more: Sequence[str] = ()) -> Path:
    """Make the cases and search them, with ``more`` on the command line; returns the run's folder."""
    write_cases(folder, count)
    config = compose_config([*overrides(folder), *more])
    with prepare_generation(config) as job:
        asyncio.run(_search(config, job, loss, cut))
    return folder / "run"


async def _search(config: Config, job: GenerationJob, loss: float, cut: float) -> None:
    # Mentors and judge share a provider, each intern replica has a file of its own.
    names = {JUDGE: "endpoint-0", **dict.fromkeys(config.mentors, "endpoint-0")}
    names |= {name: f"intern-{name}-0" for name in config.interns}
    caches = {file: ReplyStore(job.folder.cache, file) for file in set(names.values())}
    rooms = {name: find_room(entry) for name, entry in {**config.mentors, JUDGE: config.judge}.items()}
    rooms |= {name: find_room(entry) for name, entry in config.interns.items()}
    cast = PanelBuilder(config, {name: Scripted(caches[file], loss, cut, rooms[name]) for name, file in names.items()})
    store = ShardStore(job.folder.results)
    rows = []
    for place, record in job.iter_pending():
        rows.append(await _row(config, job, cast, place, record))
    for first in range(0, len(rows), 5):
        store.commit(rows[first : first + 5])
    for cache in caches.values():
        await cache.close()


async def _row(
    config: Config, job: GenerationJob, cast: PanelBuilder, place: object, record: Case | Rejection
) -> dict[str, object]:
    if isinstance(record, Rejection):
        return rejected_row(record, job.stamp)
    pictured = load_pictures(config, Path(str(job.config.data.image_root)), place, record)
    assert not isinstance(pictured, Rejection)
    meter = UsageMeter()
    panel = cast.build_panel(pictured.mentor, pictured.intern, meter)
    result = await run_case(config, build_strategy(config.search, tuple(config.mentors)), pictured.case, panel)
    return result_row(result, meter.usage, 1.5, job.stamp)


def flip(run: Path, share: float) -> int:
    """Flip one bit in the text of a share of the recorded replies, as a disk does; returns in how many."""
    flipped = 0
    for path in (run / "cache").glob("*.sqlite"):
        with sqlite3.connect(path) as connection:
            found = connection.execute("SELECT key, CAST(text AS BLOB) FROM replies").fetchall()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        data = path.read_bytes()
        for _, text in (one for one in found if one[0][5] / 256 < share):
            at = data.find(text) if len(text) > 20 else -1  # a short one may lie elsewhere, too
            if at >= 0 and data.count(text) == 1:
                data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
                flipped += 1
        path.write_bytes(data)
    return flipped


def forget(run: Path, share: float) -> int:
    """Take a share of the recorded replies away, drawn by key; returns how many are left."""
    left = 0
    for path in (run / "cache").glob("*.sqlite"):
        with sqlite3.connect(path) as connection:
            keys = [key for (key,) in connection.execute("SELECT key FROM replies")]
            gone = [(key,) for key in keys if key[5] / 256 < share]
            connection.executemany("DELETE FROM replies WHERE key = ?", gone)
            left += len(keys) - len(gone)
        connection.close()
    return left
