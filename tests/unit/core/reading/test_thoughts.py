"""Thoughts, in the forms of today's models: what a reply says beside them, and where that cannot be told."""

import pytest

from mics_ray.core.reading.text import parse_answer, parse_continuation
from mics_ray.core.reading.thoughts import drop_thoughts
from mics_ray.core.reading.verdict import parse_verdict
from mics_ray.core.types import Continuation, Verdict

DRAFT = "### Step 1: The reference answer is X.\n### The final answer is: draft"
REAL = "### Step 1: Look.\n\n### The final answer is: gold"
FORMS = [
    "<think>\n{}\n</think>\n\n{}",
    "<think>{}</think>{}",
    "\n\n<THINK>\n{}\n</Think>\n{}",
    "{}\n</think>\n\n{}",
    "<think>\n<think>\n{}\n</think>\n\n{}",
    "<think>\n\n</think>\n\n<think>\n{}\n</think>\n{}",
    "<think>a\n<think>\n{}\n</think>\nb</think>\n{}",
    "[THINK]{}[/THINK]{}",
    "<thinking>\n{}\n</thinking>\n{}",
    "<thought>\n{}\n</thought>\n{}",
    "<thoughts>{}</thoughts>\n{}",
    "<reasoning>\n{}\n</reasoning>\n\n{}",
    "<|begin_of_thought|>\n{}\n<|end_of_thought|>\n\n<|begin_of_solution|>\n{}\n<|end_of_solution|>",
    "◁think▷{}◁/think▷{}",
    "<seed:think>{}<seed:cot_budget_reflect>I have 12 tokens left.</seed:cot_budget_reflect></seed:think>{}",
    "<mm:think>{}</mm:think>{}",
    "<|START_THINKING|>{}<|END_THINKING|><|START_RESPONSE|>{}<|END_RESPONSE|>",
    "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>",
    "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>{}<|end|>"
    "<|start|>assistant<|channel|>final<|message|>{}",
    "analysisWe look.\n{}\nassistantfinal\n{}",
    "<|channel>thought\n{}\n<channel|>{}",
    "Here is my thought process:\n{}\nHere is my response:\n{}",
    '<think time="3">\n{}\n</think>\n{}',
    "<think>The word `</think>` closes it.\n{}\n</think>\n{}",
    "<think>I was told to use the <think> tag.\n{}\n</think>\n{}",
]


@pytest.mark.parametrize("form", FORMS)
def test_a_draft_in_a_thought_is_never_the_reply(form: str) -> None:
    said = drop_thoughts(form.format(DRAFT, REAL))
    assert said is not None
    assert "draft" not in said
    assert parse_continuation(said) == Continuation(("Look.",), "gold")
    judged = drop_thoughts(form.format("Do both name a disease? Yes.\nSo yes.", "No"))
    assert judged is not None
    assert parse_verdict(judged) is Verdict.WRONG


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nDo both name a disease? Yes.\nBut whether it is the same",
        f"<think>\n{DRAFT}",
        f"{REAL}\n<think>\n{DRAFT}",
        f"<think>a</think>\n{REAL}\n<thinking>\nmore",
        f"[THINK]{DRAFT}",
        f"◁think▷{DRAFT}",
        f"<|channel|>analysis<|message|>{DRAFT}<|end|>",
        f"analysisWe look. {DRAFT}",
        f"<think>\n<think>\n{DRAFT}\n</think>\n<think>",
        f"<think>\nLook.\n<think>\n{DRAFT}\n</think>\n{REAL}",
    ],
)
def test_a_thought_without_an_end_leaves_nothing(text: str) -> None:
    assert drop_thoughts(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "The answer to check holds a stray </think> tag. No.",
        "Yes, apart from the <think> part (it is open).",
        "### Step 1: A model writes (<think>) first.\n### Step 2: Look.\n### The final answer is: gold",
        "It ends without a closing </think>. Yes",
        "Yes, apart from the <think/> part.",
    ],
)
def test_a_sentence_that_speaks_of_a_tag_is_doubtful(text: str) -> None:
    assert drop_thoughts(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        " Yes \n",
        "A model writes `<think>` before it answers.\n### The final answer is: gold",
        'The tag "</think>" is left out. No.',
        "p < 0.05 and x > 3",
        "<thin>",
        "[THINKER] sits",
        "analysis of the film: assistant final",
        "Analysis: a line.",
        "Here is my thought process:\n\n### Step 1: Look.\n\n### The final answer is: gold",
        "<answer>gold</answer>",
    ],
)
def test_a_text_without_a_thought_stays_as_it_is(text: str) -> None:
    assert drop_thoughts(text) == text


def test_what_stands_around_thoughts_stays_on_lines_of_its_own() -> None:
    text = (
        "### Step 1: Look.<think>draft</think>### Step 2: Think.<think/>\n[THINK]x[/THINK]### The final answer is: gold"
    )
    assert parse_continuation(str(drop_thoughts(text))) == Continuation(("Look.", "Think."), "gold")


@pytest.mark.parametrize("end", ["</s>", "<|im_end|>", "<|eot_id|>\n", "<end_of_turn>", "<|return|>"])
def test_an_end_of_text_token_is_no_word(end: str) -> None:
    assert parse_verdict(str(drop_thoughts(f"Yes{end}"))) is Verdict.RIGHT
    assert parse_answer(str(drop_thoughts(f"### The final answer is: gold{end}"))) == "gold"


def test_a_thought_alone_says_nothing() -> None:
    assert drop_thoughts("<think>\nYes.\n</think>\n\n") == ""
