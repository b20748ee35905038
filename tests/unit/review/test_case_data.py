"""A case as the page shows it."""

import json
from typing import Any

import pytest

from mics_ray.review.data.case_data import describe_case, dump_case, find_score, is_flagged
from mics_ray.review.data.case_list import COLUMNS, arrange_columns, describe_entry
from tests.support.run_folders import row

TURNED = "a\u202eb\x1b[2J\r\n\tc\u2028"


def collect_texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in collect_texts(item)]
    return [text for item in value for text in collect_texts(item)] if isinstance(value, list) else []


def test_votes_are_counted_and_candidates_placed() -> None:
    found = describe_case(row(rounds=({"ann": "rr?w", "bob": "????"},), chosen="a"))
    (attempt,) = found["attempts_drawn"]
    ann, bob = attempt["nodes"]
    assert (ann["right"], ann["known"], ann["unknown"], ann["score"]) == (2, 3, 1, 2 / 3)
    assert (bob["known"], bob["unknown"], bob["score"]) == (0, 4, None)
    assert (attempt["columns"], attempt["rows"]) == (2, 1)
    assert [node["column"] for node in attempt["nodes"]] == [0, 1]


def test_a_candidate_with_unasked_votes_has_no_score() -> None:
    found = describe_case(row(rounds=({"ann": "rrrw", "bob": "rw..", "cy": "?w.."},), chosen="a"))
    _, bob, cy = found["attempts_drawn"][0]["nodes"]
    assert (bob["right"], bob["known"], bob["unknown"], bob["unasked"], bob["score"]) == (1, 2, 0, 2, None)
    assert (cy["right"], cy["known"], cy["unknown"], cy["unasked"], cy["score"]) == (0, 1, 1, 2, None)


def test_attempts_are_drawn_one_by_one() -> None:
    one = row()
    again = [node | {"attempt": 2, "id": node["id"] + 4} for node in one["nodes"]]
    again = [node | {"parent": None if node["parent"] is None else node["parent"] + 4} for node in again]
    found = describe_case(one | {"nodes": [*one["nodes"], *again], "attempts": 2})["attempts_drawn"]
    assert [attempt["number"] for attempt in found] == [1, 2]
    assert [node["row"] for node in found[1]["nodes"]] == [0, 0, 1, 1]


def test_every_text_of_a_model_or_a_file_is_harmless_but_the_id_that_links_need() -> None:
    one = row(TURNED, question=TURNED, last_step=TURNED, gold=TURNED, context=TURNED) | {"reason": TURNED}
    one["nodes"][0] |= {"failure": f"timeout: {TURNED}", "mentor": TURNED, "rest": TURNED}
    one["nodes"][0]["votes"][0] |= {"text": TURNED, "judge_reply": TURNED, "intern": TURNED, "answer": TURNED}
    found = describe_case(one, [])
    assert found.pop("id") == TURNED
    texts = collect_texts(found)
    assert "a\ufffdb\ufffd[2J\n    c\ufffd" in texts
    assert not [text for text in texts if set(text) & set("\u202e\x1b\r\t\u2028")]


def test_the_score_of_a_case_is_its_last_chosen_candidates() -> None:
    assert find_score(row()) == 1.0
    assert find_score(row(chosen="ab", outcome="depth")) == 0.5
    assert find_score(row() | {"steps": []}) is None


def test_an_entry_of_the_list_is_short_and_by_columns() -> None:
    one = row("x\ny", question="long " * 100) | {
        "leak_checks": [{"step": 1, "verdict": "leak", "reply": "", "failure": None}]
    }
    entry = describe_entry(one)
    assert tuple(entry) == COLUMNS
    assert (entry["id"], entry["name"], entry["flagged"], len(entry["question"])) == ("x\ny", "x\ufffdy", True, 100)
    assert is_flagged(row()) is False
    assert describe_entry(row())["name"] == ""
    assert arrange_columns([entry, describe_entry(row())])["id"] == ["x\ny", "case-1"]
    assert arrange_columns([]) == {}


@pytest.mark.parametrize(
    "text", ['plain \\ "text" ü', "C:\\temp", "a\tb", "a\r\nb", "a\x07b", "\x7f", "\u2028", "\u202e"]
)
@pytest.mark.parametrize("place", ["question", "vote", "note", "id"])
def test_a_case_as_json_is_the_described_one(text: str, place: str) -> None:
    one = row("case-1" if place != "id" else text, question=text if place == "question" else "What?")
    one["nodes"][0]["votes"][0]["text"] = text if place == "vote" else "It is."
    notes = [{"label": "age", "text": text}] if place == "note" else []
    assert json.loads(dump_case(one, notes=notes)) == describe_case(one, notes=notes)
