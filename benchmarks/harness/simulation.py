"""A job in simulated time: the real search, endpoint, limiter and retries; the provider and the clock are simulated.

Minutes of pacing take as long as their computing. No Ray, no HTTP: what these cost, other benchmarks measure.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from benchmarks.harness.provider import JITTER, LATENCY_S, QuotaWindows, compose_reply, draw_seconds
from mics_ray.assemble.case_search import run_case
from mics_ray.assemble.locations import JUDGE, group_by_provider
from mics_ray.assemble.panel import PanelBuilder, build_strategy
from mics_ray.config.compose import compose_config
from mics_ray.config.schema import Config, Engine, InternDefaults, ModelConfig
from mics_ray.core.types import Case
from mics_ray.models.chat.endpoint import Endpoint
from mics_ray.models.chat.retry import Action, Fault
from mics_ray.models.roles import UsageMeter
from mics_ray.models.types import Failure, Model, Pictures, Reply, Request
from tests.support.virtual_loop import VirtualLoop

HINT_S = 1.0
"""What a refusal says to wait."""
Result = TypeVar("Result")


def play_seeds(play: Callable[[int], Result], runs: int) -> list[Result]:
    """What ``play`` returns for each seed from 0, a core for each: how long simulated time takes changes no figure.

    ``play`` is a function of a module, or a :func:`functools.partial` of one, since other processes call it.
    """
    with ProcessPoolExecutor() as pool:
        return list(pool.map(play, range(runs)))


@dataclass
class SimulatedChat:
    """The chat client of a provider.

    ``sent``: by model the moments of the calls that it served; ``refused``: those of its 429s.
    """

    slower: float = 1.0
    faults: float = 0.0
    windows: QuotaWindows = field(default_factory=QuotaWindows)
    sent: dict[str, list[float]] = field(default_factory=dict)
    refused: list[float] = field(default_factory=list)
    busy_s: dict[str, float] = field(default_factory=dict)
    _dice: random.Random = field(default_factory=lambda: random.Random(0))

    async def attempt_call(self, request: Request, pictures: Pictures | None, timeout_s: float) -> Reply | Fault:
        """See :class:`mics_ray.models.chat.client.Chat`."""
        now = asyncio.get_running_loop().time()
        if not self.windows.admit_call(request.model, now):
            self.refused.append(now)
            return Fault(Action.AGAIN, Failure("rate_limit", "429"), retry_after=HINT_S)
        rng = random.Random(f"{request.model}{request.seed}{request.temperature}{request.text}")
        kind = request.model.split("-")[0]
        seconds = draw_seconds(self.slower * LATENCY_S[kind], JITTER, rng)
        self.sent.setdefault(request.model, []).append(now)
        await asyncio.sleep(seconds)
        if self._dice.random() < self.faults:
            return Fault(Action.AGAIN, Failure("server_error", "503"))
        self.busy_s[request.model] = self.busy_s.get(request.model, 0.0) + seconds
        return Reply(compose_reply(kind, request.text, rng), "stop", len(request.text) // 4, 20)

    async def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class Played:
    """A job: its provider, when it ended (seconds), how long each case was open, calls that were answered by entry."""

    chat: SimulatedChat
    seconds: float
    cases_s: tuple[float, ...]
    calls: Mapping[str, int]


def make_config(
    limits: Mapping[str, Mapping[str, float]], seed: int, url: str = "https://provider/v1", *overrides: str
) -> Config:
    """Three mentors, three endpoint interns and a judge of one provider; ``limits``: fields of entries by name."""
    composed = compose_config(["experiment=demo", "run.dir=unused", f"seed={seed}", *overrides])

    def locate(name: str, model: str) -> dict[str, Any]:
        return {"model": model, "base_url": url, "max_tokens": 512, **limits.get(name, {})}

    return replace(
        composed,
        mentors={f"mentor_{n}": ModelConfig(**locate(f"mentor_{n}", f"mentor-{n}")) for n in range(3)},
        interns={
            f"intern_{n}": InternDefaults(**locate(f"intern_{n}", f"intern-{n}"), engine=Engine.endpoint)
            for n in range(3)
        },
        judge=ModelConfig(**locate(JUDGE, "judge-0")),
    )


def make_case(number: int, name: str = "case", gold: str = "right") -> Case:
    """A case without pictures; its id begins with ``name``."""
    return Case(f"{name}-{number:05}", f"What does case {number} show?", gold)


def play_job(config: Config, cases: int, window: int, chat: SimulatedChat) -> Played:
    """Search ``cases`` cases, ``window`` at a time."""
    done: list[float] = []
    meter = UsageMeter()

    async def work() -> float:
        models: dict[str, Model] = {}
        for entries in group_by_provider(config).values():
            models |= dict.fromkeys(entries, Endpoint(entries, None, None, chat=chat))
        loop, places = asyncio.get_running_loop(), asyncio.Semaphore(window)
        strategy = build_strategy(config.search, tuple(config.mentors))

        async def search_one(number: int) -> None:
            async with places:
                began = loop.time()
                panel = PanelBuilder(config, models).build_panel(None, None, meter)
                await run_case(config, strategy, make_case(number), panel)
                done.append(loop.time() - began)

        await asyncio.gather(*map(search_one, range(cases)))
        return loop.time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        seconds = runner.run(work())
    return Played(chat, seconds, tuple(done), {name: used.calls for name, used in meter.usage.items()})
