"""Mentor, intern and judge on scripted replies: what is asked again, what is lost, what is counted."""

from dataclasses import replace

import pytest

from mics_ray.config.compose import compose_config
from mics_ray.core.types import Case, Continuation, Failure, LeakCheck, LeakVerdict, LostCall, Note, Usage, Verdict
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


async def ask(role: ModelMentor | ModelJudge) -> object:
    """One question to a role, whatever it is asked."""
    return await (role.propose(CASE, (), 9) if isinstance(role, ModelMentor) else role.compare(CASE, "x", 9))


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


BARE = "### The final answer is: gold"
UNMARKED = f"The left base is white, as I see it.\n\n{BARE}"


async def test_a_mentor_without_a_readable_step_is_asked_again_and_pays_for_it(meter: UsageMeter) -> None:
    for first in (UNMARKED, BARE):
        model = Scripted(Reply(first, cost_usd=0.5), Reply(CHAIN, cost_usd=0.5))
        assert await ModelMentor(voice(model, meter)).propose(CASE, (), 9) == Continuation(("Look.", "Think."), "gold")
        assert len({request.seed for request in model.asked}) == 2
    assert (meter.usage["entry"].calls, meter.usage["entry"].cost_usd) == (4, 2.0)


async def test_a_mentor_whose_steps_cannot_be_read_is_lost_and_has_not_nothing_to_add(meter: UsageMeter) -> None:
    for replies in ([UNMARKED] * 3, [BARE, UNMARKED, UNMARKED], ["no answer", UNMARKED, UNMARKED]):
        model = Scripted(*map(Reply, replies))
        with pytest.raises(LostCall) as caught:
            await ModelMentor(voice(model, meter)).propose(CASE, ("Look.",), 9)
        assert str(caught.value) == "no_steps: no step in 3 replies"
        assert (caught.value.text, model.replies) == (UNMARKED, [])


async def test_a_mentor_that_says_so_twice_has_nothing_to_add(meter: UsageMeter) -> None:
    said = f"Nothing is left to add.\n{BARE}"
    for replies in ([BARE, BARE], [said, BARE], [UNMARKED, BARE, said], [f"### Step 1: Look.\n{BARE}", BARE]):
        model = Scripted(*map(Reply, replies))
        assert await ModelMentor(voice(model, meter)).propose(CASE, ("Look.",), 9) == Continuation((), "gold")
        assert model.replies == []


async def test_a_mentor_that_never_answers_is_lost_with_its_last_text(meter: UsageMeter) -> None:
    model = Scripted(*[Reply(f"canary {i}") for i in range(3)])
    with pytest.raises(LostCall) as caught:
        await ModelMentor(voice(model, meter)).propose(CASE, (), 9)
    assert lost(caught) == "no_answer"
    assert caught.value.text == "canary 2"
    assert model.replies == []


async def test_a_cut_reply_is_never_taken_as_whole_and_gets_more_room(meter: UsageMeter) -> None:
    """F17: even where the cut text happens to hold an answer."""
    for cut in (
        Reply(CHAIN, "length"),
        Reply(f"<think>\n{CHAIN}"),
        Reply("", "length"),
        Reply(f"{CHAIN}\n[THINK]\nHm."),
    ):
        model = Scripted(cut, Reply(CHAIN))
        await ModelMentor(voice(model, meter)).propose(CASE, (), 9)
        assert [request.max_tokens for request in model.asked] == [100, 200]
        model = Scripted(cut, Reply("Yes"))
        assert (await ModelJudge(voice(model, meter)).compare(CASE, "x", 9)).verdict is Verdict.RIGHT
        assert [request.max_tokens for request in model.asked] == [100, 200]


