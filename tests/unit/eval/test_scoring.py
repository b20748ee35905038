import pytest

from eval.scoring import check_by_rule, find_answer, normalise_words, question_text
from eval.types import Item, Kind
from mics_ray.core.types import Verdict

OPTIONS = ("Diffuse uptake pattern", "Focal uptake pattern", "No uptake pattern", "Cannot be determined")
CHOICE = Item("1", Kind.CHOICE, "What is the uptake pattern?", "B", OPTIONS)
YES = Item("2", Kind.CLOSED, "Is it enlarged?", "Yes")
WORD = Item("3", Kind.CLOSED, "Which side is it on?", "Left lung.")
OPEN = Item("4", Kind.OPEN, "What is it?", "Pneumothorax")


def said(answer: str) -> str:
    return f"### Step 1: Look at it; option D and yes are named here.\n\n### The final answer is: {answer}"


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("B.", "B"),
        ("(B)", "B"),
        ("[B]", "B"),
        ("{B}", "B"),
        ("B)", "B"),
        ("B:", "B"),
        ("**B**", "B"),
        ("**B.** Focal uptake pattern", "B"),
        ("$\\boxed{B}$", "B"),
        ("\\boxed{\\text{B}}", "B"),
        ("B. Focal uptake pattern", "B"),
        ("B: focal uptake pattern.", "B"),
        ("B - Focal uptake pattern", "B"),
        ("B Focal uptake pattern", "B"),
        ("(B) Focal uptake", "B"),
        ("B\nThe others do not fit.", "B"),
        ("B because C does not fit", "B"),
        ("The answer is B", "B"),
        ("The correct answer is (B).", "B"),
        ("Answer: B", "B"),
        ("Option B", "B"),
        ("Therefore, the answer is option B.", "B"),
        ("I would choose B.", "B"),
        ("It is B.", "B"),
        ("Focal uptake pattern", "B"),
        ("the focal uptake pattern.", "B"),
        ("The answer is focal uptake pattern", "B"),
        ('"Focal uptake pattern"', "B"),
        ("focal uptake pattern (B)", "B"),
        ("A. Focal uptake pattern", "A"),  # it was asked for the letter
        ("A", "A"),
        ("a.", "A"),
        ("A mass with focal uptake", ""),
        ("A and B", ""),
        ("B, B", "B"),  # the same letter again is no second answer
        ("(B) or (B).", "B"),
        ("B and E", "B"),  # E is no option, so it is a word of the reason
        ("B, as in A", "B"),
        ("A, B", ""),
        ("A or B", ""),
        ("B/C", ""),
        ("(A) or (B)", ""),
        ("Either (A) or (B)", ""),
        ("E", ""),
        ("Z.", ""),
        ("uptake", ""),
        ("I do not know", ""),
        ("B cell lymphoma with uptake", ""),
    ],
)
def test_the_letter_of_a_choice(answer: str, letter: str) -> None:
    assert find_answer(CHOICE, said(answer)) == letter
    wanted = Verdict.RIGHT if letter == "B" else Verdict.WRONG
    assert check_by_rule(CHOICE, letter) is wanted


def test_options_that_are_letters_are_named_by_their_own_letter() -> None:
    labels = Item("5", Kind.CHOICE, "Which label?", "C", ("C", "D", "A", "B", "None of the above"))
    found = [
        find_answer(labels, said(answer))
        for answer in ("C", "C. A", "C) A", "(C)", "none of the above", "A, B", "A. C")
    ]
    assert found == ["C", "C", "C", "C", "E", "", "A"]


