"""Exports of reviewed runs: accepted chains alone, labels of people, accepted chains against rejected ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from mics_ray.errors import RefusedRun
from tests.support.reviews import review
from tests.support.run_folders import job, make_run, row
from train.export.export import write_export


def case(name: str, end: str = "So it is that.", **more: Any) -> dict[str, Any]:
    own = {"question": f"What is shown in {name}?", "images": (f"{name}.png",), "last_step": end}
    return row(name, **(own | more))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


FIRST = [case(name) for name in "abcde"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """a: accepted by both; b: accepted and rejected; c: rejected; d: its steps alone; e: nothing."""
    folder = make_run(tmp_path / "first", FIRST)
    review(folder, "ann", FIRST, {"a": "rrra", "b": "rwra", "c": "ruwx", "d": "rr.."})
    review(folder, "bob", FIRST, {"a": "rwra", "b": "rwux"})
    return folder


def test_accepted_chains_are_those_that_some_accept_and_none_rejects(tmp_path: Path, run: Path) -> None:
    found = write_export(job(run, tmp_path / "x", "select.review=accepted"))
    assert [record["id"] for record in lines(tmp_path / "x/train.jsonl")] == ["a"]
    assert found["dropped"] == {"review": 4}
    left = json.loads((tmp_path / "x/report.json").read_text())["dropped_ids"]["review"]
    assert {one["id"]: one["detail"] for one in left} == {
        "b": "rejected by 1 of 2", "c": "rejected by 1 of 1", "d": "not reviewed", "e": "not reviewed",
    }  # fmt: skip
    # Without it nothing is left out, and an export with the new files is replaced like any other.
    assert write_export(job(run, tmp_path / "x"))["kept"] == 5


def test_a_run_without_an_accepted_chain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedRun, match="review 5"):
        write_export(job(make_run(tmp_path / "bare", FIRST), tmp_path / "x", "select.review=accepted"))
    assert not (tmp_path / "x").exists()


def test_marks_of_another_chain_say_nothing(tmp_path: Path, run: Path) -> None:
    moved = make_run(tmp_path / "moved", [case(name, "It ends otherwise.") for name in "abcde"])
    (run / "reviews").rename(moved / "reviews")
    with pytest.raises(RefusedRun, match="review 5"):
        write_export(job(moved, tmp_path / "x", "select.review=accepted"))
    write_export(job(moved, tmp_path / "y"))
    assert lines(tmp_path / "y/rewards_human.jsonl") == []


def test_labels_of_people_stand_beside_the_scores(tmp_path: Path, run: Path) -> None:
    write_export(job(run, tmp_path / "x"))
    found = {one["id"]: one for one in lines(tmp_path / "x/rewards_human.jsonl")}
    # a: its second step is called right by one and wrong by one; c: its second step is left open.
    assert {name: one["labels"] for name, one in found.items()} == {
        "a": [True], "b": [True, False, True], "c": [True], "d": [True, True],
    }  # fmt: skip
    assert found["b"]["scores"] == [0.5, 1.0, None]
    assert [len(one["completions"]) for one in found.values()] == [1, 3, 1, 2]
    assert found["b"]["completions"][0].endswith("Ann sees 1.")
    assert (found["b"]["right"], found["b"]["wrong"], found["b"]["unsure"]) == ([2, 0, 1], [0, 2, 0], [0, 0, 1])
    assert (found["b"]["accepted"], found["b"]["rejected"]) == (1, 1)
    assert (tmp_path / "x" / found["a"]["images"][0]).is_file()
    bare = make_run(tmp_path / "bare", FIRST)
    assert "rewards_human.jsonl" not in write_export(job(bare, tmp_path / "y"))["files"]


def test_an_accepted_chain_stands_against_a_rejected_one_of_the_same_case(tmp_path: Path, run: Path) -> None:
    second = [case(name, f"Otherwise {name}.", chosen="ab") for name in "abc"]
    other = make_run(tmp_path / "second", second)
    review(other, "ann", second, {"a": "wwwx", "b": "rrra", "c": "rrra"})
    write_export(job([run, other], tmp_path / "x"))
    pairs = lines(tmp_path / "x/pairs/reviewed.jsonl")
    # a: the first run's against the second's; c the other way round; b has one that is accepted and rejected.
    assert [(one["id"].split("#")[0], one["run_rejected"]) for one in pairs] == [("a", "second"), ("c", "first")]
    (first, last) = pairs
    assert "So it is that." in first["chosen"][0]["content"][0]["text"]
    assert "Otherwise a." in first["rejected"][0]["content"][0]["text"]
    assert "Otherwise c." in last["chosen"][0]["content"][0]["text"]
    # The one that people accept is the sample, though the other scores higher.
    assert (last["score_chosen"], last["score_rejected"]) == (0.5, 1.0)
    records = {one["id"]: one["conversations"][1]["value"] for one in lines(tmp_path / "x/train.jsonl")}
    assert "Otherwise c." in records["c"]
    assert "So it is that." in records["a"]
    mpo = lines(tmp_path / "x/pairs/reviewed_mpo.jsonl")
    assert [one["chosen"] for one in mpo] == [one["chosen"][0]["content"][0]["text"] for one in pairs]
    assert (tmp_path / "x/meta/reviewed_mpo.json").is_file()
    # The rejected ones are there for pairs where accepted chains alone are exported.
    write_export(job([run, other], tmp_path / "y", "select.review=accepted"))
    assert len(lines(tmp_path / "y/pairs/reviewed.jsonl")) == 2
