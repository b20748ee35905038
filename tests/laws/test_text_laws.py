"""Laws of the written form, over any text."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from mics_ray.core.reading.answers import clean_answer
from mics_ray.core.reading.text import (
    format_chain,
    format_steps,
    neutralise_placeholders,
    parse_answer,
    parse_continuation,
)
from mics_ray.core.reading.thoughts import drop_thoughts
from mics_ray.core.reading.verdict import parse_verdict
from mics_ray.core.types import Continuation, Verdict
from mics_ray.models.roles import read_said
from mics_ray.models.types import Reply

TOKENS = [
    "<image>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>",
    "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>", "<|quad_start|>",
    "<|quad_end|>", "<|fim_prefix|>", "<|eot_id|>", "<|image|>", "<|image_1|>", "<image_soft_token>",
]  # fmt: skip
"""Control tokens of the tokenizers of Qwen-VL and InternVL, and likely ones of others."""
PIECES = [*TOKENS, *"<>|/_ é\n\ud800", "image", "img", "IMG", "_CONTEXT", "im_start", "<|", "|>", "</", "<im", "age>"]
MARKERS = [
    "### Step 1: ", "### Step 2:", "## step", "###", "#", "Step 3", "**", "*", "### The final answer is:",
    "**Step 1:** ", "\nStep two - ", "\n1. ", "\n2) ",
    "### Final answer", "\r\n", "\n", " ", ":", "look", "9" * 5, "é", "\x00", "\u202e", "\ud800",
]  # fmt: skip

FORMS = [
    "**Answer:** ", "\nThe final answer is: ", "\\boxed{", "}", "<answer>", "</answer>", "[answer]", "\n## Answer\n",
    '"', "`", '{"answer": "', "left lung", "…", "?", "\n\n", "1. ", "### The final answer is: <your answer>\n",
]  # fmt: skip
REPLIES = [
    "Yes", "No, the side differs.", "Verdict: no",
    "### Step 1: Look.\n\n### Step 2: Think.\n\n### The final answer is: gold",
    "### The final answer is: draft", "**Answer:** left lung", "I cannot tell.", "\\boxed{B}", '{"same": true}',
]  # fmt: skip
lines = st.text(st.characters(exclude_characters="#*"), max_size=60).filter(
    lambda text: clean_answer(text) == text != ""
)
"""No placeholder among them, which is never an answer."""
THOUGHTS = ("<think>\n{}\n</think>\n", "[THINK]\n{}\n[/THINK]\n", "\n{}\n</think>\n\n", "<THINKING>\n{}\n</Thinking>\n",
            "<|channel|>analysis<|message|>\n{}\n<|end|><|start|>assistant<|channel|>final<|message|>")  # fmt: skip


@given(st.lists(lines, max_size=5), lines)
def test_a_chain_is_read_as_it_was_written(steps: list[str], answer: str) -> None:
    chain = Continuation(tuple(steps), answer)
    assert parse_continuation(format_chain(chain)) == chain


@given(st.sampled_from(THOUGHTS), st.sampled_from(REPLIES) | st.text(), st.sampled_from(REPLIES))
def test_a_thought_never_changes_what_is_read_behind_it(form: str, thought: str, reply: str) -> None:
    said = drop_thoughts(form.replace("{}", "".join(sign for sign in thought if sign not in "<>[]◁▷")) + reply)
    assert said is not None
    assert said.strip() == reply.strip()
    assert parse_continuation(said) == parse_continuation(reply)
    assert parse_answer(said) == parse_answer(reply)
    assert parse_verdict(said) is parse_verdict(reply)


@given(
    st.sampled_from(REPLIES),
    st.sampled_from(REPLIES),
    st.sampled_from(["<think>", "[THINK]", "<think>\n</think>\n<think>"]),
)
def test_a_thought_without_an_end_and_a_cut_text_never_yield_anything(before: str, thought: str, tag: str) -> None:
    assert read_said(Reply(f"{before}\n{tag}\n{thought}", "stop")) is None
    assert read_said(Reply(before, "length")) is None


@given(st.lists(st.sampled_from([*MARKERS, *FORMS]), max_size=14).map("".join))
def test_a_chain_that_was_read_is_read_again_as_it_is(text: str) -> None:
    if chain := parse_continuation(text):
        assert parse_continuation(format_chain(chain)) == chain


@given(st.text())
def test_text_without_a_tag_holds_no_thought(text: str) -> None:
    if not set("<[◁") & set(text) and not text.lstrip().lower().startswith("analysis"):
        assert drop_thoughts(text) == text


@given(st.lists(lines.map(lambda text: "w" + text), max_size=3), st.lists(lines, max_size=3), lines)
def test_a_mentor_may_write_the_prefix_again(prefix: list[str], steps: list[str], answer: str) -> None:
    whole = format_chain(Continuation((*prefix, *steps), answer))
    assert parse_continuation(whole, prefix) == Continuation(tuple(steps), answer)


def test_no_control_token_survives() -> None:
    """F21: 10,000 texts put together from tokens and pieces of tokens."""
    rng = random.Random(21)
    hits = 0
    for _ in range(10_000):
        text = "".join(rng.choices(PIECES, k=rng.randint(1, 12)))
        plain = neutralise_placeholders(text)
        hits += plain != text
        assert not [token for token in TOKENS if token.lower() in plain.lower()], (text, plain)
        assert neutralise_placeholders(plain) == plain
    assert hits > 5_000


def test_any_reply_is_read_without_an_exception() -> None:
    rng = random.Random(22)
    read = 0
    for _ in range(10_000):
        text = "".join(rng.choices(MARKERS, k=rng.randint(1, 14)))
        chain = parse_continuation(text, ("look",))
        assert (chain is None) == (parse_answer(text) is None)
        if chain is not None:
            read += 1
            assert chain.answer.strip()
            assert all(step == step.strip() != "" for step in chain.steps)
    assert read > 500


@given(st.text())
def test_plain_text_is_left_alone(text: str) -> None:
    if "<" not in text or ">" not in text:
        assert neutralise_placeholders(text) == text


words_of_judges = st.sampled_from(["yes", "no", "not", "Yes.", "or", ",", "\n", "eyes", "Verdict:", "?", "the"])


@settings(max_examples=300)
@given(st.lists(words_of_judges, max_size=8))
def test_a_verdict_is_right_only_where_yes_was_said(words: list[str]) -> None:
    verdict = parse_verdict(" ".join(words))
    assert verdict is not Verdict.RIGHT or any(word.lower().startswith("yes") for word in words)
    assert verdict is not Verdict.WRONG or "no" in words


@given(st.lists(lines, min_size=1, max_size=4))
def test_steps_are_numbered_from_one(steps: list[str]) -> None:
    text = format_steps(steps)
    assert text.startswith("### Step 1: ")
    assert text.count("### Step ") == len(steps)
