"""Mentor, intern and judge on scripted replies: what is asked again, what is lost, what is counted."""

import pytest

from mics_ray.config.compose import compose_config
from mics_ray.core.types import Case, Continuation, Failure, LostCall, Note, Usage, Verdict
from mics_ray.models.roles import BoundModel, ModelIntern, ModelJudge, ModelMentor, UsageMeter
from mics_ray.models.types import Pictures, Refused, Reply, Request

CASE = Case("c", "What?", "gold", ("p.png",), (Note("Findings", "canary"),))
PROMPTS = compose_config(["experiment=demo"]).prompts
PICTURES = Pictures("digest", (b"png",))
CHAIN = "### Step 1: Look.\n### Step 2: Think.\n### The final answer is: gold"


class Scripted:
    """A fake model that gives its replies in order."""

    def __init__(self, *replies: Reply | Exception) -> None:
        self.replies = list(replies)
        self.asked: list[Request] = []

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        assert pictures is PICTURES
        self.asked.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


@pytest.fixture
def meter() -> UsageMeter:
    return UsageMeter()


def voice(model: Scripted, meter: UsageMeter, temperature: float = 1.2) -> BoundModel:
    template = Request("entry", "model", "", "system", "", "digest", temperature, 100, 0)
    return BoundModel(model, template, PICTURES, PROMPTS, meter)


def lost(caught: pytest.ExceptionInfo[LostCall]) -> str:
    assert "canary" not in str(caught.value)
    return caught.value.failure.kind


async def test_a_mentor_writes_a_continuation(meter: UsageMeter) -> None:
    model = Scripted(Reply("Well.\n" + CHAIN, prompt_tokens=5, completion_tokens=7, cost_usd=0.5))
    assert await ModelMentor(voice(model, meter)).propose(CASE, (), 9) == Continuation(("Look.", "Think."), "gold")
    [request] = model.asked
    assert (request.seed, request.temperature, request.max_tokens, request.system) == (9, 1.2, 100, "system")
    assert meter.usage == {"entry": Usage(1, 0, 5, 7, 0.5)}


async def test_a_mentor_without_an_answer_is_asked_again_with_other_draws(meter: UsageMeter) -> None:
    model = Scripted(Reply("nothing"), Reply("### Step 1: x"), Reply(CHAIN))
    assert await ModelMentor(voice(model, meter)).propose(CASE, (), 9) == Continuation(("Look.", "Think."), "gold")
    assert len({request.seed for request in model.asked}) == 3
    assert {request.max_tokens for request in model.asked} == {100}
    assert meter.usage["entry"].calls == 3


async def test_a_mentor_that_never_answers_is_lost_with_its_last_text(meter: UsageMeter) -> None:
    model = Scripted(*[Reply(f"canary {i}") for i in range(3)])
    with pytest.raises(LostCall) as caught:
        await ModelMentor(voice(model, meter)).propose(CASE, (), 9)
    assert lost(caught) == "no_answer"
    assert caught.value.text == "canary 2"
    assert model.replies == []


async def test_a_cut_reply_is_never_taken_as_whole_and_gets_more_room(meter: UsageMeter) -> None:
    """F17: even where the cut text happens to hold an answer."""
    model = Scripted(Reply(CHAIN, finish="length"), Reply(CHAIN))
    await ModelMentor(voice(model, meter)).propose(CASE, (), 9)
    assert [request.max_tokens for request in model.asked] == [100, 200]
    model = Scripted(*[Reply(CHAIN, finish="length")] * 3)
    with pytest.raises(LostCall) as caught:
        await ModelMentor(voice(model, meter)).propose(CASE, (), 9)
    assert lost(caught) == "cut"


async def test_a_mentors_picture_tokens_are_neutralised(meter: UsageMeter) -> None:
    """F21: before they are kept, so that no later prompt carries them."""
    text = "### Step 1: See <image> and <|image_pad|>.\n### The final answer is: <IMG_CONTEXT> gold"
    written = await ModelMentor(voice(Scripted(Reply(text)), meter)).propose(CASE, (), 9)
    assert written == Continuation(("See (image) and (image_pad).",), "(img_context) gold")


