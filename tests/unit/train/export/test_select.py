from pathlib import Path
from typing import Any

import pytest

from mics_ray.errors import RefusedRun
from tests.support.run_folders import make_run, row
from train.export.config import LeakFilter, SelectionConfig
from train.export.runs import open_runs
from train.export.select import Dropped, Kept, clear_tainted_scores, select_rows

DEPTH = row("depth", ({"ann": "rwww", "bob": "wwww"}, {"ann": "rrww", "bob": "wwww"}), "aa", "depth")
ROWS = [
    row("solved"),
    DEPTH,
    row("flat", ({"ann": "rrww"}, {"ann": "rwww"}), "aa", "depth"),
    row("dead", ({"ann": "wwww"},), "a", "dead_end"),
    row("mixed", chosen="ba"),
    row("first", ({"bob": "rrrr"},), "b"),
]


def found(tmp_path: Path, rows: list[dict[str, Any]] = ROWS, **config: Any) -> dict[str, str]:
    """Case id to ``kept``, or to reason and detail."""
    runs = open_runs(str(make_run(tmp_path / "run", rows)), None)
    judged = list(select_rows(runs, SelectionConfig(**config), lambda case_id: case_id))
    return {
        **{one.row["case_id"]: "kept" for one in judged if isinstance(one, Kept)},
        **{one.case_id: f"{one.reason}: {one.detail}" for one in judged if isinstance(one, Dropped)},
    }


def test_by_default_good_chains_are_kept_and_the_rest_is_named(tmp_path: Path) -> None:
    assert found(tmp_path) == {
        "solved": "kept",
        "depth": "kept",
        "mixed": "kept",
        "first": "kept",
        "flat": "quality: flat",
        "dead": "outcome: dead_end",
    }


@pytest.mark.parametrize(
    ("config", "left", "detail"),
    [
        ({"outcomes": ["solved"]}, "depth", "outcome: depth"),
        ({"min_score": 0.75}, "depth", "score: 0.500, at least 0.75"),
        ({"min_rounds": 2}, "first", "rounds: 1"),
        ({"max_rounds": 1}, "depth", "rounds: 2"),
        ({"mentors": ["ann"]}, "mixed", "mentors: bob"),
    ],
)
def test_each_criterion_leaves_out_with_its_reason(
    tmp_path: Path, config: dict[str, Any], left: str, detail: str
) -> None:
    assert found(tmp_path, **config)[left] == detail


def test_other_qualities_are_kept_where_they_are_asked_for(tmp_path: Path) -> None:
    assert found(tmp_path, quality=["keep", "flat"])["flat"] == "kept"


def test_a_row_without_a_chain_is_left_out(tmp_path: Path) -> None:
    rows = [row("none") | {"steps": []}, row("open") | {"final_answer": ""}]
    assert set(found(tmp_path, rows).values()) == {"no chain: no step or no final answer"}


LATE = row("late", last_step="So a bulla.", gold="Bulla")
EARLY = row("early", gold="Bulla") | {"leaks": [{"step": 1, "kind": "answer"}, {"step": 3, "kind": "caption"}]}


def test_chains_that_give_something_away_are_left_out_by_step_and_kind(tmp_path: Path) -> None:
    assert found(tmp_path, [LATE, EARLY, row("clean")], leaks=LeakFilter.drop) == {
        "late": "leaks: answer in step 3",
        "early": "leaks: answer in step 1, caption in step 3",
        "clean": "kept",
    }


def test_only_scored_steps_count_unless_told_otherwise_and_none_where_leaks_are_kept(tmp_path: Path) -> None:
    assert found(tmp_path, [LATE, EARLY]) == {
        "late": "kept",
        "early": "leaks: answer in step 1",
    }
    assert set(found(tmp_path / "x", [LATE, EARLY], leaks=LeakFilter.keep).values()) == {"kept"}


def test_a_candidate_that_leaks_or_goes_on_from_one_has_no_score_to_train_on() -> None:
    whole = row("one", gold="Bulla", chosen="ab")
    steps = {0: ["So a bulla."], 3: ["Bob sees 2."]}
    nodes = [node | {"steps": steps.get(node["id"], node["steps"])} for node in whole["nodes"]]
    nodes[0] |= {"leaks": ["answer"], "chosen": False}
    nodes += [nodes[1] | {"id": 4, "parent": 1, "round": 2, "chosen": True, "score": 1.0}]
    tree = whole | {"nodes": nodes}
    clear_tainted_scores(tree)
    assert [node["score"] for node in tree["nodes"]] == [None, 0.25, None, None, 1.0]


def judged(step: int, verdict: str) -> list[dict[str, Any]]:
    return [{"step": step, "verdict": verdict, "reply": "Perhaps.", "failure": None}]


def test_the_judge_s_word_counts_as_words_do_and_an_open_one_is_not_clean(tmp_path: Path) -> None:
    rows = [
        row(name) | {"leak_checks": judged(1, verdict)}
        for name, verdict in zip("abc", ("leak", "unknown", "clean"), strict=True)
    ]
    closing = row("d") | {"leak_checks": judged(3, "unknown")}
    left = {"a": "leaks: judge: leak in step 1", "b": "leaks: judge: unknown in step 1", "c": "kept"}
    assert found(tmp_path / "x", [*rows, closing]) == {**left, "d": "kept"}
    assert found(tmp_path / "y", [*rows, closing], leaks=LeakFilter.drop) == {
        **left,
        "d": "leaks: judge: unknown in step 3",
    }
    assert set(found(tmp_path / "z", [*rows, closing], leaks=LeakFilter.keep).values()) == {"kept"}


@pytest.mark.parametrize(("verdict", "score"), [("leak", None), ("unknown", None), ("clean", 0.25)])
def test_a_candidate_that_the_judge_does_not_call_clean_has_no_score_to_train_on(
    verdict: str, score: float | None
) -> None:
    one = row("one")
    one["nodes"][1] |= {"leak_checks": judged(1, verdict)}
    clear_tainted_scores(one)
    assert one["nodes"][1]["score"] == score


def test_an_unknown_mentor_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RefusedRun, match="no row has a mentor 'anne'; did you mean 'ann'"):
        found(tmp_path, mentors=["anne"])


def test_an_id_without_a_patient_is_left_out(tmp_path: Path) -> None:
    runs = open_runs(str(make_run(tmp_path / "run", [row()])), None)
    (one,) = select_rows(runs, SelectionConfig(), lambda case_id: None)
    assert isinstance(one, Dropped)
    assert (one.case_id, one.reason) == ("case-1", "patient")


def test_the_votes_are_not_read(tmp_path: Path) -> None:
    runs = open_runs(str(make_run(tmp_path / "run", [row()])), None)
    (one,) = select_rows(runs, SelectionConfig(), lambda case_id: case_id)
    assert isinstance(one, Kept)
    assert set(one.row["nodes"][0]) == {"attempt", "round", "mentor", "steps", "score", "chosen"}
