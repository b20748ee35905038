"""Asking the judge about every recorded answer: one endpoint in this process, no Ray, a window of cases open."""

import asyncio
import contextlib
import signal
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eval.rejudge.account import Said
from eval.rejudge.recorded import answers
from mics_ray.assemble.locations import JUDGE, group_by_provider
from mics_ray.assemble.panel import build_judge_template
from mics_ray.config.keys import read_key
from mics_ray.config.schema import Config
from mics_ray.core.tree import SearchTree
from mics_ray.core.types import Case, LostCall, Verdict
from mics_ray.io.rows import read_trees
from mics_ray.models.chat.endpoint import Endpoint
from mics_ray.models.replies.ledger import Ledger
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.roles import BoundModel, ModelJudge, UsageMeter

DRAIN_S = 15.0
"""How long paid calls may take to come home when the program is stopped."""


class Stopped(Exception):
    """The person asked for a stop."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A case with its recorded trees and what the judge says of each answer."""

    case_id: str
    trees: list[SearchTree]
    said: dict[str, Said]


def endpoint(config: Config, cache: ReplyStore, ledger: Ledger) -> Endpoint:
    """The judge's provider; ``config`` has no other model. What it costs goes into ``ledger``."""
    entries = next(iter(group_by_provider(config).values()))
    variable = entries[JUDGE].api_key_env
    return Endpoint(entries, read_key(variable) if variable else None, cache, ledger)


async def hear(
    rows: Iterable[Mapping[str, Any]], config: Config, judge: Endpoint, meter: UsageMeter
) -> AsyncGenerator[Heard, None]:
    """The cases in their order, ``config.window`` open at a time.

    Ctrl-C or SIGTERM raises :class:`Stopped` once the calls under way have come home. Raises also
    :class:`mics_ray.models.types.Refused`, ``OSError``.
    """
    voice = ModelJudge(BoundModel(judge, build_judge_template(config), None, config.prompts, meter))
    stop, waiting = asyncio.Event(), deque[asyncio.Task[Heard]]()
    with _listening(stop):
        asked = asyncio.create_task(stop.wait())
        try:
            for row in rows:
                waiting.append(asyncio.create_task(_case(row, voice)))
                if len(waiting) >= config.window:
                    yield await _first(waiting, asked)
            while waiting:
                yield await _first(waiting, asked)
        finally:
            judge.stop_sending()
            if waiting:
                await asyncio.wait(waiting, timeout=DRAIN_S)
            for task in [asked, *waiting]:
                task.cancel()
            await asyncio.gather(asked, *waiting, return_exceptions=True)


async def _first(waiting: "deque[asyncio.Task[Heard]]", asked: "asyncio.Task[bool]") -> Heard:
    """The oldest open case when it is done."""
    await asyncio.wait([waiting[0], asked], return_when=asyncio.FIRST_COMPLETED)
    if asked.done():
        raise Stopped
    return waiting.popleft().result()


async def _case(row: Mapping[str, Any], judge: ModelJudge) -> Heard:
    case, found = Case(row["case_id"], row["question"], row["answer"]), read_trees(row)
    texts = answers(found)
    # A refusal of one does not end the wait for the others: one of them may be a paid call on its way home.
    said = await asyncio.gather(*(_answer(judge, case, text) for text in texts), return_exceptions=True)
    if broken := next((one for one in said if isinstance(one, BaseException)), None):
        raise broken
    return Heard(case.id, found, {text: one for text, one in zip(texts, said, strict=True) if isinstance(one, Said)})


async def _answer(judge: ModelJudge, case: Case, text: str) -> Said:
    try:
        found = await judge.compare(case, text, 0)
    except LostCall as lost:
        return Said(Verdict.UNKNOWN, lost.text, str(lost.failure))
    return Said(found.verdict, found.reply)


@contextlib.contextmanager
def _listening(stop: asyncio.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask for a stop; the second one ends the program at once."""
    loop, numbers = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)

    def heard() -> None:
        stop.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, heard)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
