"""The wording of every call: who sees what, what a template may name, and that no text brings a picture token."""

from dataclasses import replace
from itertools import takewhile

import pytest

from mics_ray.config.compose import compose_config
from mics_ray.config.schema import PromptsConfig
from mics_ray.core.reading.text import NO_STEPS_YET, parse_continuation
from mics_ray.core.types import Case, Continuation, Note
from mics_ray.models.prompts import (
    check_templates,
    fill_intern_prompt,
    fill_judge_prompt,
    fill_mentor_prompt,
    fill_mentor_system,
)

CASE = Case(
    "canary-id",
    "Canary question?",
    "canary gold",
    ("canary.png",),
    (Note("Findings", "canary notes"), Note("Age", "47")),
)
PREFIX = ("Canary step one.", "Canary step two.")


@pytest.fixture(scope="module")
def shipped() -> PromptsConfig:
    return compose_config(["experiment=demo"]).prompts


def test_a_mentor_sees_everything(shipped: PromptsConfig) -> None:
    text = fill_mentor_prompt(shipped, CASE, PREFIX)
    for part in ("Canary question?", "canary gold", "Findings: canary notes\nAge: 47", "### Step 2: Canary step two."):
        assert part in text
    assert "step 3" in text
    assert NO_STEPS_YET in fill_mentor_prompt(shipped, CASE, ())
    assert "(none)" in fill_mentor_prompt(shipped, replace(CASE, notes=()), ())


def test_an_intern_is_told_of_pictures_only_where_there_are_some(shipped: PromptsConfig) -> None:
    shown, bare = (fill_intern_prompt(shipped, replace(CASE, images=images), ()) for images in (("a.png",), ()))
    assert "pictures" in shown
    assert "picture" not in bare
    assert shown.partition("## Question")[2] == bare.partition("## Question")[2]
    # A prompts file without the wording for such cases has one for all.
    assert fill_intern_prompt(replace(shipped, intern_without_pictures=""), replace(CASE, images=()), ()) == shown


def test_an_intern_sees_question_and_prefix_and_never_gold_or_notes(shipped: PromptsConfig) -> None:
    text = fill_intern_prompt(shipped, CASE, PREFIX)
    assert "Canary question?" in text
    assert "### Step 1: Canary step one.\n\n### Step 2: Canary step two." in text
    assert "canary gold" not in text
    assert "canary notes" not in text
    assert "canary.png" not in text


def test_the_judge_sees_question_gold_and_candidate_and_no_notes(shipped: PromptsConfig) -> None:
    text = fill_judge_prompt(shipped, CASE, "canary candidate")
    for part in ("Canary question?", "canary gold", "canary candidate", "Yes or No"):
        assert part in text
    assert "canary notes" not in text


def shared(texts: list[str]) -> str:
    return "".join(letters[0] for letters in takewhile(lambda found: len(set(found)) == 1, zip(*texts, strict=False)))


def test_a_mentors_prompts_of_a_case_begin_alike_up_to_the_reasoning_so_far(shipped: PromptsConfig) -> None:
    steps = tuple(f"Canary step {number}." for number in range(12))
    rounds = [fill_mentor_prompt(shipped, CASE, steps[:count]) for count in range(len(steps))]
    rules = next(line for line in shipped.mentor.splitlines() if line.startswith("- One step"))
    for count in range(len(steps) - 1):
        begin = shared(rounds[count : count + 2])
        for part in ("Canary question?", "canary gold", "Findings: canary notes\nAge: 47", rules, *steps[:count]):
            assert part in begin, (count, part)
    assert len({text.splitlines()[-1] for text in rounds}) == len(rounds)  # the next step's number is told, and last


def test_an_interns_and_the_judges_prompts_of_a_case_begin_alike(shipped: PromptsConfig) -> None:
    texts = [fill_intern_prompt(shipped, CASE, prefix) for prefix in ((), ("One.",), ("Two.", "Three."))]
    assert "Canary question?" in shared(texts)
    texts = [fill_judge_prompt(shipped, CASE, candidate) for candidate in ("one", "two")]
    assert "Canary question?" in shared(texts)
    assert "canary gold" in shared(texts)
    assert texts[0].endswith("one")


def test_the_shipped_templates_ask_for_the_format(shipped: PromptsConfig) -> None:
    for text in (shipped.mentor, shipped.intern):
        assert "### Step k:" in text
        assert "### The final answer is:" in text
    assert check_templates(shipped) == []
    step, answer = shipped.mentor.partition("The form, of another case:\n")[2].splitlines()[:2]
    assert parse_continuation(f"{step}\n{answer}") == Continuation((step.partition(": ")[2],), "Horseshoe kidney")
    for template in (shipped.intern, shipped.intern_without_pictures):
        assert '"### The final answer is: Horseshoe kidney".' in template


def test_no_text_of_a_case_or_a_model_brings_a_picture_token(shipped: PromptsConfig) -> None:
    case = Case("c", "<image> Q", "<|image_pad|> A", (), (Note("N", "<IMG_CONTEXT>"),))
    texts = [
        fill_mentor_prompt(shipped, case, ("<img>",)),
        fill_intern_prompt(shipped, case, ("<|vision_start|>",)),
        fill_judge_prompt(shipped, case, "<image>"),
    ]
    for text in texts:
        assert not [
            token for token in ("<image>", "<|image_pad|>", "<img>", "<IMG_CONTEXT>", "<|vision") if token in text
        ]


def test_braces_in_a_case_are_text(shipped: PromptsConfig) -> None:
    case = replace(CASE, question="{answer} {0} {{x}}")
    assert "{answer} {0} {{x}}" in fill_intern_prompt(shipped, case, ("{prefix}",))
    assert "{prefix}" in fill_intern_prompt(shipped, case, ("{prefix}",))


@pytest.mark.parametrize(
    ("name", "template", "words"),
    [
        ("intern", "{answer}", ["prompts.intern", "'answer'", "next_step, prefix, question"]),
        ("intern", "{notes}", ["prompts.intern", "'notes'"]),
        ("intern", "{question.__class__}", ["prompts.intern"]),
        ("intern", "{}", ["prompts.intern"]),
        ("intern", "{", ["prompts.intern", "{{"]),
        ("intern", "{question:{answer}}", ["prompts.intern", "{question} alone"]),
        ("intern", "{next_step:q}", ["prompts.intern", "{next_step} alone"]),
        ("intern", "{question!q}", ["prompts.intern", "{question} alone"]),
        ("judge", "{notes}", ["prompts.judge", "'notes'"]),
        ("mentor", "{candidate}", ["prompts.mentor", "'candidate'"]),
        ("mentor_system", "{question}", ["prompts.mentor_system", "none"]),
    ],
)
def test_templates_that_cannot_be_filled(shipped: PromptsConfig, name: str, template: str, words: list[str]) -> None:
    [problem] = check_templates(replace(shipped, **{name: template}))
    assert [word for word in words if word not in problem] == [], problem


def test_doubled_braces_are_literal_in_every_template(shipped: PromptsConfig) -> None:
    prompts = replace(shipped, intern="{{a}} {question}", mentor_system="Reply as {{b}}.")
    assert check_templates(prompts) == []
    assert fill_intern_prompt(prompts, CASE, ()) == "{a} Canary question?"
    assert fill_mentor_system(prompts) == "Reply as {b}."
