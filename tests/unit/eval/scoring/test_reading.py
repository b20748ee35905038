"""What a reply answers: in the form that is asked for, in another that leaves no doubt, or not at all."""

import pytest

from eval.scoring.reading import AMBIGUOUS, MOST_WORDS, Reading, read_reply
from eval.scoring.rules import check_by_rule
from eval.types import Item, Kind
from mics_ray.core.types import Verdict

OPTIONS = ("Diffuse uptake pattern", "Focal uptake pattern", "No uptake pattern", "Cannot be determined")
CHOICE = Item("1", Kind.CHOICE, "What is the uptake pattern?", "B", OPTIONS)
YES = Item("2", Kind.CLOSED, "Is it enlarged?", "Yes")
WORD = Item("3", Kind.CLOSED, "Which side is it on?", "Left lung.")
OPEN = Item("4", Kind.OPEN, "What is it?", "Pneumothorax")

B = [
    "B", "b", "B.", "(B)", "[B]", "{B}", "B)", "B:", "**B**", "`B`", "**B.** Focal uptake pattern", "\\boxed{B}",
    "$\\boxed{\\text{B}}$", "\\boxed{B. Focal uptake pattern}", "B. Focal uptake pattern", "B: focal uptake pattern.",
    "B - Focal uptake pattern", "B Focal uptake pattern", "(B) Focal uptake", "B. focal uptake",
    "B\nThe others do not fit.", "B\n\nThe others do not fit.", "B because C does not fit", "The answer is B.",
    "The answer is B", "The correct answer is (B).", "The correct answer is **B. Focal uptake pattern**.",
    "Answer: B", "**Answer:** B", "### Answer: (B)", "Option B", "option B.", "Therefore, the answer is option B.",
    "I would choose B.", "Focal uptake pattern", "the focal uptake pattern.", "**Focal uptake pattern**",
    '"Focal uptake pattern"', "focal uptake pattern (B)", "<answer>B</answer>", '{"answer": "B"}',
    "The picture shows focal uptake, thus option B is correct.", "Look at it. It is focal.\n\nB.",
    "### Step 1: Look.\n\n(B)", "Answer: **B**\n\nExplanation: A does not fit.", "- B", "B!", "The letter is B",
    "B, B", "(B) or (B).", "B and E", "B, as in A", "So it is \\boxed{B}.",
]  # fmt: skip
SEVERAL = [
    "A and B", "A, B", "A or B", "B/C", "(A) or (B)", "Either (A) or (B)", "Either A or B", "Both B and C", "A\n\nB",
    "A. Focal uptake pattern", "A. Diffuse\nB. Focal\nC. None", "\\boxed{A} or \\boxed{B}",
    "The answer is A. The answer is B.", "Answer: A\n\nAnswer: B", "The answer is A, or possibly B",
    "The answer is A or maybe B.",
]  # fmt: skip
FOR_THE_JUDGE = [
    "E", "Z.", "uptake", "I do not know", "A mass with focal uptake", "B cell lymphoma with uptake",
    "Option B is incorrect.", "B is wrong", "It is not B.", "The image (A) shows a mass.", "A. baumannii is seen",
    "AB", "Not A", "none",
    "I think option B is wrong.", "The answer cannot be B.",
]  # fmt: skip


def test_an_answer_to_a_choice_in_any_form_that_leaves_no_doubt_is_its_letter() -> None:
    assert [text for text in B if read_reply(CHOICE, text) != Reading("B")] == []


def test_several_letters_are_no_answer_and_are_named() -> None:
    found = {text: read_reply(CHOICE, text) for text in SEVERAL}
    assert [text for text, one in found.items() if one.answer or not one.unread.startswith(AMBIGUOUS)] == []
    assert found["B/C"].unread == "ambiguous: B and C"
    assert {check_by_rule(CHOICE, one) for one in found.values()} == {Verdict.WRONG}


def test_words_that_name_no_option_are_left_to_the_judge() -> None:
    found = {text: read_reply(CHOICE, text) for text in FOR_THE_JUDGE}
    assert [text for text, one in found.items() if one.answer != text or check_by_rule(CHOICE, one) is not None] == []


def test_the_form_is_kept_only_behind_its_own_marker() -> None:
    for text in (one for one in B if not set('#"') & set(one)):
        within = read_reply(CHOICE, f"### Step 1: Look at A.\n\n### The final answer is: {text}")
        assert (within.answer, within.kept_form) == ("B", True), text
    assert read_reply(CHOICE, "### The final answer is: A\n\n### The final answer is: B") == Reading("B", True)
    assert read_reply(CHOICE, "Answer: A\n\n### The final answer is: B") == Reading("B", True)
    several = read_reply(CHOICE, "### The final answer is: A or C")
    assert several == Reading("", True, "ambiguous: A and C")
    # In an answer a letter in brackets, or behind "is", is what was asked for.
    assert read_reply(CHOICE, "### The final answer is: It is B.").answer == "B"
    assert read_reply(CHOICE, "### The final answer is: the pattern (B) of the four").answer == "B"


@pytest.mark.parametrize("item", [CHOICE, YES, WORD, OPEN])
def test_a_reply_without_an_answer_has_none_and_is_wrong(item: Item) -> None:
    long = "word " * (MOST_WORDS + 1)
    texts = {
        "": "empty", " \n": "empty", "### The final answer is:": "no answer", "Is it?": "no answer", long: "no answer",
        "Is it? Or not?": "no answer",
        "\\boxed{}": "no answer",
        "### Step 1: Look at it.": "no answer", "B or yes\n\n### The final answer is:\n": "no answer",
    }  # fmt: skip
    found = {text: read_reply(item, text) for text in texts}
    assert {text: one.unread for text, one in found.items()} == texts
    assert {(one.answer, one.kept_form, check_by_rule(item, one)) for one in found.values()} == {
        ("", False, Verdict.WRONG)
    }


