"""The paper's figures stand beside ours only where both count the same questions."""

from typing import Any

import pytest

from eval.reports.paper import account_for_paper, is_whole, render_paper
from eval.reports.statistics import Mark
from mics_ray.core.types import Verdict

FIGURES = {"InternVL3-2B": 38.4, "Chiron-o1-2B": 42.1}


def marks(kind: str, verdicts: str, topic: str = "") -> list[Mark]:
    """r right, l right without the form, w wrong, u lost; each its own picture."""
    known = {"r": Verdict.RIGHT, "l": Verdict.RIGHT, "w": Verdict.WRONG, "u": Verdict.UNKNOWN}
    return [
        Mark(
            f"b/{kind}{n}",
            "b",
            kind,
            "",
            topic,
            f"b/{kind}{n}",
            one != "u",
            one != "u",
            known[one],
            kept_form=one != "l",
        )
        for n, one in enumerate(verdicts)
    ]


def account(found: list[Mark], ours: str = "test", **counted: Any) -> dict[str, Any]:
    whole = {"split": "test", "kind": None, "topic": None, "items": len(found), "note": ""}
    return account_for_paper(found, {"split": ours, "paper": FIGURES, "paper_set": whole | counted})


def test_the_same_questions_of_one_kind_are_counted_alone_with_the_others_named_beside() -> None:
    found = account([*marks("closed", "rlw"), *marks("open", "rwwww")], kind="closed", items=3)
    assert (found["why_not"], is_whole(found)) == ("", False)
    assert (found["ours"]["items"], found["ours"]["accuracy"], found["ours"]["strict"]) == (3, 2 / 3, 1 / 3)
    text = "\n".join(render_paper({"slake": {"paper": found}}))
    line = next(line for line in text.splitlines() if line.startswith("| slake"))
    assert line.startswith("| slake | test | closed 3 | 66.7 | ")
    assert line.endswith(" | 33.3 | 38.4 | 42.1 | open 20.0 of 5, closed 66.7 of 3 |")


def test_the_same_questions_of_one_topic_and_what_was_lost_of_them() -> None:
    found = account([*marks("choice", "rwu", "Reasoning"), *marks("open", "r", "Other")], topic="Reasoning", items=3)
    text = "\n".join(render_paper({"x": {"paper": found}}))
    assert "| x | test | Reasoning 2 (1 lost) | 50.0 |" in text
    assert "choice 50.0 of 2 (1 lost), open 100.0 of 1" in text


@pytest.mark.parametrize(
    ("ours", "counted", "told"),
    [
        ("validation", {"items": 1752}, "it counts the 1,752 questions of test, these are 4 of validation"),
        ("validation", {}, "it counts the 4 questions of test, these are 4 of validation"),  # as many, and others
        ("test", {"items": 5}, "it counts the 5 questions of test, these are 4 of test"),  # a sample
        (
            "test",
            {"kind": "closed", "items": 272},
            "it counts the 272 closed questions of test, these are 3 closed of test",
        ),
        (
            "test_clean",
            {"split": "test_2", "items": 9},
            "it counts the 9 questions of test_2, these are 4 of test_clean",
        ),
    ],
)
def test_other_questions_have_no_figure_beside_them_and_the_report_says_why(
    ours: str, counted: dict[str, Any], told: str
) -> None:
    found = account([*marks("closed", "rrw"), *marks("open", "r")], ours, **counted)
    assert (found["ours"], found["why_not"], is_whole(found)) == (None, told, False)
    text = "\n".join(render_paper({"b": {"paper": found}}))
    assert f"- b: {told}" in text
    assert "38.4" not in text


def test_figures_without_their_questions_stand_beside_nothing() -> None:
    found = account_for_paper(marks("open", "rw"), {"split": "test", "paper": FIGURES})
    assert "`paper_set`" in found["why_not"]
    assert found["ours"] is None
    assert render_paper({"b": {"paper": account_for_paper(marks("open", "rw"), {})}}) == []


def test_what_is_not_certain_is_said_and_a_whole_set_has_its_mark_in_the_chart() -> None:
    found = account(marks("choice", "rw"), note="probably version 2")
    assert is_whole(found)
    assert "b: probably version 2." in render_paper({"b": {"paper": found}})
