"""B4: prompt tokens that replicas' prefix caches serve over what one cache for all could, with and without affinity."""

import asyncio
import hashlib
import random
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from benchmarks.harness.figures import Figure, Goal, Setting, current_load
from benchmarks.harness.provider import compose_reply
from benchmarks.harness.simulation import SimulatedChat, make_case, make_config, play_seeds
from mics_ray.assemble.case_search import run_case
from mics_ray.assemble.panel import PanelBuilder, build_strategy
from mics_ray.models.chat.endpoint import Endpoint
from mics_ray.models.roles import UsageMeter
from mics_ray.models.types import Model, Pictures, Reply, Request
from mics_ray.runtime.serving.replica_state import ReplicaAnswer
from mics_ray.runtime.serving.router import Router
from tests.support.prefix_cache import tokenise_prompt
from tests.support.virtual_loop import VirtualLoop

BLOCK = 16
"""Tokens that vLLM keeps or not together."""
PICTURES = 4
SLOWER = 20.0
ANSWER_S = 2.0
REPLICAS = (1, 4, 16)
WINDOW = 128
INTERN = "intern_0"
SAID = (
    "Simulated time: the real search and router, replicas that keep blocks of 16 tokens and forget those that were used"
    " longest ago; four pictures a case, one intern, two temperatures, 128 cases open. What one cache that forgets"
    " nothing and is shared by all could serve is attainable. Load: prompt tokens of the whole run. Half the cache:"
    " room for half of the blocks of the open cases. A case comes back to its blocks every dozen seconds, when a cache"
    " that forgets what was used longest ago has often lost them; one that knew the future would serve 0.895 (one seed,"
    " by hand). As many cases open as it holds: half the `window`; where replicas have no queue, as here, that costs"
    " the seconds told."
)


