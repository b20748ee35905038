"""Votes with the same answer have one verdict, whoever asks first; a lost call is a vote's own."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from mics_ray.assemble.panel import PanelBuilder
from mics_ray.config.compose import compose_config
from mics_ray.core.types import Case, Failure, Judgement, LostCall, Verdict
from mics_ray.models.roles import UsageMeter
from mics_ray.models.shared_verdicts import SharedVerdicts
from mics_ray.models.types import Pictures, Reply, Request
from mics_ray.testing import CASE


@dataclass
class HeldJudge:
    """Answers when ``let`` is set, the calls numbered ``lost`` (from 0) never; ``asked`` are answers and seeds."""

    lost: tuple[int, ...] = ()
    asked: list[tuple[str, int]] = field(default_factory=list)
    let: asyncio.Event = field(default_factory=asyncio.Event)

    async def compare(self, case: Case, answer: str, seed: int) -> Judgement:
        number = len(self.asked)
        self.asked.append((answer, seed))
        await self.let.wait()
        if number in self.lost:
            raise LostCall(Failure("timeout", "no reply in time"))
        return Judgement(Verdict.RIGHT if answer == "gold" else Verdict.WRONG, f"about {answer}")


@dataclass
class Agreeing:
    """A model that says yes; ``seeds`` are those of its requests."""

    seeds: list[int] = field(default_factory=list)

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        self.seeds.append(request.seed)
        return Reply("Yes")


def start(judge: HeldJudge, *answers: str) -> list[asyncio.Task[Judgement]]:
    shared = SharedVerdicts(judge)
    return [asyncio.create_task(shared.compare(CASE, answer, seed)) for seed, answer in enumerate(answers)]


async def test_each_answer_is_asked_about_once_and_each_vote_has_its_verdict() -> None:
    judge = HeldJudge()
    votes = start(judge, "gold", "cyst", "gold", "Gold", "cyst")
    await asyncio.sleep(0)
    judge.let.set()
    found = await asyncio.gather(*votes)
    assert judge.asked == [("gold", 0), ("cyst", 1), ("Gold", 3)]
    assert [one.reply for one in found] == ["about gold", "about cyst", "about gold", "about Gold", "about cyst"]
    assert [one.verdict.value for one in found] == ["right", "wrong", "right", "wrong", "wrong"]


async def test_another_question_has_verdicts_of_its_own() -> None:
    """A judge may be shown an item without its options, and the whole of it for another purpose."""
    judge, asked = HeldJudge(), (CASE, replace(CASE, question="And below?"), CASE)
    judge.let.set()
    shared = SharedVerdicts(judge)
    await asyncio.gather(*(shared.compare(case, "gold", 0) for case in asked))
    assert len(judge.asked) == 2


async def test_a_lost_call_is_one_votes_own() -> None:
    judge = HeldJudge(lost=(0, 2))
    votes = start(judge, "gold", "gold", "gold", "gold")
    await asyncio.sleep(0)
    judge.let.set()
    found = await asyncio.gather(*votes, return_exceptions=True)
    assert [isinstance(one, LostCall) for one in found] == [True, False, True, False]
    assert judge.asked == [("gold", 0), ("gold", 1), ("gold", 2), ("gold", 3)]


@pytest.mark.parametrize("number", [0, 1])
async def test_a_vote_that_is_cancelled_cancels_no_other(number: int) -> None:
    judge = HeldJudge()
    votes = start(judge, "gold", "gold", "gold")
    await asyncio.sleep(0)
    votes[number].cancel()
    await asyncio.sleep(0)
    judge.let.set()
    found = await asyncio.gather(*votes, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in found] == [place == number for place in range(3)]
    assert {one.reply for one in found if isinstance(one, Judgement)} == {"about gold"}


@pytest.mark.parametrize("temperature", [0.0, 0.9])
async def test_a_judge_that_samples_draws_for_each_vote(temperature: float) -> None:
    config = compose_config(["experiment=demo"])
    config = replace(config, judge=replace(config.judge, temperature=temperature))
    judge = Agreeing()
    models = dict.fromkeys(("judge", *config.mentors, *config.interns), judge)
    panel = PanelBuilder(config, models).build_panel(None, None, UsageMeter())
    said = await asyncio.gather(*(panel.judge.compare(CASE, "a cyst", seed) for seed in (3, 4, 5)))
    assert {one.verdict for one in said} == {Verdict.RIGHT}
    assert len(set(judge.seeds)) == len(judge.seeds) == (3 if temperature else 1)
