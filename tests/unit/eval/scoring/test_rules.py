"""What is asked, what the judge reads, and what no judge is asked."""

from eval.scoring.reading import Reading, read_words
from eval.scoring.rules import check_by_rule, make_judge_case, question_text
from eval.types import Item, Kind
from mics_ray.core.types import Case, Verdict

CHOICE = Item("1", Kind.CHOICE, "What is the pattern?", "B", ("Diffuse", "Focal", "None"))
YES = Item("2", Kind.CLOSED, "Is it enlarged?", "Yes")
WORD = Item("3", Kind.CLOSED, "Which side is it on?", "Left lung.")
OPEN = Item("4", Kind.OPEN, "What is it?", "Sjögren syndrome")
SEVERAL = Item("5", Kind.OPEN, "Which share?", "0.5", others=("1/2", "one half"))
CASE = Case("x", "asked", "gold")


def test_what_is_asked() -> None:
    options = "What is the pattern?\nA. Diffuse\nB. Focal\nC. None"
    assert question_text(CHOICE) == f"{options}\nAnswer with the letter of one option."
    assert question_text(YES) == "Is it enlarged?\nAnswer yes or no."
    assert question_text(WORD) == "Which side is it on?\nAnswer with one word or a short phrase."
    assert question_text(OPEN) == "What is it?"


def test_letters_and_yes_and_no_are_compared_by_rule() -> None:
    verdicts = [check_by_rule(CHOICE, Reading(letter)) for letter in "ABC"]
    assert verdicts == [Verdict.WRONG, Verdict.RIGHT, Verdict.WRONG]
    assert [check_by_rule(YES, Reading(word)) for word in ("yes", "no")] == [Verdict.RIGHT, Verdict.WRONG]


def test_the_same_words_are_right_and_other_words_are_for_the_judge() -> None:
    for item, text in (
        *(
            (WORD, text)
            for text in ("left lung", "The left lung.", "Left  Lung", "The answer is: left lung", '"Left lung"')
        ),
        (OPEN, "Sjo\u0308gren syndrome"),
        *((SEVERAL, text) for text in ("0.5", "1/2", "One half.")),
    ):
        assert check_by_rule(item, Reading(text)) is Verdict.RIGHT, text
    for item, text in (
        *((WORD, text) for text in ("left", "Lungs, left", "right lung", "left lung and right lung", "yes")),
        (Item("6", Kind.CLOSED, "Which organ?", "Liver"), "Liver is bigger than kidney"),
        (Item("7", Kind.CLOSED, "Which modality?", "Chest X-ray"), "X-Ray"),
        *((SEVERAL, text) for text in ("2", "1 2", "-0.5", "half")),
        (YES, "No acute fracture."),
        (CHOICE, "A focal one"),
    ):
        assert check_by_rule(item, Reading(text)) is None, text
    assert check_by_rule(OPEN, Reading()) is Verdict.WRONG


def test_the_judge_reads_the_question_and_every_answer_that_is_right() -> None:
    several = make_judge_case(SEVERAL, CASE)
    assert (several.id, several.question, several.answer) == ("x", "Which share?", "0.5 or 1/2 or one half")
    choice = make_judge_case(CHOICE, CASE)
    assert (choice.question, choice.answer) == ("What is the pattern?\nA. Diffuse\nB. Focal\nC. None", "B. Focal")
    assert make_judge_case(YES, CASE).question == "Is it enlarged?", "how to answer is the model's matter"


def test_an_interns_answer_is_read_as_one() -> None:
    assert read_words(CHOICE, "(B)").answer == "B"
    assert read_words(CHOICE, "A or B").unread == "ambiguous: A and B"
    assert read_words(YES, "Yes.").answer == "yes"
