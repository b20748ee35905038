"""A mentor's provider is away for a minute: what the others do meanwhile, and what bounds it. In simulated time.

A search goes on without the absent mentor until it needs that mentor's next step, then it waits: sitting the round out
would change the result. So the others live on the searches that are open, and the window says how long.
"""

import asyncio
import random
from dataclasses import dataclass, field

import pytest

from benchmarks.harness.provider import compose_reply
from mics_ray.assemble.case_search import run_case
from mics_ray.assemble.locations import group_by_provider, list_endpoints
from mics_ray.assemble.panel import PanelBuilder, build_strategy
from mics_ray.config.schema import Config, Engine, InternDefaults, ModelConfig
from mics_ray.core.search import SearchResult
from mics_ray.core.types import Case
from mics_ray.models.chat.endpoint import Endpoint
from mics_ray.models.chat.retry import Action, Fault
from mics_ray.models.roles import UsageMeter
from mics_ray.models.types import Failure, Model, Pictures, Reply, Request
from tests.support.virtual_loop import VirtualLoop

pytestmark = pytest.mark.chaos

CASES = 110
BEGIN_S, OUTAGE_S = 120.0, 60.0
SETTLED_S = 20.0
"""Five different calls have failed by then, and the breaker is open."""
VOTES_PER_MINUTE = 600
"""What the interns' quotas allow together: they bind the run, as a busy provider does."""
VOTES_BESIDE = 12
"""Votes of an open search that need no absent mentor: two mentors' candidates, three interns, two temperatures."""
LASTING = VOTES_PER_MINUTE / 60 * OUTAGE_S / VOTES_BESIDE
"""Open searches that the interns live on for the whole outage."""


@dataclass
class StandIn:
    """The chat client of one provider: replies of the benchmark's simulated models; nothing arrives while it is out."""

    latency_s: float
    out: bool = False
    sent: list[float] = field(default_factory=list)
    failed: int = 0

    async def attempt_call(self, request: Request, pictures: Pictures | None, timeout_s: float) -> Reply | Fault:
        self.sent.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.latency_s)
        if self.out:
            self.failed += 1
            return Fault(Action.AGAIN, Failure("connection", "reset"))
        rng = random.Random(f"{request.seed}{request.temperature}{request.text}")
        return Reply(compose_reply(request.model.split("-")[0], request.text, rng), "stop", 10, 10)

    async def close(self) -> None:
        pass

    def rate(self, begin: float, end: float) -> float:
        """Attempts a second."""
        return sum(begin <= at < end for at in self.sent) / (end - begin)


@dataclass(frozen=True)
class Played:
    """A run: the providers by name (``away``, ``beside``, ``interns``), the results by case."""

    providers: dict[str, StandIn]
    results: dict[str, SearchResult]

    def share(self, name: str) -> float:
        """A provider's rate during the outage, of its rate in the minute before."""
        rate = self.providers[name].rate
        return rate(BEGIN_S, BEGIN_S + OUTAGE_S) / rate(BEGIN_S - OUTAGE_S, BEGIN_S)


def config() -> Config:
    def entry(model: str, provider: str) -> ModelConfig:
        return ModelConfig(model=model, base_url=f"https://{provider}/v1")

    def intern(number: int) -> InternDefaults:
        quota = VOTES_PER_MINUTE / 3
        return InternDefaults(
            f"intern-{number}", Engine.endpoint, base_url="https://interns/v1", requests_per_minute=quota
        )

    return Config(
        mentors={f"mentor_{n}": entry(f"mentor-{n}", "beside" if n else "away") for n in range(3)},
        interns={f"intern_{n}": intern(n) for n in range(3)},
        judge=entry("judge-0", "beside"),
    )


def play(window: int, outage: bool) -> Played:
    """Search with so many searches open at a time."""
    made = config()
    stand_ins = {"away": StandIn(0.4), "beside": StandIn(0.3), "interns": StandIn(0.1)}
    results: dict[str, SearchResult] = {}

    async def work() -> None:
        models: dict[str, Model] = {}
        for address, entries in group_by_provider(made).items():
            endpoint = Endpoint(entries, None, None, chat=stand_ins[address.split("/")[2]])
            models |= dict.fromkeys(entries, endpoint)
        assert set(models) == set(list_endpoints(made))
        slots, moves = asyncio.Semaphore(window), build_strategy(made.search, tuple(made.mentors))

        async def search(case: Case) -> None:
            async with slots:
                panel = PanelBuilder(made, models).build_panel(None, None, UsageMeter())
                results[case.id] = await run_case(made, moves, case, panel)

        if outage:
            for seconds, out in ((BEGIN_S, True), (BEGIN_S + OUTAGE_S, False)):
                asyncio.get_running_loop().call_later(seconds, setattr, stand_ins["away"], "out", out)
        await asyncio.gather(*(search(Case(f"case-{n:04}", f"What does {n} show?", "right")) for n in range(CASES)))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work())
    return Played(stand_ins, results)


@pytest.fixture(scope="module")
def calm() -> Played:
    return play(round(LASTING), outage=False)


def test_with_enough_open_searches_the_others_keep_their_rate_and_nothing_changes(calm: Played) -> None:
    disturbed = play(round(LASTING), outage=True)
    away = disturbed.providers["away"]
    assert away.failed > 0, "nobody needed the one that was away"
    assert away.rate(BEGIN_S + SETTLED_S, BEGIN_S + OUTAGE_S) <= 1.0
    assert disturbed.share("interns") >= 0.95
    assert disturbed.results == calm.results
    sent = {name: len(one.sent) for name, one in calm.providers.items()}
    sent["away"] += away.failed
    assert {name: len(one.sent) for name, one in disturbed.providers.items()} == sent


def test_with_few_open_searches_the_others_wait_for_the_one_that_is_away(calm: Played) -> None:
    disturbed = play(round(LASTING / 5), outage=True)
    assert disturbed.providers["away"].failed > 0
    assert 0.2 <= disturbed.share("interns") <= 0.8, "the window binds"
    assert disturbed.results == calm.results