@pytest.mark.parametrize("text", ["Yes.", "<think>\nDo both name a disease? Yes.\nBut whether it is the same", CHAIN])
async def test_a_reply_that_is_cut_again_is_lost_and_says_so(meter: UsageMeter, text: str) -> None:
    for role, tries in ((ModelMentor, 3), (ModelJudge, 2)):
        model = Scripted(*[Reply(text, "length")] * tries)
        with pytest.raises(LostCall) as caught:
            await ask(role(voice(model, meter)))
        assert (str(caught.value), caught.value.text) == ("cut: hit max_tokens", text)
        assert [request.max_tokens for request in model.asked] == [100, 200, 200][:tries]
        assert len({request.key for request in model.asked}) == tries


async def test_the_room_stays_doubled_for_the_next_try(meter: UsageMeter) -> None:
    model = Scripted(Reply("half", "length"), Reply("nothing"), Reply(CHAIN))
    await ask(ModelMentor(voice(model, meter)))
    assert [request.max_tokens for request in model.asked] == [100, 200, 200]


async def test_an_unclosed_thought_is_cut_whatever_the_finish_reason(meter: UsageMeter) -> None:
    with pytest.raises(LostCall) as caught:
        await ModelJudge(voice(Scripted(Reply("<think>\nYes."), Reply("Yes. <think>\nOr")), meter)).compare(
            CASE, "x", 4
        )
    assert str(caught.value) == "cut: a thought without an end"


async def test_more_room_than_the_model_has_leads_back_to_the_room_that_it_takes(meter: UsageMeter) -> None:
    full = LostCall(Failure("too_much_room", "400"))
    for role, reply in ((ModelMentor, CHAIN), (ModelJudge, "Yes")):
        model = Scripted(Reply("half", "length"), full, Reply(reply))
        await ask(role(voice(model, meter)))
        assert [request.max_tokens for request in model.asked] == [100, 200, 100]
        assert len({request.key for request in model.asked}) == 3
    model = Scripted(Reply("half", "length"), full, Reply("half", "length"), Reply("half", "length"))
    with pytest.raises(LostCall, match="cut: hit max_tokens"):
        await ask(ModelMentor(voice(model, meter)))
    assert [request.max_tokens for request in model.asked] == [100, 200, 100, 100], "it is not asked for more again"
    with pytest.raises(LostCall, match="too_much_room"):
        await ask(ModelMentor(voice(Scripted(full), meter)))


async def test_the_room_is_doubled_under_the_name_that_the_entry_gives_it(meter: UsageMeter) -> None:
    options = '{"extra_body":{"max_completion_tokens":100,"max_tokens":null,"seed":7},"query":{"v":"1"}}'
    model = Scripted(Reply("half", "length"), Reply("Yes"))
    bound = voice(model, meter)
    await ask(ModelJudge(replace(bound, template=replace(bound.template, options=options))))
    assert [request.options for request in model.asked] == [options, options.replace("100", "200")]


async def test_thoughts_are_dropped_for_every_role_and_kept_as_evidence(meter: UsageMeter) -> None:
    thought = "<think>\n### Step 1: The reference answer is X.\n### The final answer is: draft\nYes.\n</think>\n\n"
    written = await ModelMentor(voice(Scripted(Reply(thought + CHAIN)), meter)).propose(CASE, (), 9)
    assert written == Continuation(("Look.", "Think."), "gold")
    done = await ModelIntern(voice(Scripted(Reply(thought + CHAIN)), meter)).finish(CASE, (), 1.2, 9)
    assert (done.answer, done.text) == ("gold", thought + CHAIN)
    judged = await ModelJudge(voice(Scripted(Reply(thought + "No")), meter)).compare(CASE, "x", 9)
    assert (judged.verdict, judged.reply) == (Verdict.WRONG, thought + "No")


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


async def test_an_intern_without_an_answer_is_drawn_once_more_and_then_has_none(meter: UsageMeter) -> None:
    model = Scripted(Reply("Hm."), Reply("### The final answer is: x"))
    assert (await ModelIntern(voice(model, meter)).finish(CASE, (), 1.2, 4)).answer == "x"
    assert len({request.seed for request in model.asked}) == 2
    model = Scripted(Reply("Hm."), Reply("So?"))
    done = await ModelIntern(voice(model, meter)).finish(CASE, (), 1.2, 4)
    assert (done.text, done.answer, str(done.failure)) == ("So?", "", "no_answer: no final answer in 2 texts")


