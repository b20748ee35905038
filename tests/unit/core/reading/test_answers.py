"""Final answers in other forms than the prompt asks for, and what looks like one and is none."""

import pytest

from mics_ray.core.reading.text import format_chain, parse_answer, parse_continuation
from mics_ray.core.types import Continuation

READ = [
    "**The final answer is:** left lung",
    "**The final answer is: left lung**",
    "The final answer is: left lung",
    "the final answer is : left lung",
    "The final answer is：left lung",
    "Final Answer: left lung",
    "FINAL ANSWER: left lung",
    "Final answer: **left lung**",
    "Final answer - left lung",
    "Final answer = left lung",
    "Final Answer → left lung",
    "**Answer:** left lung",
    "**Answer**: left lung",
    "*Answer:* left lung",
    "__Answer:__ left lung",
    "_The final answer is:_ left lung",
    "Answer: left lung",
    "Answer:\nleft lung",
    "Answer:\n\n\nleft lung\n",
    "Ans: left lung",
    "My answer: left lung",
    "**My final answer is**: left lung",
    "Answer (in a few words): left lung",
    "### Answer: left lung",
    "## Final Answer\n\nleft lung",
    "# Answer\nleft lung",
    "**Final Answer**\n\nleft lung",
    "**Answer**\nleft lung",
    "Final Answer\nleft lung",
    "1. Final answer: left lung",
    "3) **Final Answer:** left lung",
    "> The final answer is: left lung",
    "- **Final answer:** left lung",
    "* The final answer is: left lung",
    "• Answer: left lung",
    "✅ **Final Answer:** left lung",
    '"The final answer is: left lung"',
    "`Answer: left lung`",
    "[Answer]: left lung",
    "Therefore, the final answer is: left lung",
    "So the answer is: left lung",
    "Thus, **the final answer is:** left lung",
    "In conclusion, the correct answer is: left lung",
    "Based on the films, the final answer is: left lung",
    "It is dark. Final answer: left lung",
    "It is dark. The final answer is: left lung",
    "The correct answer is: left lung",
    "The correct answer is **left lung**",
    'The answer is "left lung".',
    "The answer to the question is: left lung",
    "**Correct answer:** left lung",
    "Correct option: left lung",
    "The best answer is: left lung",
    "The final answer is left lung",
    "\\boxed{left lung}",
    "$\\boxed{\\text{left lung}}$",
    "The answer is $\\boxed{\\text{left lung}}$.",
    "<answer>left lung</answer>",
    "<ANSWER>\n left lung \n</ANSWER>",
    "<answer>**Answer:** left lung</answer>",
    "<|begin_of_box|>left lung<|end_of_box|>",
    '{"answer": "left lung"}',
    '{"reason": "a, b", "final_answer": "left lung"}',
    "最终答案：left lung",
    "Answer: \"'left lung'\"",
    "<answer>left lung\n# Why\nIt is dark.</answer>",
    "<final_answer>left lung</final_answer>",
    "<CONCLUSION> left lung </CONCLUSION>",
    "### Step 3: The final answer is: left lung",
    "### Step 3: Final answer\nleft lung",
    "The final answer is therefore: left lung",
    "=> Answer: left lung",
    "**Final diagnosis:** left lung",
    "\\[ \\boxed{left\\ lung} \\]",
    "答案是：left lung",
    "**Answer:** left lung\n\n**Explanation:** it is dark",
    "Answer: left lung\nExplanation: it is dark",
    "Answer: left lung\n\nIt is dark there.",
    "Answer: right lung\n\nNo, wait.\n\nAnswer: left lung",
    "### The final answer is: <your answer>\n\n**Answer:** left lung",
]
NOT_READ = [
    "the final answer is not known yet",
    "The final answer is not known yet.",
    "The final answer is unclear.",
    "The answer is to be found in the film.",
    "The answer is based on the film.",
    "The final answer is that we do not know",
    "The answer is what we look for.",
    "The final answer is the left lung?",
    "The final answer is **not** known.",
    'The answer is "to be determined".',
    "Answer\nThe film is dark.",
    "The final answer will be given below.",
    "I will give the final answer is: after the next step",
    "To reach the final answer, look again.",
    "We need the final answer: it must be short.",
    "An answer: it depends",
    "No answer: the film is dark",
    "A final answer is needed.",
    "What is the final answer?",
    "Final answer?",
    "The final answer is: is it the left lung?",
    "Is the final answer: yes?",
    "The answer is known to the patient, who was asked about it and said that it hurts on the left when he coughs.",
    "Answer the question in a few words: look.",
    "Answer choices: A, B",
    "The answer choices are: A, B",
    "Answer options:\nA. one",
    "Final answer format: one word",
    "The answers are: many",
    "Final answers: A",
    "Answer",
    "Answer:",
    "**Answer:**",
    "**Answer**\n\n### Step 2: Look.",
    "Answer:\n\n**Explanation:** none",
    "## Answer to check\nleft lung",
    "## Reference answer\nleft lung",
    "Reference answer: left lung",
    "The reference answer is: left lung",
    "The patient's answer is: no pain",
    'Her answer was "no".',
    "### The final answer is: <your answer>",
    "The final answer is: <your answer>",
    "The final answer is: [answer]",
    "The final answer is: …",
    "The final answer is: ...",
    "The final answer is: ____",
    "The final answer is: <answer in a few words>",
    "Final answer: <X>",
    "**Answer:** [your answer here]",
    "**Answer:** your answer",
    "<answer></answer>",
    "<answer>your answer</answer>",
    "<answer>left lung",
    "\\boxed{}",
    "\\boxed{answer}",
    "\\boxed{left lung",
    "Put it in \\boxed{}.",
    'I close with a line "### The final answer is:" and the answer in a few words.',
    '"### The final answer is:" followed by the answer in a few words',
    '### The final answer is:" and the answer in a few words.',
    '{"answer": ""}',
    "### Step 3: The final answer is not clear.",
    "Diagnosis: a line",
    "I think that it is the left lung.",
]


