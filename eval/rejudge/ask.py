"""Asking the judge about every recorded answer: one endpoint in this process, no Ray, a window of cases open."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from eval.rejudge.account import Said
from eval.rejudge.run_rules import list_answers
from mics_ray.assemble.locations import JUDGE, group_by_provider
from mics_ray.assemble.panel import build_judge_template
from mics_ray.config.keys import read_key, read_secret_headers
from mics_ray.config.schema import Config
from mics_ray.core.tree import SearchTree
from mics_ray.core.types import Case, LostCall, Verdict
from mics_ray.io.rows import read_trees
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.jobs.window import make_rows
from mics_ray.models.chat.endpoint import Endpoint
from mics_ray.models.participation import Attendance
from mics_ray.models.replies.ledger import Ledger
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.roles import BoundModel, ModelJudge, UsageMeter
from mics_ray.models.types import Model, Pictures, Reply, Request

DRAIN_S = 15.0
"""How long paid calls under way may take to be stored when the program is stopped."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A case with its recorded trees and what the judge says of each answer."""

    case_id: str
    trees: list[SearchTree]
    said: dict[str, Said]


def build_endpoint(config: Config, cache: ReplyStore, ledger: Ledger, proven: bool) -> Endpoint:
    """The judge's provider; ``config`` has no other model. What it costs goes into ``ledger``.

    ``proven``: it has answered the probe.
    """
    # There is one provider only: the judge is the sole model of this configuration.
    entries = next(iter(group_by_provider(config).values()))
    variable = entries[JUDGE].api_key_env
    key = read_key(variable) if variable else None
    return Endpoint(entries, key, cache, ledger, read_secret_headers(entries), proven=proven)


class AskedJudge(Model, Protocol):
    """Who is asked for verdicts."""

    async def drain_calls(self) -> None:
        """End: nothing more is asked."""
        ...


class PaidCalls:
    """An endpoint whose calls outlive the case that made them: a reply that is paid for must reach the cache."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._running: set[asyncio.Task[Reply]] = set()

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """See :class:`mics_ray.models.types.Model`."""
        call = asyncio.create_task(self._endpoint.complete(request, pictures))
        self._running.add(call)
        call.add_done_callback(self._running.discard)
        # A case that is given up cancels its await, not the call.
        return await asyncio.shield(call)

    async def drain_calls(self) -> None:
        """Send nothing more, and wait for what is under way, :data:`DRAIN_S` at most; then close."""
        self._endpoint.stop_sending()
        if self._running:
            await asyncio.wait(self._running, timeout=DRAIN_S)
        await self._endpoint.close()


class _Turns:
    """Lets cases pass in their order, however long each takes: the verdicts of a run are always in one order."""

    def __init__(self) -> None:
        self._next, self._moved = 0, asyncio.Condition()

    @asynccontextmanager
    async def take_turn(self, number: int) -> AsyncIterator[None]:
        """The turn of case ``number``, counted from 0."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._next == number)
            yield
            self._next += 1
            self._moved.notify_all()


async def ask_judge(
    rows: Iterable[Mapping[str, Any]],
    config: Config,
    judge: AskedJudge,
    meter: UsageMeter,
    stop: StopSignal,
    keep: Callable[[Heard], None],
) -> None:
    """Ask about the cases, ``config.window`` at a time; ``keep`` gets them in their order.

    Raises :class:`mics_ray.errors.Stopped`, :class:`mics_ray.models.types.Refused` (of a judge that loses all of its
    first calls, too), ``OSError``, and what reading ``rows`` raises.
    """
    attendance = Attendance()
    model, turns = ModelJudge(BoundModel(judge, build_judge_template(config), None, config.prompts, meter)), _Turns()

    async def keep_in_order(numbered: tuple[int, Mapping[str, Any]]) -> None:
        number, row = numbered
        heard = await _ask_case(row, model, attendance)
        async with turns.take_turn(number):  # with its place in the window: no more than those wait in memory
            keep(heard)

    await make_rows(enumerate(rows), keep_in_order, None, config.window, stop)


async def _ask_case(row: Mapping[str, Any], judge: ModelJudge, attendance: Attendance) -> Heard:
    case, found = (
        Case(row["case_id"], row["question"], row["answer"], others=tuple(row["other_answers"])),
        read_trees(row),
    )
    texts = list_answers(found)
    said = await asyncio.gather(*(_ask_answer(judge, case, text, attendance) for text in texts))
    return Heard(case.id, found, dict(zip(texts, said, strict=True)))


async def _ask_answer(judge: ModelJudge, case: Case, text: str, attendance: Attendance) -> Said:
    try:
        found = await attendance.count_call(JUDGE, judge.compare, case, text, 0)
    except LostCall as lost:
        return Said(Verdict.UNKNOWN, lost.text, str(lost.failure))
    return Said(found.verdict, found.reply)
