from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from mics_ray.core.search import SearchResult
from mics_ray.core.tree import Node, SearchTree
from mics_ray.core.types import (
    Case,
    Continuation,
    Failure,
    LeakCheck,
    LeakVerdict,
    Note,
    Outcome,
    Quality,
    Usage,
    Verdict,
    Vote,
)
from mics_ray.io.records import Rejection
from mics_ray.io.row_schema import SCHEMA, SCHEMA_VERSION
from mics_ray.io.rows import USAGE_FIELDS, Stamp, add_usage, read_usage, rejected_row, result_row
from mics_ray.io.shards.kind import CASES

STAMP = Stamp(7, "digest", "1.0")
CASE = Case("c1", "Q?", "gold", ("a.png",))
RIGHT = Vote("i", 0.3, "text", "gold", Verdict.RIGHT, "yes")
WRONG = Vote("i", 1.2, "text", "other", Verdict.WRONG, "no")
LOST = Vote("i", 1.2, failure=Failure("timeout", "after 300 s"))


def node(number: int, parent: int | None, mentor: str, *votes: Vote, **more: Any) -> Node:
    depth = 1 if parent is None else 2
    rest = Continuation((f"later {number}",), "end")
    return Node(number, parent, depth, mentor, **({"steps": (f"s{number}",), "rest": rest} | more), votes=votes)


DEAD = SearchTree("c1", 1, (node(0, None, "a", RIGHT, WRONG), node(1, None, "b", WRONG), node(2, 0, "a", WRONG)))
GOOD = SearchTree(
    "c1",
    2,
    (
        node(0, None, "a", WRONG, LOST),
        node(1, None, "b", RIGHT, WRONG, steps=("one", "two")),
        node(2, 1, "a", steps=(), rest=Continuation((), ""), failure=Failure("http", "503")),
        node(3, 1, "b", RIGHT, RIGHT),
    ),
)
CHAIN = Continuation(("one", "two", "s3", "later 3"), "end")
SOLVED = SearchResult(CASE, Outcome.SOLVED, "why", Quality.KEEP, CHAIN, 3, (DEAD, GOOD))


def test_the_row_of_a_solved_case() -> None:
    row = result_row(SOLVED, {"m": Usage(3, 1, 10, 20, 0.5, 6, 4)}, 1.5, STAMP)
    nodes = row.pop("nodes")
    assert row == {
        "case_id": "c1",
        "question": "Q?",
        "answer": "gold",
        "other_answers": [],
        "context": "",
        "context_names_answer": False,
        "images": ["a.png"],
        "outcome": "solved",
        "reason": "why",
        "quality": "keep",
        "steps": ["one", "two", "s3", "later 3"],
        "final_answer": "end",
        "reasoning": "### Step 1: one\n\n### Step 2: two\n\n### Step 3: s3\n\n### Step 4: later 3\n\n"
        "### The final answer is: end",
        "leaks": [],
        "leak_checks": [],
        "rounds": 2,
        "mentors": ["b", "b"],
        "scores": [{"mentor": "a", "scores": [0.0, None]}, {"mentor": "b", "scores": [0.5, 1.0]}],
        "usage": [
            {
                "model": "m",
                "calls": 3,
                "cached_calls": 1,
                "prompt_tokens": 10,
                "completion_tokens": 20,
                "cached_tokens": 6,
                "reasoning_tokens": 4,
                "cost_usd": 0.5,
            }
        ],
        "attempts": 2,
        "seconds": 1.5,
        "seed": 7,
        "config_digest": "digest",
        "code_version": "1.0",
        "schema_version": SCHEMA_VERSION,
    }
    assert [(n["id"], n["parent"], n["attempt"], n["round"], n["mentor"], n["chosen"]) for n in nodes] == [
        (0, None, 1, 1, "a", True),
        (1, None, 1, 1, "b", False),
        (2, 0, 1, 2, "a", False),
        (3, None, 2, 1, "a", False),
        (4, None, 2, 1, "b", True),
        (5, 4, 2, 2, "a", False),
        (6, 4, 2, 2, "b", True),
    ]
    assert [n["score"] for n in nodes] == [0.5, 0.0, 0.0, 0.0, 0.5, None, 1.0]


def test_all_evidence_is_in_the_nodes() -> None:
    nodes = result_row(SOLVED, {}, 0, STAMP)["nodes"]
    assert (nodes[4]["step"], nodes[4]["steps"]) == ("one\n\ntwo", ["one", "two"])
    assert nodes[4]["rest"] == "### Step 3: later 1\n\n### The final answer is: end"
    assert nodes[6]["rest"] == "### Step 4: later 3\n\n### The final answer is: end"
    assert (nodes[5]["failure"], nodes[5]["rest"], nodes[5]["votes"]) == ("http: 503", "", [])
    assert nodes[6]["failure"] is None
    right, lost = nodes[4]["votes"][0], nodes[3]["votes"][1]
    assert right == {
        "intern": "i",
        "temperature": 0.3,
        "text": "text",
        "answer": "gold",
        "verdict": "right",
        "judge_reply": "yes",
        "failure": None,
    }
    assert (lost["verdict"], lost["failure"]) == ("unknown", "timeout: after 300 s")


