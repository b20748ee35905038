import pytest

from eval.benchmarks.questions import picture_option, without_letter, yes_no_kind
from eval.types import Kind
from mics_ray.core.placeholders import without_placeholders


@pytest.mark.parametrize(
    ("text", "pictures", "found"),
    [
        ("<image>\nWhat is it?", 1, "What is it?"),
        ("<image>\n<image>\nWhat is it?", 2, "What is it?"),
        ("What is it? <image>", 1, "What is it?"),
        ("Look. <image 1> What is it?", 1, "Look. What is it?"),
        ("<image 1> shows a rash.", 1, "the picture shows a rash."),
        ("What does <image 1> show?", 1, "What does the picture show?"),
        ("Is <image 2> older than <image 1>?", 2, "Is picture 2 older than picture 1?"),
        ("Compare <image 1><image 3>.", 3, "Compare pictures 1, 3."),
        ("(CT: <image>\n<image>, MRI: <image>)", 3, "(CT: pictures 1 to 2, MRI: picture 3)"),
        ("Is < Image 1 > normal?", 1, "Is the picture normal?"),
        ("One.\n\n\n\nTwo   words.", 1, "One.\n\nTwo words."),
        ("A <b>bold</b> <imagery> stays.", 1, "A <b>bold</b> <imagery> stays."),
    ],
)  # fmt: skip
def test_placeholders_are_left_out_or_become_words(text: str, pictures: int, found: str) -> None:
    assert without_placeholders(text, pictures) == found


def test_an_option_that_is_a_picture_keeps_its_number() -> None:
    assert (picture_option("<image 3>"), picture_option(" see  <image 1> ")) == ("picture 3", "see picture 1")


def test_an_option_loses_its_own_letter_only() -> None:
    options = ("B: yes", " B:yes ", "(B) yes", "B. yes", "b) yes", "yes", "A: yes", "B cell")
    assert [without_letter(option, "B") for option in options] == [*["yes"] * 6, "A: yes", "B cell"]


def test_only_yes_and_no_are_closed_where_the_set_does_not_say() -> None:
    assert [yes_no_kind(answer) for answer in ("yes", " No. ", "YES", "no evidence", "")] == [
        *[Kind.CLOSED] * 3,
        *[Kind.OPEN] * 2,
    ]
