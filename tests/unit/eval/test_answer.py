"""One item to its row, with scripted models: by rule, by the judge, lost calls, MICS-Score."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.answer import Examiner, build_trials, first_error
from eval.chains import find_leaks
from eval.prepare import Question, Work, check_job, prepare_evaluation
from eval.types import Item, Kind
from mics_ray.core.types import Case, Continuation, Failure, LostCall
from mics_ray.errors import RefusedRun
from mics_ray.models.engine.conversation import PLACE, build_conversation
from mics_ray.models.prompts import fill_intern_prompt
from mics_ray.models.types import Refused, Reply
from tests.support.evaluation_jobs import Scripted, chain, job, models

LOST = LostCall(Failure("timeout", "no reply in time"), "half a te")


@contextmanager
def work(folder: Path, *more: str) -> Iterator[Work]:
    with prepare_evaluation(job(folder, *more)) as found:
        yield found


def open_item(found: Work) -> Question:
    return found.pending[0]


def choice(found: Work) -> Question:
    item = Item("c1", Kind.CHOICE, "Which?", "B", options=("one", "two"))
    return replace(found.pending[0], item=item)


async def row(found: Work, question: Question, **scripted: Scripted) -> dict[str, Any]:
    return await Examiner(found, models(**scripted)).answer_item(question)


async def test_a_question_as_it_is_written_has_its_pictures_inside_and_the_judge_reads_words(tmp_path: Path) -> None:
    with work(tmp_path, "prompts=question", "eval.benchmarks.phantom.as_written=true") as found:
        bare = found.pending[0]
        written = f"See (Modality 1: <image>).\nBe brief {PLACE}."
        item = replace(bare.item, question="See the picture.", written=written)
        model, judge = Scripted(lambda request: chain("gold", "Look.")), Scripted(lambda request: "Yes.")
        made = await row(found, replace(bare, item=item), model=model, judge=judge)
    request, _ = model.asked[0]
    (turn,) = build_conversation(request, ["film"])
    assert [part.get("text", part.get("image_pil")) for part in turn["content"]] == [
        "See (Modality 1: ", "film", ").\nBe brief  .",
    ]  # fmt: skip
    assert made["prompt"] == "See (Modality 1: <image>).\nBe brief  ."
    assert "See the picture." in judge.asked[0][0].text


def test_pictures_inside_questions_are_not_promised_of_an_api(tmp_path: Path) -> None:
    with pytest.raises(RefusedRun, match=r"as_written: .*serve\.engine=vllm"):
        check_job(job(tmp_path, "serve.engine=endpoint", "eval.benchmarks.phantom.as_written=true"))


async def test_an_open_answer_goes_to_the_judge_with_the_bare_question(tmp_path: Path) -> None:
    with work(tmp_path) as found:
        question = open_item(found)
        model = Scripted(lambda request: chain("gold", "Look."))
        judge = Scripted(lambda request: "Yes.")
        made = await row(found, question, model=model, judge=judge)
    (request, pictures), (judged, shown) = model.asked[0], judge.asked[0]
    assert request.text == made["prompt"]
    item = question.item
    told = Case("x", item.question, "", item.images, context=item.context)
    assert request.text == fill_intern_prompt(found.job.prompts, told, ())
    assert (request.temperature, request.max_tokens) == (0.0, 192)
    assert pictures is not None
    assert request.pictures == pictures.digest
    assert judged.temperature == 0.0
    assert question.item.answer in judged.text
    assert request.revision == found.stamp.config_digest, "a model trained anew in the same place is asked anew"
    assert shown is None
    assert (made["lenient"], made["judge_reply"], made["parsed"]) == ("right", "Yes.", "gold")
    assert made["failure"] is None
    assert (made["prompt_tokens"], made["completion_tokens"]) == (7, 3), "the judge's are left out"


async def test_a_choice_is_checked_by_rule_and_no_judge_is_asked(tmp_path: Path) -> None:
    with work(tmp_path) as found:
        judge = Scripted(lambda request: "Yes.")
        right = await row(found, choice(found), model=Scripted(lambda request: chain("B")), judge=judge)
        wrong = await row(found, choice(found), model=Scripted(lambda request: chain("A. one")), judge=judge)
    assert (right["lenient"], wrong["lenient"]) == ("right", "wrong")
    assert not judge.asked
    assert "A. one\nB. two" in right["prompt"]


@pytest.mark.parametrize(
    ("said", "unread"),
    [("", "empty"), ("### Step 1: I see lungs.", "no answer"), (chain("A or B"), "ambiguous: A and B")],
)
async def test_no_answer_found_is_wrong_and_not_judged(tmp_path: Path, said: str, unread: str) -> None:
    with work(tmp_path) as found:
        judge = Scripted(lambda request: "Yes.")
        made = await row(found, choice(found), model=Scripted(lambda request: said), judge=judge)
    assert (made["lenient"], made["strict"], made["parsed"], made["unread"]) == ("wrong", "wrong", "", unread)
    assert (made["output"], made["kept_form"]) == (said, "or" in said)
    assert not judge.asked


async def test_an_answer_without_the_form_is_right_leniently_and_wrong_strictly(tmp_path: Path) -> None:
    with work(tmp_path) as found:
        judge = Scripted(lambda request: "Yes.")
        bare = await row(found, choice(found), model=Scripted(lambda request: "B"), judge=judge)
        assert not judge.asked
        words = await row(found, open_item(found), model=Scripted(lambda request: "I see lungs."), judge=judge)
        formed = await row(found, open_item(found), model=Scripted(lambda request: chain("Lungs.")), judge=judge)
        lost = await row(
            found, open_item(found), model=Scripted(lambda request: "Lungs."), judge=Scripted(lambda _: LOST)
        )
    columns = ("lenient", "strict", "kept_form", "parsed", "unread")
    assert [[made[name] for name in columns] for made in (bare, words, formed, lost)] == [
        ["right", "wrong", False, "B", None],
        ["right", "wrong", False, "I see lungs.", None],
        ["right", "right", True, "Lungs.", None],
        ["unknown", "unknown", False, "Lungs.", None],
    ]


@pytest.mark.parametrize(
    ("item", "said", "shown"),
    [
        (Item("c1", Kind.CLOSED, "Is there a fracture?", "No"), "No acute fracture.", "Is there a fracture?"),
        (Item("c2", Kind.CLOSED, "Which organ?", "Left lung"), "Left", "Which organ?"),
        (Item("c3", Kind.CHOICE, "Which modality?", "B", ("CT", "Chest X-ray")), "X-Ray", "B. Chest X-ray"),
        (Item("c4", Kind.OPEN, "Which share?", "0.5", others=("1/2",)), "half", "0.5 or 1/2"),
    ],
)
@pytest.mark.parametrize(("reply", "verdict"), [("Yes.", "right"), ("No.", "wrong"), (LOST, "unknown")])
async def test_what_no_rule_decides_goes_to_the_judge_with_the_question(
    tmp_path: Path, item: Item, said: str, shown: str, reply: str | Exception, verdict: str
) -> None:
    with work(tmp_path) as found:
        judge = Scripted(lambda request: reply)
        question = replace(found.pending[0], item=item)
        made = await row(found, question, model=Scripted(lambda request: chain(said)), judge=judge)
    assert (made["lenient"], made["strict"], made["parsed"]) == (verdict, verdict, said)
    text = judge.asked[0][0].text
    assert all(one in text for one in (item.question, shown, said))
    assert "Answer" not in text.replace("Answer to check", ""), "how to answer is the model's matter"


@pytest.mark.parametrize(
    ("cut", "failure"),
    [
        (Reply(chain("gold", "Look."), "length"), "cut: hit max_tokens"),
        (Reply(f"<think>\n{chain('gold', 'Look.')}", "stop"), "cut: a thought without an end"),
    ],
)
async def test_a_cut_text_has_no_answer_and_is_wrong(tmp_path: Path, cut: Reply, failure: str) -> None:
    with work(tmp_path) as found:
        judge = Scripted(lambda request: "Yes.")
        made = await row(found, open_item(found), model=Scripted(lambda request: cut), judge=judge)
    assert (made["lenient"], made["parsed"], made["output"], made["failure"]) == ("wrong", "", cut.text, failure)
    assert not judge.asked


async def test_the_answer_is_read_behind_the_thoughts_and_in_another_form_too(tmp_path: Path) -> None:
    said = f"<think>\n{chain('draft')}\n</think>\n\n**Answer:** gold"
    with work(tmp_path) as found:
        judge = Scripted(lambda request: "<think>\nNo.\n</think>\nYes.")
        made = await row(found, open_item(found), model=Scripted(lambda request: said), judge=judge)
    assert (made["lenient"], made["parsed"], made["output"]) == ("right", "gold", said)


async def test_a_lost_call_of_the_model_is_unknown_never_wrong(tmp_path: Path) -> None:
    with work(tmp_path) as found:
        judge = Scripted(lambda request: "No.")
        made = await row(found, open_item(found), model=Scripted(lambda request: LOST), judge=judge)
    assert (made["lenient"], made["failure"]) == ("unknown", "timeout: no reply in time")
    assert made["output"] == "half a te"
    assert not judge.asked


@pytest.mark.parametrize(
    ("reply", "kept", "failure"),
    [
        (LOST, "half a te", "timeout: no reply in time"),
        ("Hard to say.", "Hard to say.", "no_verdict: neither yes nor no in 2 replies"),
    ],
)
async def test_a_lost_verdict_is_unknown_and_keeps_the_answer_and_what_the_judge_wrote(
    tmp_path: Path, reply: str | Exception, kept: str, failure: str
) -> None:
    with work(tmp_path) as found:
        model = Scripted(lambda request: chain("gold"))
        made = await row(found, open_item(found), model=model, judge=Scripted(lambda request: reply))
    assert (made["lenient"], made["parsed"], made["output"]) == ("unknown", "gold", chain("gold"))
    assert (made["judge_reply"], made["failure"]) == (kept, failure)


async def test_the_judge_reads_the_answer_that_was_found_and_not_the_chain(tmp_path: Path) -> None:
    with work(tmp_path) as found:
        judge = Scripted(lambda request: "Yes.")
        model = Scripted(lambda request: chain("a dark apex", "Chain of thought."))
        made = await row(found, open_item(found), model=model, judge=judge)
    ((asked, _),) = judge.asked
    assert asked.text.count("a dark apex") == 1
    assert open_item(found).item.question in asked.text
    assert "Chain of thought" not in asked.text
    assert made["output"] == chain("a dark apex", "Chain of thought.")


def test_of_several_errors_a_refusal_comes_before_any_other_however_deep_it_lies() -> None:
    refused = Refused(Failure("quota", "used up"))
    deep = BaseExceptionGroup("outer", [ValueError("x"), BaseExceptionGroup("inner", [KeyError("y"), refused])])
    assert first_error(deep) is refused
    first = ValueError("first")
    assert first_error(BaseExceptionGroup("outer", [BaseExceptionGroup("inner", [first, KeyError("y")])])) is first
    assert first_error(first) is first


async def test_a_picture_that_cannot_be_read_costs_no_call(tmp_path: Path) -> None:
    with work(tmp_path) as found:
        question = open_item(found)
        (question.root / question.item.images[0]).write_text("no picture")
        model = Scripted(lambda request: chain("gold"))
        made = await row(found, question, model=model, judge=model)
    assert made["lenient"] == "unknown"
    assert made["failure"].startswith("pictures: picture 'images/phantom-001.png'")
    assert not model.asked


async def test_an_error_of_ours_fails_one_item_and_shows_no_text(tmp_path: Path) -> None:
    with work(tmp_path) as found:
        model = Scripted(lambda request: KeyError("a patient's words"))
        made = await row(found, open_item(found), model=model, judge=model)
    assert (made["lenient"], made["failure"]) == ("unknown", "internal: KeyError, see logs/")


async def test_engines_try_the_largest_items_as_they_will_be_asked(tmp_path: Path) -> None:
    with work(tmp_path) as found:
        wide = replace(open_item(found), benchmark="wide")
        wide = replace(wide, item=replace(wide.item, images=wide.item.images * 3))
        long = replace(open_item(found), benchmark="long")
        long = replace(long, item=replace(long.item, question="Where? " * 400))
        bad = replace(wide, benchmark="bad", item=replace(wide.item, images=("no.png",) * 9))
        trials = await build_trials(replace(found, pending=[*found.pending, wide, long, bad]))
    by_name = {trial.case_id.partition("/")[0]: trial for trial in trials}
    assert set(by_name) >= {"wide", "long"}
    assert "bad" not in by_name, "it has a row that says what is wrong"
    assert {trial.entry for trial in trials} == {"model"}
    assert by_name["wide"].pictures is not None
    assert len(by_name["wide"].pictures.files) == 3 * len(open_item(found).item.images)
    assert "Where? Where?" in by_name["long"].request.text


async def test_a_refusing_judge_ends_the_evaluation(tmp_path: Path) -> None:
    refusal = Refused(Failure("quota", "used up"))
    model, judge = Scripted(lambda request: chain("gold")), Scripted(lambda request: refusal)
    with work(tmp_path) as found:
        asking = row(found, open_item(found), model=model, judge=judge)
        with pytest.raises(Refused):
            await asking


async def test_the_same_item_is_asked_with_the_same_seed_and_others_with_others(tmp_path: Path) -> None:
    with work(tmp_path) as found:
        model = Scripted(lambda request: chain("gold"))
        judge = Scripted(lambda request: "Yes.")
        for question in (*found.pending[:3], found.pending[0]):
            await row(found, question, model=model, judge=judge)
    seeds = [request.seed for request, _ in model.asked]
    assert seeds[0] == seeds[3]
    assert len(set(seeds)) == 3
    assert model.asked[0][0].key == model.asked[3][0].key


def mics(folder: Path) -> Any:
    return work(folder, "eval.mics_score=true", "interns=tiny", "search.intern_temperatures=[0.3,1.2]")


async def test_mics_score_is_right_over_known_votes_from_all_steps_without_the_answer(tmp_path: Path) -> None:
    with mics(tmp_path) as found:
        first = Scripted(lambda request: chain("gold") if request.temperature == 0.3 else LOST)
        second = Scripted(lambda request: chain("gold" if request.temperature == 0.3 else "other"))
        judge = Scripted(lambda request: "Yes" if "\ngold" in request.text.split("to check")[1] else "No")
        model = Scripted(lambda request: chain("mine", "See the lungs.", "See the heart."))
        made = await row(found, open_item(found), model=model, judge=judge, tiny_internvl=first, tiny_qwen25vl=second)
    assert (made["mics_score"], made["mics_chain"], made["mics_leaks"]) == (2 / 3, "scored", [])
    prompts = {request.text for request, _ in first.asked + second.asked}
    assert len(prompts) == 1
    prompt = prompts.pop()
    assert "### Step 1: See the lungs.\n\n### Step 2: See the heart." in prompt
    assert "mine" not in prompt
    assert all(pictures is not None for _, pictures in first.asked)


async def test_no_step_of_a_model_adds_a_picture_to_the_interns_prompts(tmp_path: Path) -> None:
    with mics(tmp_path) as found:
        intern, judge = Scripted(lambda request: chain("gold")), Scripted(lambda request: "Yes")
        model = Scripted(lambda request: chain("mine", "See <image> and <|image_pad|>."))
        await row(found, open_item(found), model=model, judge=judge, tiny_internvl=intern, tiny_qwen25vl=intern)
    assert {request.text.count("See (image) and (image_pad).") for request, _ in intern.asked} == {1}


async def test_mics_score_of_a_choice_is_by_rule(tmp_path: Path) -> None:
    with mics(tmp_path) as found:
        judge = Scripted(lambda request: "No.")
        votes = [Scripted(lambda request: chain("B")), Scripted(lambda request: chain("A"))]
        model = Scripted(lambda request: chain("A", "Compare."))
        made = await row(found, choice(found), model=model, judge=judge, tiny_internvl=votes[0], tiny_qwen25vl=votes[1])
    assert made["mics_score"] == 0.5
    assert made["lenient"] == "wrong"
    assert not judge.asked


@pytest.mark.parametrize(
    ("says", "state"),
    [
        (chain("gold"), "no_form"),
        ("no chain at all", "no_form"),
        ("", "no_form"),
        (Reply(chain("gold", "Look."), "length"), "no_form"),
        (LOST, "lost"),
    ],
)
async def test_a_chain_without_the_form_is_counted_as_such_and_a_lost_call_is_not(
    tmp_path: Path, says: str | Reply | Exception, state: str
) -> None:
    with mics(tmp_path) as found:
        intern = Scripted(lambda request: chain("gold"))
        judge, model = Scripted(lambda request: "Yes"), Scripted(lambda request: says)
        made = await row(found, open_item(found), model=model, judge=judge, tiny_internvl=intern, tiny_qwen25vl=intern)
    assert (made["mics_score"], made["mics_chain"], made["mics_leaks"]) == (None, state, [])
    assert not intern.asked


async def test_a_chain_whose_interns_are_all_lost_is_lost(tmp_path: Path) -> None:
    with mics(tmp_path) as found:
        intern, judge = Scripted(lambda request: LOST), Scripted(lambda request: "Yes")
        model = Scripted(lambda request: chain("mine", "See the lungs."))
        made = await row(found, open_item(found), model=model, judge=judge, tiny_internvl=intern, tiny_qwen25vl=intern)
    assert (made["mics_score"], made["mics_chain"]) == (None, "lost")


async def test_no_chain_is_told_of_where_no_mics_score_was_asked_for(tmp_path: Path) -> None:
    with work(tmp_path) as found:
        model, judge = Scripted(lambda request: chain("gold", "Look.")), Scripted(lambda request: "Yes")
        made = await row(found, open_item(found), model=model, judge=judge)
    assert (made["mics_score"], made["mics_chain"], made["mics_leaks"]) == (None, None, None)


@pytest.mark.parametrize(
    ("step", "leaks"),
    [
        ("The diagnosis is giant cell tumor.", ("answer",)),
        ("The final answer is: see below", ("final_answer",)),
        ("According to the report the bone is thin.", ()),  # it has no report: nothing is given away
        ("The cortex is thin.", ()),
    ],
)
def test_steps_that_give_the_answer_of_a_choice_away_are_flagged(step: str, leaks: tuple[str, ...]) -> None:
    item = Item("c", Kind.CHOICE, "What is it?", "B", options=("Osteosarcoma", "Giant cell tumor", "Cyst"))
    case = Case("c", "What is it? Answer with a letter.", "B")
    assert find_leaks(item, case, Continuation((step,), "B")) == leaks


def test_any_of_several_gold_answers_is_a_leak() -> None:
    item = Item("o", Kind.OPEN, "What is it?", "renal calculus", others=("kidney stone",))
    case = Case("o", "What is it?", "renal calculus")
    for step in ("There is a renal calculus.", "There is a kidney stone."):
        assert find_leaks(item, case, Continuation(("Look.", step), "x")) == ("answer",)


async def test_a_judge_that_refuses_during_the_mics_score_ends_the_evaluation(tmp_path: Path) -> None:
    refusal = Refused(Failure("auth", "wrong key"))
    model, intern = Scripted(lambda request: chain("mine", "Step.")), Scripted(lambda request: chain("theirs"))
    judge = Scripted(lambda request: refusal if "theirs" in request.text else "No")
    with mics(tmp_path) as found:
        asking = row(found, open_item(found), model=model, judge=judge, tiny_internvl=intern, tiny_qwen25vl=intern)
        with pytest.raises(Refused, match="wrong key"):
            await asking
