from typing import Any

import pytest

from eval.rows import ANSWERS, SCHEMA, SCHEMA_VERSION, answer_row
from mics_ray.core.types import Usage
from mics_ray.io.rows import Stamp
from tests.support.evaluations import answered

STAMP = Stamp(7, "digest", "1.0")


def row(verdict: str, **more: Any) -> dict[str, Any]:
    item = {"modality": "CT", "topic": "Size"}
    return answer_row(answered("slake", 3, verdict, **item), "the prompt", Usage(2, 0, 30, 40, 0.5), 1.5, STAMP, **more)


def test_the_row_of_an_answered_item() -> None:
    assert row("r", bert_score=0.5) == {
        "item_id": "slake/3",
        "benchmark": "slake",
        "kind": "open",
        "topic": "Size",
        "modality": "CT",
        "cluster": "1.png",
        "question": "Question 3?",
        "prompt": "the prompt",
        "images": ["1.png"],
        "gold": "gold 3",
        "output": "### The final answer is: gold 3",
        "parsed": "gold 3",
        "kept_form": True,
        "unread": None,
        "lenient": "right",
        "strict": "right",
        "judge_reply": "yes",
        "failure": None,
        "bert_score": 0.5,
        "mics_score": None,
        "mics_chain": None,
        "mics_leaks": None,
        "prompt_tokens": 30,
        "completion_tokens": 40,
        "seconds": 1.5,
        "seed": 7,
        "config_digest": "digest",
        "code_version": "1.0",
        "schema_version": SCHEMA_VERSION,
    }


def test_a_lost_call_is_unknown_with_its_reason() -> None:
    found = row("u")
    assert (found["lenient"], found["failure"], found["output"], found["parsed"]) == (
        *("unknown", "timeout: after 300 s"),
        *("", ""),
    )


def test_an_item_without_picture_is_its_own_cluster_and_every_text_can_be_stored() -> None:
    alone = answered("b", 5, "w", cluster="", images=(), question="bad \ud800 \0")
    found = answer_row(alone, "p", Usage(), 0.0, STAMP)
    assert (found["cluster"], found["question"]) == ("5", "bad \ufffd \u2400")
    assert ANSWERS.to_table([found, row("r")]).schema == SCHEMA
    with pytest.raises(ValueError, match="seconds"):
        ANSWERS.to_table([{name: value for name, value in found.items() if name != "seconds"}])