def test_options_that_begin_like_letters_are_found_by_their_text() -> None:
    germs = Item("6", Kind.CHOICE, "Which germ?", "B", ("E. coli", "S. aureus", "B. fragilis", "C. difficile", "Other"))
    assert [
        find_answer(germs, said(answer))
        for answer in ("S. aureus", "E. coli", "E", "B", "B. S. aureus", "C. difficile")
    ] == [
        *("B", "A", "E", "B", "B", "D"),
    ]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("Yes", "yes"),
        ("yes.", "yes"),
        ("**Yes**", "yes"),
        ("Yes, it is.", "yes"),
        ("Yes - it is", "yes"),
        ("Yes, no doubt", "yes"),
        ("Yes the heart is large", "yes"),
        ("No", "no"),
        ("NO!", "no"),
        ("No, yes would be wrong", "no"),
        ("No; it is not", "no"),
        ("No there is not", "no"),
        ("The answer is no.", "no"),
        ("Answer: yes", "yes"),
        ('"Yes"', "yes"),
        ("No evidence of disease", ""),
        ("Nothing", ""),
        ("Yesterday", ""),
        ("It may be", ""),
        ("Not enlarged", ""),
    ],
)
def test_the_yes_or_no_of_a_closed_question(answer: str, found: str) -> None:
    assert find_answer(YES, said(answer)) == found
    assert check_by_rule(YES, found) is (Verdict.RIGHT if found == "yes" else Verdict.WRONG)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("left lung", True),
        ("The left lung.", True),
        ("Left  Lung", True),
        ("The answer is: left lung", True),
        ('"Left lung"', True),
        ("right lung", False),
        ("left", False),
        ("left lung and right lung", False),
    ],
)
def test_another_closed_question_is_compared_by_its_words(answer: str, right: bool) -> None:
    assert check_by_rule(WORD, find_answer(WORD, said(answer))) is (Verdict.RIGHT if right else Verdict.WRONG)


@pytest.mark.parametrize("item", [CHOICE, YES, WORD, OPEN])
@pytest.mark.parametrize(
    "output", ["", "B", "Yes", "### Step 1: B is right", "### The final answer is:", "The answer is not B, I think."]
)
def test_without_the_marker_no_answer_is_found_and_that_is_wrong(item: Item, output: str) -> None:
    assert find_answer(item, output) == ""
    assert check_by_rule(item, "") is Verdict.WRONG


@pytest.mark.parametrize("output", ["**Answer:** B", "### Answer: (B)", "So it is \\boxed{B}.", "The answer is B."])
def test_an_answer_marked_in_another_form_is_found(output: str) -> None:
    assert find_answer(CHOICE, output) == "B"


def test_an_open_answer_is_kept_and_left_to_the_judge() -> None:
    assert find_answer(OPEN, said("A pneumothorax on the left. ")) == "A pneumothorax on the left."
    assert check_by_rule(OPEN, "A pneumothorax") is None


def test_the_last_marker_counts() -> None:
    assert find_answer(CHOICE, said("A") + "\n\n" + said("B")) == "B"


def test_what_is_asked() -> None:
    assert question_text(CHOICE) == (
        "What is the uptake pattern?\nA. Diffuse uptake pattern\nB. Focal uptake pattern\nC. No uptake pattern\n"
        "D. Cannot be determined\nAnswer with the letter of one option."
    )
    assert question_text(YES) == "Is it enlarged?\nAnswer yes or no."
    assert question_text(WORD) == "Which side is it on?\nAnswer with one word or a short phrase."
    assert question_text(OPEN) == "What is it?"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Left-Lung!", "left lung"),
        ("A", "a"),
        ("2.5 cm", "2.5 cm"),
        ("ER+", "er +"),
        ("<5%", "< 5 %"),
        ("T2 (axial)", "t 2 axial"),
        ("", ""),
    ],
)
def test_words_are_normalised(text: str, normal: str) -> None:
    assert normalise_words(text) == normal


def test_an_answer_that_several_options_equal_or_that_has_no_words_is_none() -> None:
    twice = Item("5", Kind.CHOICE, "Which?", "A", ("Left lung", "Left lung", "Heart"))
    assert find_answer(twice, said("left lung")) == ""
    assert find_answer(twice, said("heart")) == "C"
    empty = Item("6", Kind.CHOICE, "Which sign?", "A", ("?", "Heart"))
    assert find_answer(empty, said("!!")) == ""
