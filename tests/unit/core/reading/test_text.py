"""The written form of chains: odd spellings of the markers, restated prefixes, what is missing, control tokens."""

import pytest

from mics_ray.core.reading.text import (
    NO_STEPS_YET,
    format_chain,
    format_prefix,
    neutralise_placeholders,
    parse_answer,
    parse_continuation,
)
from mics_ray.core.types import Continuation

END = "\n### The final answer is: gold"


def test_the_form_of_a_chain() -> None:
    chain = Continuation(("Look.", "Think."), "gold")
    assert format_chain(chain) == "### Step 1: Look.\n\n### Step 2: Think.\n\n### The final answer is: gold"
    assert format_chain(Continuation((), "gold")) == "### The final answer is: gold"
    assert format_prefix(("Look.",)) == "### Step 1: Look."
    assert format_prefix(()) == NO_STEPS_YET


@pytest.mark.parametrize(
    "text",
    [
        "### Step 1: Look.\n### Step 2: Think.",
        "### Step 1: Look.\n\n\n\n### Step 2: Think.\n\n",
        "### Step 1:Look.\n### Step 2:Think.",
        "###Step 1: Look.\n###Step 2: Think.",
        "## step 1: Look.\n##### STEP 2: Think.",
        "  ### Step 1: Look.\n\t### Step 2: Think.",
        "### Step 1. Look.\n### Step 2) Think.",
        "### Step 1 - Look.\n### Step 2 – Think.",
        "### Step 1\nLook.\n### Step 2\nThink.",
        "### Step 1:\nLook.\n### Step 2:\nThink.",
        "### **Step 1:** Look.\n### **Step 2**: Think.",
        "**### Step 1:** Look.\n**### Step 2: Think.**",
        "### **Step 1: Look.**\n### **Step 2: Think.**",
        "### Step 1/2: Look.\n### Step 2 of 2: Think.",
        "### Step1: Look.\n### Step2: Think.",
        "### Step 1: Look.\r\n\r\n### Step 2: Think.\r\n",
        "Here is my reasoning.\n\n### Step 1: Look.\n### Step 2: Think.",
        "### Step 1: Look.\n### Step 2:\n### Step 2: Think.",
        "### Step 7: Look.\n### Step 9: Think.",
    ],
)
def test_spellings_of_the_step_marker(text: str) -> None:
    assert parse_continuation(text + END) == Continuation(("Look.", "Think."), "gold")


@pytest.mark.parametrize(
    "text",
    [
        "### The final answer is: gold",
        "### The final answer is:gold",
        "### The final answer is: \n\n gold \n",
        "### The Final Answer Is: gold",
        "### Final answer: gold",
        "#The final answer: gold",
        "### The final answer is gold",
        "### The final answer is **gold**",
        "### **The final answer is:** gold",
        "**### The final answer is: gold**",
        "### The final answer is:\r\ngold\r\n",
        "### The final answer is: gold\n### Note: see above",
        "### The final answer is: silver\n\nNo, wait.\n\n### The final answer is: gold",
    ],
)
def test_spellings_of_the_answer_marker(text: str) -> None:
    assert parse_answer("### Step 1: Look.\n" + text) == "gold"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gold",
        "### The final answer is:",
        "### The final answer is:  \n\n",
        "### The final answer is: **",
        "### The final answer is:\n### Step 3: gold",
        "### The final answers differ: gold",
        "so ### The final answer is: gold",
        "### The final answer is:\n### Answer: gold",
        "### The final answer is: <your answer>",
    ],
)
def test_missing_answers(text: str) -> None:
    assert parse_answer(text) is None
    assert parse_continuation("### Step 1: Look.\n" + text) is None


def test_marks_within_an_answer_stay() -> None:
    assert parse_answer("### The final answer is: #1 **left** lung") == "#1 left lung"
    assert parse_answer("### The final answer is: **A** or **B**") == "A or B"
    assert parse_answer("### The final answer is: HLA-B*27") == "HLA-B*27"


def test_marks_within_a_step_stay() -> None:
    text = "### Step 1: **Look** at *this*:\n* one\n* two\n### Step 2: a ### Step 3: b"
    assert parse_continuation(text + END) == Continuation(
        ("**Look** at *this*:\n* one\n* two", "a ### Step 3: b"), "gold"
    )


def test_the_half_of_a_bold_pair_that_a_marker_leaves_is_taken_away() -> None:
    text = "### **Step 1: Observation**\nAn opacity, **left**."
    assert parse_continuation(text + END) == Continuation(("Observation\nAn opacity, **left**.",), "gold")


def test_text_without_steps_is_a_continuation_without_steps() -> None:
    assert parse_continuation("I know it." + END) == Continuation((), "gold")
    assert parse_continuation("### Step 1:\n### Step 2: \n" + END) == Continuation((), "gold")
    assert parse_continuation("### Step 2nd: Look." + END) == Continuation((), "gold")


def test_what_comes_after_the_first_answer_is_no_step() -> None:
    text = "### Step 1: Look." + END + "\n### Step 2: Also."
    assert parse_continuation(text) == Continuation(("Look.",), "gold")


def test_a_restated_prefix_is_dropped() -> None:
    prefix = ("Look at it.", "Think.")
    restated = "### Step 1: look  at **it**\n### Step 2: Think.\n### Step 3: Go on."
    assert parse_continuation(restated + END, prefix) == Continuation(("Go on.",), "gold")


def test_the_same_words_under_another_number_are_a_step() -> None:
    text = "### Step 2: Look.\n### Step 3: Think."
    assert parse_continuation(text + END, ("Look.",)) == Continuation(("Look.", "Think."), "gold")
    assert parse_continuation("### Step 1: Other." + END, ("Look.",)) == Continuation(("Other.",), "gold")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("see <image> here", "see (image) here"),
        ("<IMG_CONTEXT>", "(img_context)"),
        ("<img>x</img>", "(img)x(/img)"),
        ("<|image_pad|><|vision_start|>", "(image_pad)(vision_start)"),
        ("<|im_start|>system", "(im_start)system"),
        ("<|endoftext|>", "(endoftext)"),
        ("<|eot_id|>", "(eot_id)"),
        ("<ima<image>ge>", "<ima(image)ge>"),
        ("<<image>>", "<(image)>"),
        ("p < 0.05 and x > 3", "p < 0.05 and x > 3"),
        ("<b>bold</b> a<b>c", "<b>bold</b> a<b>c"),
        ("", ""),
    ],
)
def test_neutralise(text: str, plain: str) -> None:
    assert neutralise_placeholders(text) == plain


def test_a_step_of_nothing_but_half_a_pair_of_stars_is_no_step() -> None:
    text = "### Step 1: **\n### Step 2: ** Look.\n### The final answer is: x"
    assert parse_continuation(text) == Continuation(("Look.",), "x")


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("a **b** c", "a b c"),
        ("*x*\n", "x"),
        ("* x *", "x"),
        ("** *x* **", "x"),
        ("2 * 3", "2 * 3"),
        ("x\n\n# More\ny", "x"),
        ("**", None),
        ("* *", None),
    ],
)
def test_an_answer_loses_its_stars_and_blanks_and_nothing_else(written: str, answer: str | None) -> None:
    assert parse_answer(f"### The final answer is: {written}") == answer
