"""B8: how much of a quota is used, calls that the provider refused, the way back after the quota is halved."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.harness.figures import Figure, Goal, Setting, current_load
from benchmarks.harness.provider import WINDOW_S, QuotaWindows
from benchmarks.harness.runs import FigureMaker, search_cases
from benchmarks.harness.simulation import SimulatedChat, make_config, play_seeds
from mics_ray.assemble.locations import JUDGE
from mics_ray.io.cases import LEAST_SPAN
from mics_ray.models.chat.endpoint import Endpoint
from mics_ray.models.types import Reply, Request
from tests.support.virtual_loop import VirtualLoop

QUOTAS = (30.0, 300.0, 3000.0)
"""Requests a minute."""
MODEL = "judge-0"
SETTLED_S = WINDOW_S
"""What a quota's first window holds says nothing of the rest."""
BACK = 0.9
"""Of the halved quota: served again."""
SAID = (
    "Simulated time: the real endpoint with its limiter and retries, always more calls than the quota allows, latencies"
    " of 1 to 3 s, a provider that counts in any 60 s."
)
PROCESSES = (1, 8)
SHARED = 6000.0
"""Requests a minute of the judge, for all search workers together."""
COUNTED_S = 10.0
"""In which the provider of these short runs counts: it holds them to the same rate, and more strictly."""
MIDDLE = (0.1, 0.85)
"""Of the calls: between them there is always one that waits for its permit."""
PROCESSES_SAID = (
    "Runs of `mics generate` over Ray, one with each number of search workers; the judge's quota binds, and the"
    " provider refuses what goes over a sixth of it in any 10 s. Used: of the quota, between the first tenth of the"
    " judge's calls and the last 15 %."
)


@dataclass(frozen=True, slots=True)
class Kept:
    """How a quota was kept: share used, share of calls that were refused."""

    used: float
    refused: float


def measure_figures(setting: Setting) -> Iterator[Figure]:
    """Each quota for some minutes; then one that is halved on the way."""
    minutes = setting.choose(5, 3)
    for quota in QUOTAS:
        runs = play_seeds(partial(keep_quota, quota, minutes), setting.runs)
        yield make_figure(f"used of {quota:,.0f} requests a minute", tuple(run.used for run in runs), Goal(">=", 0.97))
        yield make_figure(
            f"refused calls at {quota:,.0f} requests a minute", tuple(run.refused for run in runs), Goal("<=", 0.0)
        )
    backs = tuple(play_seeds(partial(measure_way_back, 300.0), setting.runs))
    yield make_figure("seconds until a halved quota is used again", backs, Goal("<=", 60), "s")
    for count in PROCESSES[: setting.choose(3, 1)]:
        yield from ask_from_processes(setting.folder / f"workers-{count}", count)


def make_figure(name: str, values: tuple[float, ...], goal: Goal, unit: str = "") -> Figure:
    """Simulated time knows no load, so none can spoil it."""
    return Figure("B8", name, unit, values, goal, SAID, others=(0.0,), load=(current_load(),))


def keep_quota(quota: float, minutes: int, seed: int) -> Kept:
    """Ask for so many minutes, a provider with just this quota."""
    chat = SimulatedChat(slower=20.0, windows=QuotaWindows({MODEL: quota}))
    ask_until(chat, quota, 60.0 * (minutes + 1), seed)
    served = [at for at in chat.sent[MODEL] if SETTLED_S <= at < SETTLED_S + 60 * minutes]
    return Kept(len(served) / (quota * minutes), len(chat.refused) / len(chat.sent[MODEL]))


def measure_way_back(quota: float, seed: int) -> float:
    """Seconds from the moment that the provider serves half until a whole window holds most of that again."""
    chat, halved = SimulatedChat(slower=20.0, windows=QuotaWindows({MODEL: quota})), 180.0
    ask_until(chat, quota, halved + 4 * WINDOW_S, seed, halved)
    served, goal = chat.sent[MODEL], BACK * quota / 2 / WINDOW_S * 10
    steps = (halved + step for step in range(int(4 * WINDOW_S) - 10))
    # In ten seconds, so that a moment of calls that all come at once does not pass for being back.
    return next((at - halved for at in steps if sum(at <= one < at + 10 for one in served) >= goal), 4 * WINDOW_S)


def ask_until(chat: SimulatedChat, quota: float, end: float, seed: int, halved: float | None = None) -> None:
    """Keep enough calls waiting until ``end``; from ``halved`` on the provider allows half of what we were told."""
    config = make_config({JUDGE: {"requests_per_minute": quota}}, seed)
    waiting = round(quota / 6) + 8

    async def run() -> None:
        endpoint = Endpoint({JUDGE: config.judge}, None, None, chat=chat)
        loop = asyncio.get_running_loop()
        if halved is not None:
            loop.call_at(halved, chat.windows.quotas.update, {MODEL: quota / 2})

        async def ask_on(first: int) -> None:
            number = first
            while loop.time() < end:
                reply = await endpoint.complete(Request(JUDGE, MODEL, "", "", str(number), "", 0.0, 64, seed), None)
                assert isinstance(reply, Reply)
                number += waiting

        await asyncio.gather(*map(ask_on, range(waiting)))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


def ask_from_processes(folder: Path, count: int) -> Iterator[Figure]:
    """One run with so many search workers."""
    short = ("search.max_rounds=1", "search.restarts=0", "search.intern_temperatures=[0.3]")
    limits = (f"judge.requests_per_minute={SHARED}", f"ray.workers={count}")
    quotas = {MODEL: SHARED * COUNTED_S / 60}
    run = search_cases(folder, max(64, LEAST_SPAN * count), *short, *limits, quotas=quotas, window_s=COUNTED_S)
    figures, name = FigureMaker("B8", [run.spent], PROCESSES_SAID), f"{count} search worker{'s' if count > 1 else ''}"
    used = share_used(run.stats["times"][MODEL], SHARED)
    yield figures.of_values(f"used of {SHARED:,.0f} requests a minute, {name}", "", (used,), Goal(">=", 0.97))
    refused = float(run.stats["refused"].get(MODEL, 0))
    yield figures.of_values(f"refused calls, {name}", "calls", (refused,), Goal("<=", 0))


def share_used(times: Sequence[float], quota: float) -> float:
    """Of a quota a minute, in the middle of calls at these moments."""
    first, last = (round(len(times) * share) for share in MIDDLE)
    at = sorted(times)
    return (last - first) / (at[last] - at[first]) * 60 / quota
