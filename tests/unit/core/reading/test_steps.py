"""Where steps begin, in the forms that mentors use; what is a list within a step, or of something else, is none."""

import pytest

from mics_ray.core.reading.steps import find_steps
from mics_ray.core.reading.text import adds_nothing, format_chain, parse_continuation
from mics_ray.core.types import Continuation

END = "\n\n### The final answer is: gold"
TWO = ("Look.", "Think.")


@pytest.mark.parametrize(
    "text",
    [
        "**Step 1:** Look.\n\n**Step 2:** Think.",
        "**Step 1**: Look.\n**Step 2**: Think.",
        "**Step 1** Look.\n**Step 2** Think.",
        "**Step 1**\nLook.\n**Step 2**\nThink.",
        "**Step 1 – Look.**\n**Step 2 – Think.**",
        "**Step One:** Look.\n**Step Two:** Think.",
        "**Step 1/2:** Look.\n**Step 2/2:** Think.",
        "__Step 1:__ Look.\n__Step 2:__ Think.",
        "*Step 1:* Look.\n*Step 2:* Think.",
        "`Step 1:` Look.\n`Step 2:` Think.",
        "Step 1: Look.\nStep 2: Think.",
        "Step 1 - Look.\nStep 2 - Think.",
        "Step 1. Look.\nStep 2) Think.",
        "Step 1\nLook.\n\nStep 2\nThink.",
        "STEP 1: Look.\nSTEP 2: Think.",
        "Step #1: Look.\nStep no. 2: Think.",
        "Step 1 of 2: Look.\nStep 2 of 2: Think.",
        "Step one: Look.\nStep two: Think.",
        "Step I: Look.\nStep II: Think.",
        "First step: Look.\nSecond step: Think.",
        "Reasoning step 1: Look.\nReasoning step 2: Think.",
        "[Step 1] Look.\n(Step 2) Think.",
        "<step 1> Look.\n<step 2> Think.",
        "> **Step 1:** Look.\n> **Step 2:** Think.",
        "- Step 1: Look.\n- Step 2: Think.",
        "1. **Step 1:** Look.\n2. **Step 2:** Think.",
        "Step 1: Look. Step 2: Think.",
        "第1步：Look.\n第2步：Think.",
        "第一步: Look.\n第二步: Think.",
        "步骤1：Look.\n步骤2：Think.",
        "Schritt 1: Look.\nSchritt 2: Think.",
        "## Step 1\nLook.\n## Step 2\nThink.",
        "### Step one: Look.\n### Step two: Think.",
        "### 第1步：Look.\n### 第2步：Think.",
        "### Step 1: Look.\n**Step 2:** Think.",
        "1. Look.\n2. Think.",
        "1) Look.\n2) Think.",
        "(1) Look.\n(2) Think.",
        "1.Look.\n2.Think.",
        "1、Look.\n2、Think.",
        "1. Look.\n1. Think.",
        "**1.** Look.\n**2.** Think.",
        "**1. Look.**\n**2. Think.**",
        "### 1. Look.\n### 2. Think.",
        "1\ufe0f\u20e3 Look.\n2\ufe0f\u20e3 Think.",
        "Here is the rest of the chain:\n\n1. Look.\n2. Think.",
    ],
)
def test_the_usual_forms_are_read(text: str) -> None:
    chain = parse_continuation(text + END)
    assert chain == Continuation(TWO, "gold")
    assert parse_continuation(format_chain(chain)) == chain


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("### Step 1: Look:\n1. one\n2. two\n### Step 2: Think.", ("Look:\n1. one\n2. two", "Think.")),
        ("**Step 1:** Look:\n1. one\n2. two\n**Step 2:** Think.", ("Look:\n1. one\n2. two", "Think.")),
        ("Step 1: Look:\n1) one\n2) two\nStep 2: Think.", ("Look:\n1) one\n2) two", "Think.")),
        ("1. Look:\n   1. one\n   2. two\n2. Think.", ("Look:\n   1. one\n   2. two", "Think.")),
        ("### Step 1: As in\nStep 4: said.\n### Step 2: Think.", ("As in\nStep 4: said.", "Think.")),
        ("### Step 1: Look. Step 2: Think.", ("Look. Step 2: Think.",)),
        ("Step 1: Look. Step 7: said.\nStep 2: Think.", ("Look. Step 7: said.", "Think.")),
        ("1. Look.\n4. of May\n2. Think.", ("Look.\n4. of May", "Think.")),
        ("Step 1 (Observation): Look.\nStep 2: Think.", ("(Observation): Look.", "Think.")),
    ],
)
def test_a_lower_form_within_a_step_is_part_of_it(text: str, steps: tuple[str, ...]) -> None:
    chain = parse_continuation(text + END)
    assert chain == Continuation(steps, "gold")
    assert parse_continuation(format_chain(chain)) == chain


PROSE = (
    "The left base is white, with a meniscus, and the diaphragm behind it cannot be seen on either of the views. " * 2
)


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "- Look.\n- Think.",
        "Step 1 shows an opacity.\nStep 2 of the guideline applies.",
        "1.5 cm is the size.\n2.3 cm is the other.",
        "10:30 was the time of the first film.\n12:00 of the second.",
        "Differential diagnosis:\n1. Pneumonia\n2. Effusion",
        f"{PROSE}\n1. Pneumonia\n2. Effusion",
        "First, look at the lung. Second, think.",
        "The next step: think.",
        "Stepwise: look, then think.",
    ],
)
def test_prose_and_lists_of_something_else_mark_no_step_and_are_more_than_nothing(text: str) -> None:
    assert find_steps(text) == []
    assert parse_continuation(text + END) == Continuation((), "gold")
    assert not adds_nothing(text + END)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "***",
        "Nothing is left to add.",
        "There are no further steps.",
        "The chain is already complete.",
        "### Step 1: Look.",
    ],
)
def test_a_reply_with_nothing_beside_its_answer_adds_nothing(text: str) -> None:
    assert parse_continuation(text + END, ("Look.",)) == Continuation((), "gold")
    assert adds_nothing(text + END)


@pytest.mark.parametrize(
    ("text", "steps", "answer"),
    [
        ("1. Look.\n2. Think.\n3. **Final answer:** gold", TWO, "gold"),
        ("Step one: Look.\nStep two: Think.\nStep three: The final answer is: gold", TWO, "gold"),
        (
            "1. Look.\nAnswer: C is ruled out.\n2. Think.\n\n**Final answer:** B",
            ("Look.\nAnswer: C is ruled out.", "Think."),
            "B",
        ),
        ("**Final answer:** B\n\nReasons:\n1. It is so.\n2. It must be.", (), "B"),
    ],
)
def test_an_answer_in_another_form_ends_the_steps(text: str, steps: tuple[str, ...], answer: str) -> None:
    assert parse_continuation(text) == Continuation(steps, answer)


def test_a_list_goes_on_from_the_steps_already_there() -> None:
    assert parse_continuation("3. Look.\n4. Think." + END, ("a", "b")) == Continuation(TWO, "gold")
    assert parse_continuation("1. a\n2. b\n3. Look." + END, ("a", "b")) == Continuation(("Look.",), "gold")
    assert parse_continuation("7. Look.\n8. Think." + END, ("a", "b")) == Continuation((), "gold")


@pytest.mark.parametrize("unit", ["\t", "> ", "* ", "1. ", "\n1. ", "step\t", "Step 1 (", "**", "*_`[(<"])
def test_long_runs_of_signs_are_read_at_once(unit: str) -> None:
    """Backtracking over them would take minutes."""
    find_steps(unit * 20_000)