@dataclass
class SimulatedReplica:
    """See :class:`mics_ray.runtime.serving.replica_state.Replica`. ``room`` in blocks, 0: no bound."""

    room: int = 0
    sent: int = 0
    served: int = 0
    blocks: OrderedDict[bytes, None] = field(default_factory=OrderedDict)

    async def generate(self, requests: Sequence[Request], pictures: Pictures | None) -> list[ReplicaAnswer]:
        """Answer after a while; tokens that the cache had are counted when the requests come."""
        for request in requests:
            self.count_prompt(tokenise_prompt(request, pictures))
        await asyncio.sleep(ANSWER_S * random.Random(requests[0].text).uniform(0.5, 1.5))
        return [self._answer(request) for request in requests]

    def count_prompt(self, prompt: list[str]) -> None:
        """Tokens at its beginning that are there; all of it is from here on."""
        digest, missed = b"", False
        self.sent += len(prompt)
        for start in range(0, len(prompt) - BLOCK + 1, BLOCK):
            digest = hashlib.blake2b(digest + "\0".join(prompt[start : start + BLOCK]).encode(), digest_size=8).digest()
            missed = missed or digest not in self.blocks
            self.served += 0 if missed else BLOCK
            self.blocks[digest] = None
            self.blocks.move_to_end(digest)
        while self.room and len(self.blocks) > self.room:
            self.blocks.popitem(last=False)

    @staticmethod
    def _answer(request: Request) -> Reply:
        rng = random.Random(f"{request.seed}{request.temperature}{request.text}")
        return Reply(compose_reply("intern", request.text, rng), "stop", len(request.text) // 4, 20)

    async def ready(self) -> None:
        """It is."""

    async def probe(self) -> None:
        """It answers."""

    async def replace(self) -> None:
        """It never has to be."""


@dataclass(frozen=True, slots=True)
class Scattered:
    """A router asked without a case: any replica answers."""

    router: Router
    dice: random.Random

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """See :class:`mics_ray.models.types.Model`."""
        return await self.router.route_request(str(self.dice.random()), request, pictures)


@dataclass(frozen=True, slots=True)
class Routed:
    """What a run's replicas did: share of tokens served from their caches, largest load over the mean, blocks kept.

    ``seconds``: how long the run took.
    """

    share: float
    imbalance: float
    blocks: int
    seconds: float


def measure_figures(setting: Setting) -> Iterator[Figure]:
    """Affinity at each number of replicas, without it at the largest, and with half the cache."""
    cases = setting.choose(160, 48)
    single = play_seeds(partial(route_cases, cases, 1), setting.runs)
    attainable = [one.share for one in single]
    yield make_figure("attainable share of prompt tokens", tuple(attainable), None)
    for count in REPLICAS[1:]:
        runs = play_seeds(partial(route_cases, cases, count), setting.runs)
        shares = tuple(run.share / most for run, most in zip(runs, attainable, strict=True))
        yield make_figure(f"of the attainable share, {count} replicas", shares, Goal(">=", 0.97))
        loads = tuple(run.imbalance for run in runs)
        yield make_figure(f"largest load over the mean, {count} replicas", loads, Goal("<=", 1.10))
    most_replicas = REPLICAS[-1]
    # Blocks of all cases by the share of them that is open, to each replica its part of half of that.
    room = [round(one.blocks * min(WINDOW, cases) / cases / most_replicas / 2) for one in single]
    yield from tell_half_cache(setting, cases, attainable, room)
    random_ones = play_seeds(partial(route_cases, cases, most_replicas, affinity=False), setting.runs)
    shares = tuple(run.share / most for run, most in zip(random_ones, attainable, strict=True))
    yield make_figure(f"of the attainable share, {most_replicas} replicas, without affinity", shares, None)


def tell_half_cache(setting: Setting, cases: int, attainable: Sequence[float], room: Sequence[int]) -> Iterator[Figure]:
    """With ``room`` blocks a replica by seed: all cases open that there were before, and as many as the room holds."""
    count = REPLICAS[-1]
    name = f"of the attainable share, {count} replicas, half the cache"
    full = play_seeds(partial(route_cases, cases, count, rooms=room), setting.runs)
    shares = tuple(run.share / most for run, most in zip(full, attainable, strict=True))
    yield make_figure(name, shares, Goal(">=", 0.90))
    window = min(WINDOW, cases) // 2
    fewer = play_seeds(partial(route_cases, cases, count, rooms=room, window=window), setting.runs)
    shares = tuple(run.share / most for run, most in zip(fewer, attainable, strict=True))
    yield make_figure(f"{name}, as many cases open as it holds", shares, Goal(">=", 0.90))
    slower = tuple(run.seconds / other.seconds for run, other in zip(fewer, full, strict=True))
    yield make_figure("seconds with as many cases open as half the cache holds over those with all", slower, None)


def make_figure(name: str, values: tuple[float, ...], goal: Goal | None) -> Figure:
    """Simulated time knows no load, so none can spoil it."""
    return Figure("B4", name, "", values, goal, SAID, others=(0.0,), load=(current_load(),))


def route_cases(
    cases: int, count: int, seed: int, affinity: bool = True, rooms: Sequence[int] = (), window: int = WINDOW
) -> Routed:
    """Search the cases with one intern on so many replicas; ``rooms`` of a replica by seed, none: no bound."""
    config = make_config({}, seed)
    config = replace(config, interns={INTERN: config.interns[INTERN]})
    replicas = [SimulatedReplica(rooms[seed] if rooms else 0) for _ in range(count)]

    async def work() -> float:
        router = Router(INTERN, replicas)
        endpoint = Endpoint({**config.mentors, "judge": config.judge}, None, None, chat=SimulatedChat(SLOWER))
        strategy, places = build_strategy(config.search, tuple(config.mentors)), asyncio.Semaphore(window)
        dice = random.Random(seed)

        async def search_one(number: int) -> None:
            async with places:
                case = make_case(number, f"case-{seed}")
                intern: Model = router.bind_case(case.id) if affinity else Scattered(router, dice)
                models = dict.fromkeys([*config.mentors, "judge"], endpoint) | {INTERN: intern}
                shown = Pictures(case.id, (b"",) * PICTURES)
                panel = PanelBuilder(config, models).build_panel(shown, shown, UsageMeter())
                await run_case(config, strategy, case, panel)

        await asyncio.gather(*map(search_one, range(cases)))
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        seconds = runner.run(work())
    loads = [replica.sent for replica in replicas]
    share = sum(replica.served for replica in replicas) / sum(loads)
    blocks = sum(len(replica.blocks) for replica in replicas)
    return Routed(share, max(loads) * count / sum(loads), blocks, seconds)