def test_leaks_are_flagged_in_the_chain_and_in_every_candidate() -> None:
    bulla = Case("c1", "What is it?", "Bulla", (), (Note("Findings", "a short caption"),))
    rest = Continuation(("The caption… as the caption says.", "Answer: bulla"), "bulla")
    tree = SearchTree(
        "c1",
        1,
        (
            node(0, None, "a", WRONG, steps=("A bulla.", "No, a bulla, and the report says so.")),
            node(1, None, "b", RIGHT, steps=("It is dark.", "A bulla?"), rest=rest),
        ),
    )
    chain = Continuation((*tree.nodes[1].steps, *rest.steps), "bulla")
    row = result_row(SearchResult(bulla, Outcome.SOLVED, "why", Quality.KEEP, chain, 1, (tree,)), {}, 0, STAMP)
    assert [node["leaks"] for node in row["nodes"]] == [["answer", "caption"], ["answer"]]
    assert row["leaks"] == [
        {"step": 2, "kind": "answer"},
        {"step": 3, "kind": "caption"},
        {"step": 4, "kind": "answer"},
        {"step": 4, "kind": "final_answer"},
    ]
    assert CASES.to_table([row]).to_pylist() == [row]


def test_what_the_judge_said_stands_beside_the_words_in_the_chain_and_in_every_candidate() -> None:
    lost = LeakCheck(LeakVerdict.UNKNOWN, "Perhaps.", Failure("no_verdict", "neither"))
    checks = {"one": LeakCheck(LeakVerdict.CLEAN, "No"), "s3": LeakCheck(LeakVerdict.LEAK, "Yes"), "later 3": lost}
    row = result_row(replace(SOLVED, leak_checks=checks), {}, 0, STAMP)
    clean = {"step": 1, "verdict": "clean", "reply": "No", "failure": None}
    leak = {"verdict": "leak", "reply": "Yes", "failure": None}
    unknown = {"step": 4, "verdict": "unknown", "reply": "Perhaps.", "failure": "no_verdict: neither"}
    assert row["leak_checks"] == [clean, {"step": 3} | leak, unknown]
    assert [node["leak_checks"] for node in row["nodes"]] == [[], [], [], [], [clean], [], [{"step": 1} | leak]]
    assert CASES.to_table([row]).to_pylist() == [row]


def test_a_case_without_a_chain_keeps_its_tree() -> None:
    dead = SearchResult(CASE, Outcome.DEAD_END, "why", Quality.FLAT, None, 0, (DEAD,))
    row = result_row(dead, {}, 0, STAMP)
    assert (row["outcome"], row["quality"], row["steps"], row["final_answer"], row["reasoning"]) == (
        *("dead_end", "flat"),
        *([], "", ""),
    )
    assert (row["rounds"], row["mentors"], len(row["nodes"]), row["attempts"]) == (2, ["a"], 3, 1)


def test_the_row_of_a_rejected_record() -> None:
    row = rejected_row(Rejection(3, "line-3", "x.jsonl, line 3: no id", "Q", "A", ("p.png",)), STAMP)
    assert (row["case_id"], row["outcome"], row["reason"]) == ("line-3", "rejected", "x.jsonl, line 3: no id")
    assert (row["question"], row["answer"], row["images"], row["quality"]) == ("Q", "A", ["p.png"], "zero")
    assert (row["attempts"], row["nodes"], row["leaks"], row["leak_checks"], row["usage"]) == (0, [], [], [], [])
    assert CASES.to_table([row]).to_pylist() == [row]


def test_every_string_is_storable() -> None:
    bad = Vote("i", 0.3, "a\ud800", "b\0", Verdict.RIGHT, "c\udfff")
    tree = SearchTree("c", 1, (node(0, None, "a", bad, steps=("d\0",)),))
    result = SearchResult(CASE, Outcome.SOLVED, "e\0", Quality.KEEP, Continuation(("d\0",), "f\ud800"), 0, (tree,))
    row = result_row(result, {}, 0, STAMP)
    assert (row["reason"], row["final_answer"], row["steps"], row["nodes"][0]["step"]) == ("e␀", "f�", ["d␀"], "d␀")
    assert [row["nodes"][0]["votes"][0][name] for name in ("text", "answer", "judge_reply")] == ["a�", "b␀", "c�"]
    assert CASES.to_table([row]).to_pylist() == [row]


def test_a_table_has_the_schema_and_refuses_other_columns() -> None:
    row = result_row(SOLVED, {}, 0, STAMP)
    assert CASES.to_table([]).schema == CASES.to_table([row, row]).schema == SCHEMA
    assert list(row) == SCHEMA.names
    with pytest.raises(ValueError, match="extra"):
        CASES.to_table([row | {"extra": 1}])
    with pytest.raises(ValueError, match="seconds"):
        CASES.to_table([{name: value for name, value in row.items() if name != "seconds"}])
    with pytest.raises(pa.ArrowInvalid):
        CASES.to_table([row | {"rounds": "two"}])


def test_usage_by_model_comes_back_and_adds_up() -> None:
    used = {"m": Usage(3, 1, 10, 20, 0.5, 6, 4), "n": Usage(1)}
    row = result_row(SOLVED, used, 0, STAMP)
    assert read_usage(row) == used
    total = {"m": Usage(1, 0, 1, 1, 0.5, 1, 1)}
    add_usage(total, row)
    assert total == {"m": Usage(4, 1, 11, 21, 1.0, 7, 5), "n": Usage(1)}


def test_the_row_keeps_all_that_is_counted_of_a_call() -> None:
    assert {field.name for field in SCHEMA.field("usage").type.value_type} == {"model", *USAGE_FIELDS}


def test_a_rejected_row_counts_nothing() -> None:
    made = rejected_row(Rejection(3, "bad", "x.jsonl, line 3: no id", "Q", "A", ("p.png",)), STAMP)
    assert (made["outcome"], made["reason"], made["quality"]) == ("rejected", "x.jsonl, line 3: no id", "zero")
    assert (made["seconds"], made["attempts"], made["rounds"], made["usage"]) == (0.0, 0, 0, [])
    assert (made["question"], made["answer"], made["images"], made["nodes"]) == ("Q", "A", ["p.png"], [])
    assert (made["steps"], made["final_answer"], made["reasoning"], made["leaks"]) == ([], "", "", [])
