from pathlib import Path

import pytest

from mics_ray.io.results.summary import summarise_results
from mics_ray.io.shards.store import ShardStore
from tests.support.run_folders import row

ENDS = ("solved", "dead_end")


def test_each_mentors_share_of_the_chosen_steps_is_told(tmp_path: Path) -> None:
    ShardStore(tmp_path).commit([row("a", chosen="aa"), row("b", chosen="ab"), row("c", outcome="dead_end")])
    found = summarise_results(tmp_path)
    assert found["chosen_steps"] == {"ann": 3, "bob": 1}
    assert found["chosen_share"] == {"ann": pytest.approx(0.75), "bob": pytest.approx(0.25)}
    assert found["outcomes"] == {"solved": 2, "dead_end": 1}


def test_chains_with_leaks_are_counted_by_kind(tmp_path: Path) -> None:
    both, once = (row(name, last_step=step, gold="Bulla") for name, step in (("a", "Answer: bulla"), ("b", "A bulla.")))
    lost = row("c", outcome="dead_end", last_step="A bulla.", gold="Bulla")
    ShardStore(tmp_path).commit([both, once, lost, row("d")])
    found = summarise_results(tmp_path)["leaks"]
    assert found == {"any": 2, "answer": 2, "caption": 0, "final_answer": 1, "judge": 0, "judge_unknown": 0}


def test_what_the_judge_says_of_chains_is_counted_beside_what_the_words_show(tmp_path: Path) -> None:
    def judged(name: str, *verdicts: str, **more: str) -> dict[str, object]:
        checks = [
            {"step": step, "verdict": verdict, "reply": "", "failure": None} for step, verdict in enumerate(verdicts, 1)
        ]
        return row(name, gold="Bulla", **more) | {"leak_checks": checks}

    rows = [
        judged("a", "clean", "leak", "unknown"),
        judged("b", "clean", "unknown"),
        judged("c", "clean", "leak", last_step="A bulla."),
        judged("d", "clean"),
        judged("e", "leak", outcome="dead_end"),
    ]
    ShardStore(tmp_path).commit(rows)
    found = summarise_results(tmp_path)["leaks"]
    assert found == {"any": 2, "answer": 1, "caption": 0, "final_answer": 0, "judge": 2, "judge_unknown": 2}


def test_cases_whose_complaint_names_the_diagnosis_are_counted_whatever_their_outcome(tmp_path: Path) -> None:
    named = [
        row(name, gold="Bulla", context="Complaint: Bulla?", outcome=end) for name, end in zip("ab", ENDS, strict=True)
    ]
    ShardStore(tmp_path).commit([*named, row("c", gold="Bulla", context="Complaint: Cough"), row("d")])
    assert summarise_results(tmp_path)["context_names_answer"] == 2


def test_an_empty_folder_has_an_account_too(tmp_path: Path) -> None:
    found = summarise_results(tmp_path)
    assert (found["cases"], found["chosen_share"], found["cost_usd_per_kept_chain"]) == (0, {}, None)


def test_a_kept_chain_costs_what_was_spent_for_all_of_them(tmp_path: Path) -> None:
    ShardStore(tmp_path).commit([row("a", chosen="aa"), row("b", chosen="ab"), row("c", outcome="dead_end")])
    found = summarise_results(tmp_path, spent_usd=5.0)
    assert (found["spent_usd"], found["cost_usd_per_kept_chain"]) == (5.0, 2.5)