def test_a_long_reply_names_its_answer_in_its_first_or_last_sentence() -> None:
    long = "It is seen in the picture. " * 20
    assert read_reply(YES, f"Yes. {long}") == Reading("yes")
    assert read_reply(YES, f"{long}\n\nNo.") == Reading("no")
    assert read_reply(CHOICE, f"{long}\n\nTherefore, option C fits.") == Reading("C")
    assert read_reply(CHOICE, f"{long}\n\nOption C fits.") == Reading("C")
    assert read_reply(CHOICE, f"B. Focal uptake pattern\n{long}") == Reading("B")
    assert read_reply(YES, f"Yes.\n{long}\nNo.").unread == "ambiguous: yes and no"
    chain = f"### Step 1: {long}\nThe panel (B) shows it."
    assert {read_reply(item, chain).unread for item in (CHOICE, YES, WORD, OPEN)} == {"no answer"}


def test_of_a_long_reply_the_judge_reads_the_first_and_the_last_sentence() -> None:
    long = "It is seen in the picture. " * 20
    for item in (CHOICE, YES, WORD, OPEN):
        found = read_reply(item, f"The lung is dark. {long}\n\nThis fits a pneumothorax.")
        assert found == Reading("The lung is dark. … This fits a pneumothorax.")
        assert check_by_rule(item, found) is None
        assert read_reply(item, long) == Reading("It is seen in the picture.")
    assert read_reply(OPEN, f"{long}\n\n" + "word " * MOST_WORDS).unread == "no answer"


def test_a_question_at_the_end_takes_nothing_back() -> None:
    assert read_reply(OPEN, "A pneumothorax. Shall I say more?") == Reading("A pneumothorax.")
    assert read_reply(CHOICE, "B\n\nDoes this help? Shall I say more?") == Reading("B")
    assert read_reply(YES, "Yes, it is. Anything else?") == Reading("yes")


def test_options_that_are_letters_are_named_by_their_own_letter() -> None:
    labels = Item("5", Kind.CHOICE, "Which label?", "C", ("C", "D", "A", "B", "None of the above"))
    texts = {"C": "C", "C. A": "C", "C) A": "C", "(C)": "C", "none of the above": "E", "A, B": "", "A. C": "A"}
    assert {text: read_reply(labels, text).answer for text in texts} == texts


def test_options_that_begin_like_letters_are_found_by_their_text() -> None:
    germs = Item("6", Kind.CHOICE, "Which germ?", "B", ("E. coli", "S. aureus", "B. fragilis", "C. difficile", "Other"))
    texts = {"S. aureus": "B", "E. coli": "A", "E": "E", "B": "B", "B. S. aureus": "B", "C. difficile": "D"}
    assert {text: read_reply(germs, text).answer for text in texts} == texts


def test_an_answer_that_several_options_equal_or_that_has_no_words_is_no_letter() -> None:
    twice = Item("5", Kind.CHOICE, "Which?", "A", ("Left lung", "Left lung", "Heart"))
    assert check_by_rule(twice, read_reply(twice, "left lung")) is None
    assert read_reply(twice, "heart").answer == "C"
    empty = Item("6", Kind.CHOICE, "Which sign?", "A", ("?", "Heart"))
    assert check_by_rule(empty, read_reply(empty, "!!")) is None


def test_the_yes_or_no_of_a_closed_question() -> None:
    texts = {
        "Yes": "yes", "yes.": "yes", "**Yes**": "yes", "Yes, it is.": "yes", "Yes - it is": "yes",
        "\\boxed{yes}": "yes",
        "Yes the heart is large": "yes", "No": "no", "NO!": "no", "No; it is not": "no", "No there is not": "no",
        "No, the heart is of normal size.": "no", "The answer is no.": "no", "Answer: yes": "yes", '"Yes"': "yes",
        "Yes, it is.\n\nThe borders are wide.": "yes", "The borders are wide.\n\nYes.": "yes",
    }  # fmt: skip
    for text, wanted in texts.items():
        assert read_reply(YES, text) == Reading(wanted), text
        assert read_reply(YES, f"### The final answer is: {text}").answer == wanted, text


def test_what_may_mean_either_is_left_to_the_judge_and_both_is_no_answer() -> None:
    for text in (
        *("No evidence of disease", "No acute fracture.", "There is no fracture.", "Nothing", "Yesterday", "It may be"),
        *("Not enlarged", "Yes, there is no fracture.", "Yes, it isn't.", "Yes. No fracture.", "Enlarged", "True"),
    ):
        for said in (text, f"### The final answer is: {text}"):
            found = read_reply(YES, said)
            assert (found.answer, found.unread, check_by_rule(YES, found)) == (text, "", None)
    for text in (
        "Yes and no",
        "Yes/No",
        "yes or no",
        "Yes, but no.",
        "No - yes",
        "Yes? No.",
        "No\n\nYes",
        "Answer: yes\n\nAnswer: no",
    ):
        assert read_reply(YES, text).unread == "ambiguous: yes and no", text


def test_words_are_an_answer_where_the_reply_is_short_and_no_chain() -> None:
    for item in (WORD, OPEN):
        assert read_reply(item, " The image shows a pneumothorax. ") == Reading("The image shows a pneumothorax.")
        assert read_reply(item, "## Impression\nA pneumothorax.") == Reading("## Impression\nA pneumothorax.")
        assert read_reply(item, "**Answer:** left") == Reading("left")
        assert read_reply(item, "### The final answer is: **left**") == Reading("left", True)