async def test_a_mentors_restated_prefix_is_dropped(meter: UsageMeter) -> None:
    written = await ModelMentor(voice(Scripted(Reply(CHAIN)), meter)).propose(CASE, ("Look.",), 9)
    assert written == Continuation(("Think.",), "gold")


async def test_an_intern_answers_at_the_votes_temperature(meter: UsageMeter) -> None:
    model = Scripted(Reply("### The final answer is: left lung"))
    done = await ModelIntern(voice(model, meter, 0.0)).finish(CASE, ("Look.",), 0.3, 4)
    assert (done.answer, done.text) == ("left lung", "### The final answer is: left lung")
    [request] = model.asked
    assert (request.temperature, request.seed) == (0.3, 4)
    assert "gold" not in request.text
    assert "canary" not in request.text


async def test_an_intern_without_an_answer_is_drawn_once_more_and_then_unknown(meter: UsageMeter) -> None:
    model = Scripted(Reply("Hm."), Reply("### The final answer is: x"))
    assert (await ModelIntern(voice(model, meter)).finish(CASE, (), 1.2, 4)).answer == "x"
    assert len({request.seed for request in model.asked}) == 2
    with pytest.raises(LostCall) as caught:
        await ModelIntern(voice(Scripted(Reply("Hm."), Reply("canary")), meter)).finish(CASE, (), 1.2, 4)
    assert (lost(caught), caught.value.text) == ("no_answer", "canary")


@pytest.mark.parametrize(("reply", "verdict"), [("Yes.", Verdict.RIGHT), ("No, the side differs.", Verdict.WRONG)])
async def test_a_judge_compares(meter: UsageMeter, reply: str, verdict: Verdict) -> None:
    model = Scripted(Reply(reply))
    judged = await ModelJudge(voice(model, meter, 0.0)).compare(CASE, "left lung", 4)
    assert (judged.verdict, judged.reply) == (verdict, reply)
    assert "left lung" in model.asked[0].text


async def test_a_doubtful_judge_is_asked_once_more_and_then_unknown(meter: UsageMeter) -> None:
    model = Scripted(Reply("Not yes"), Reply("Yes"))
    assert (await ModelJudge(voice(model, meter)).compare(CASE, "x", 4)).verdict is Verdict.RIGHT
    assert len({request.seed for request in model.asked}) == 2
    with pytest.raises(LostCall) as caught:
        await ModelJudge(voice(Scripted(Reply("The patient's eyes…"), Reply("")), meter)).compare(CASE, "x", 4)
    assert lost(caught) == "no_verdict"


async def test_without_sampling_one_answer_is_judged_once_a_case(meter: UsageMeter) -> None:
    """The requests for it are then one address in the cache; with sampling each vote has a draw of its own."""

    async def keys(temperature: float) -> set[bytes]:
        model = Scripted(Reply("Yes"), Reply("Yes"))
        judge = ModelJudge(voice(model, meter, temperature))
        await judge.compare(CASE, "x", 1)
        await judge.compare(CASE, "x", 2)
        return {request.key for request in model.asked}

    assert (len(await keys(0.0)), len(await keys(0.9))) == (1, 2)


async def test_lost_and_refused_calls_pass_through(meter: UsageMeter) -> None:
    for error in (LostCall(Failure("timeout", "late")), Refused(Failure("auth", "no"))):
        for role in (
            ModelMentor(voice(Scripted(error), meter)).propose(CASE, (), 1),
            ModelIntern(voice(Scripted(error), meter)).finish(CASE, (), 1.2, 1),
            ModelJudge(voice(Scripted(error), meter)).compare(CASE, "x", 1),
        ):
            with pytest.raises(type(error)) as caught:
                await role
            assert caught.value.failure == error.failure
            assert getattr(caught.value, "entry", "entry") == "entry", "a refusal names the model that was asked"
    assert meter.usage == {}


def test_cached_replies_cost_nothing() -> None:
    meter = UsageMeter()
    meter.count_reply("m", Reply("x", prompt_tokens=3, completion_tokens=4, cost_usd=1.0))
    meter.count_reply("m", Reply("x", prompt_tokens=3, completion_tokens=4, cost_usd=1.0, cached=True))
    meter.count_reply("other", Reply("x"))
    assert meter.usage == {"m": Usage(2, 1, 6, 8, 1.0), "other": Usage(1)}
