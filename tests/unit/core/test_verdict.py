"""The judge's reply, word by word: what is not clearly yes or no is unknown, and nothing doubtful is ever right."""

import pytest

from mics_ray.core.types import Verdict
from mics_ray.core.verdict import parse_verdict

RIGHT = [
    "Yes",
    "yes",
    "YES",
    "Yes.",
    "Yes!",
    " Yes \r\n",
    "**Yes**",
    "**Yes.**",
    "_yes_",
    "`Yes`",
    '"Yes"',
    "'yes'",
    "(Yes)",
    "> Yes",
    "- Yes",
    "1. Yes",
    "```\nyes\n```",
    "Yes, both describe the same disease.",
    "Yes, there is no difference.",
    "Yes: the same finding.",
    "Yes — the same finding.",
    "Yes - the same finding.",
    "Yes (same diagnosis)",
    "Yes they mean the same.",
    "Yes because both name it.",
    "Verdict: yes",
    "**Verdict:** Yes",
    "Verdict = yes",
    "The verdict is yes.",
    "My final verdict: Yes, the same.",
    "Judgment: Yes",
    "Judgement: yes",
    "Final answer: yes",
    "Answer: Yes",
    '{"verdict": "yes"}',
    '{\n  "verdict": "yes"\n}',
    '{"reason": "same organ. same side", "verdict": "yes"}',
    "The two name one disease. Yes.",
    "Do they mean the same? Yes.",
    "The wording differs, the meaning does not.\n\nYes",
]
WRONG = [
    "No",
    "no",
    "NO.",
    "**No**",
    '"No"',
    "[No]",
    "No, the side differs.",
    "No, yes would be too generous.",
    "No; another organ.",
    "No the organ is different.",
    "Verdict: no",
    "**Verdict:** *No*",
    "verdict is no.",
    "Answer: no",
    '{"same": "no", "why": "side"}',
    '```json\n{"verdict": "no"}\n```',
    "They differ in the side.\nNo",
    "Is it the same? No.",
]
UNKNOWN = [
    "",
    " \n",
    "Not yes",
    "Not yes.",
    "The patient's eyes…",
    "The patient's eyes are normal, no finding.",
    "Yesterday",
    "Nothing to compare",
    "No difference in meaning.",
    "No-one can tell",
    "Yes and no",
    "Yes or no",
    "Yes or no?",
    "Yes-or-no question",
    "Yes/No",
    "Yes / No",
    "Verdict: yes/no",
    "Verdict: yes or no",
    "Answer: Yes/No",
    "Yes, no",
    "Yes yes",
    "Yes, but the side differs.",
    "Yes, partially.",
    "Yes, although the side differs.",
    "Verdict: yes, but the side differs",
    "Yes?",
    "Yes…",
    "Maybe yes",
    "I would say yes",
    "It depends.",
    "Yes.\nNo.",
    "No\nYes",
    "Verdict: yes\nVerdict: no",
    "Verdict: unclear",
    "The verdict is not yes",
    "The reference answer is Yes and the answer to check is No.",
    "The reference answer is yes. The other answer is about another organ.",
    "The answer is yes, the candidate says no.",
    "Reference: Yes. Candidate: No.",
    "Reference: No\nAnswer: Yes",
    "Reference answer: yes",
    "In the reference the result is yes.",
    "Its own verdict: yes",
    "Reference: No\nAnswer to check: Yes",
    '"Yes" is not the same as "No".',
    '"Yes" and "No" differ',
    "The finding is no longer visible.",
    "The answer is no longer valid",
    "true",
    "1",
    "Sure!",
]


def test_there_are_enough_of_them() -> None:
    assert len(RIGHT) + len(WRONG) + len(UNKNOWN) >= 100
    assert not set(RIGHT) & set(UNKNOWN)


@pytest.mark.parametrize("reply", RIGHT)
def test_right(reply: str) -> None:
    assert parse_verdict(reply) is Verdict.RIGHT


@pytest.mark.parametrize("reply", WRONG)
def test_wrong(reply: str) -> None:
    assert parse_verdict(reply) is Verdict.WRONG


@pytest.mark.parametrize("reply", UNKNOWN)
def test_unknown(reply: str) -> None:
    assert parse_verdict(reply) is Verdict.UNKNOWN


def test_no_never_reads_as_right() -> None:
    """F20: a reply that opens with no is never right, whatever follows."""
    for tail in [*RIGHT, *UNKNOWN]:
        for opening in ("No, ", "No. ", "**No** ", "No\n", "Not "):
            assert parse_verdict(opening + tail) is not Verdict.RIGHT, opening + tail


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Do they match? No, they differ.", Verdict.WRONG),
        ("Is it the same? Yes, it is.", Verdict.RIGHT),
        ("Yes. No difference in meaning.", Verdict.RIGHT),
        ("No. Yes would need the side as well.", Verdict.WRONG),
        ("No? Yes.", Verdict.UNKNOWN),
        ("Yes? No.", Verdict.UNKNOWN),
        ("Yes.\nNo.", Verdict.UNKNOWN),
        ("???", Verdict.UNKNOWN),
        ("", Verdict.UNKNOWN),
    ],
)
def test_a_question_is_passed_over_and_only_what_leads_may_go_on(reply: str, verdict: Verdict) -> None:
    assert parse_verdict(reply) is verdict