@pytest.mark.parametrize(
    "cut", [Reply(CHAIN, "length"), Reply(f"<think>\n{CHAIN}", "length"), Reply(CHAIN[:30], "length")]
)
async def test_an_interns_text_that_runs_to_its_limit_has_no_answer(meter: UsageMeter, cut: Reply) -> None:
    model = Scripted(cut, cut)
    done = await ModelIntern(voice(model, meter)).finish(CASE, (), 1.2, 4)
    assert (done.text, done.answer, str(done.failure)) == (cut.text, "", "cut: hit max_tokens")
    assert [request.max_tokens for request in model.asked] == [100, 100]
    assert (await ModelIntern(voice(Scripted(cut, Reply(CHAIN)), meter)).finish(CASE, (), 1.2, 4)).answer == "gold"


@pytest.mark.parametrize(
    ("first", "second", "failure"),
    [
        (Reply(""), Reply(" \n"), "empty: an empty reply"),
        (Reply("Hm."), Reply(""), "empty: an empty reply"),
        (Reply(""), Reply("Hm."), "empty: an empty reply"),
        (Reply("<think>\nHm.\n</think>\n\n"), Reply("Hm."), "empty: an empty reply"),
        (Reply("Hm."), Reply("", "length"), "cut: hit max_tokens"),
    ],
)
async def test_an_empty_reply_of_an_intern_is_a_lost_call(
    meter: UsageMeter, first: Reply, second: Reply, failure: str
) -> None:
    with pytest.raises(LostCall) as caught:
        await ModelIntern(voice(Scripted(first, second), meter)).finish(CASE, (), 1.2, 4)
    assert str(caught.value) == failure


@pytest.mark.parametrize(("reply", "verdict"), [("Yes.", Verdict.RIGHT), ("No, the side differs.", Verdict.WRONG)])
async def test_a_judge_compares(meter: UsageMeter, reply: str, verdict: Verdict) -> None:
    model = Scripted(Reply(reply))
    judged = await ModelJudge(voice(model, meter, 0.0)).compare(CASE, "left lung", 4)
    assert (judged.verdict, judged.reply) == (verdict, reply)
    assert "left lung" in model.asked[0].text


@pytest.mark.parametrize(("reply", "verdict"), [("Yes.", LeakVerdict.LEAK), ("No", LeakVerdict.CLEAN)])
async def test_a_judge_says_whether_a_step_leaks(meter: UsageMeter, reply: str, verdict: LeakVerdict) -> None:
    model = Scripted(Reply("Hm."), Reply(reply))
    assert await ModelJudge(voice(model, meter)).check_step(CASE, "a dark rim", 4) == LeakCheck(verdict, reply)
    assert all("a dark rim" in request.text and CASE.answer in request.text for request in model.asked)
    with pytest.raises(LostCall) as caught:
        await ModelJudge(voice(Scripted(Reply("Hm."), Reply("Well")), meter)).check_step(CASE, "a dark rim", 4)
    assert (lost(caught), caught.value.text) == ("no_verdict", "Well")


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
            assert isinstance(caught.value, LostCall | Refused)
            assert caught.value.failure == error.failure
            assert getattr(caught.value, "entry", "entry") == "entry", "a refusal names the model that was asked"
    assert meter.usage == {}


def test_cached_replies_cost_nothing() -> None:
    meter = UsageMeter()
    meter.count_reply("m", Reply("x", prompt_tokens=3, completion_tokens=4, cost_usd=1.0))
    meter.count_reply("m", Reply("x", prompt_tokens=3, completion_tokens=4, cost_usd=1.0, cached=True))
    meter.count_reply("other", Reply("x"))
    assert meter.usage == {"m": Usage(2, 1, 6, 8, 1.0), "other": Usage(1)}