def test_there_are_enough_of_them() -> None:
    assert len(READ) >= 40
    assert len(NOT_READ) >= 40


@pytest.mark.parametrize("text", READ)
@pytest.mark.parametrize("before", ["", "### Step 1: Look.\n", "### Step 1: Look.\n\n### Step 2: Think.\n\n"])
def test_an_answer_is_read_and_the_steps_before_it_too(text: str, before: str) -> None:
    steps = tuple(step for step in ("Look.", "Think.") if step in before)
    found = parse_continuation(before + text)
    assert parse_answer(before + text) in ("left lung", "left lung.")
    # A marker in the middle of a line leaves what stands before it to the step.
    assert found is not None
    assert [step.partition("\n")[0] for step in found.steps] == list(steps)
    assert parse_continuation(format_chain(found)) == found


@pytest.mark.parametrize("text", NOT_READ)
@pytest.mark.parametrize("around", ["{}", "### Step 1: Look.\n\n{}", "Look. {}", "{}\n\n### Step 2: Think."])
def test_no_answer_is_made_of_what_is_none(text: str, around: str) -> None:
    assert parse_answer(around.replace("{}", text)) is None
    assert parse_continuation(around.replace("{}", text)) is None


def test_the_written_form_comes_before_all_others() -> None:
    text = "### Step 1: Look.\n### The final answer is: gold\n\n**Answer:** silver \\boxed{lead}"
    assert parse_answer(text) == "gold\n\nAnswer: silver \\boxed{lead}"
    assert parse_answer("**Answer:** silver\n### The final answer is: gold") == "gold"


def test_quotation_marks_within_an_answer_stay() -> None:
    assert parse_answer('Answer: the "left lung"') == 'the "left lung"'
    assert parse_answer("Answer: `left` or `right`") == "`left` or `right`"


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("$\\boxed{\\text{B}}$.", "B"),
        ("\\boxed{B} or \\boxed{C}", "\\boxed{B} or \\boxed{C}"),
        ("<answer>gold</answer>", "gold"),
        ("gold</answer>", "gold"),
        ("<|begin_of_box|>**gold**<|end_of_box|>", "gold"),
    ],
)
def test_a_box_or_a_tag_around_the_whole_answer_is_taken_off(written: str, answer: str) -> None:
    assert parse_answer(f"### The final answer is: {written}") == answer


def test_an_echo_of_the_format_is_neither_a_step_nor_the_end_of_the_steps() -> None:
    text = "### The final answer is: <your answer>\n### Step 1: Look.\n### The final answer is: gold"
    assert parse_continuation(text) == Continuation(("Look.",), "gold")
    assert parse_continuation("### Step 1: Look.\n### The final answer is:\n…\n") is None
    text = (
        "### Step 1: Look.\n### The final answer is:\n<your answer>\n### Step 2: Think.\n### The final answer is: gold"
    )
    assert parse_continuation(text) == Continuation(("Look.", "Think."), "gold")


def test_a_marker_within_a_step_does_not_end_the_steps() -> None:
    text = "### Step 1: Compare.\nAnswer: C does not fit.\n### Step 2: Think.\n\n**Final answer:** B"
    assert parse_continuation(text) == Continuation(("Compare.\nAnswer: C does not fit.", "Think."), "B")


def test_steps_behind_the_answer_are_no_steps_of_the_chain() -> None:
    assert parse_continuation("**Answer:** B\n\n### Step 1: Look.") == Continuation((), "B")


def test_a_step_that_holds_the_boxed_answer_is_not_handed_on() -> None:
    text = "### Step 1: Look.\n### Step 2: So it is \\boxed{B}."
    assert parse_continuation(text) == Continuation(("Look.",), "B")


@pytest.mark.parametrize(
    "sign", ["*", "#", " ", "\\boxed{", "<answer>", "Answer: ", "Answer:\n", "> 1. ", "The answer is "]
)
def test_a_text_of_nothing_but_markers_is_read_in_no_time_and_holds_none(sign: str) -> None:
    assert parse_answer(sign * 300) in (None, "Answer: " * 298 + "Answer:")
