"""A case with several right answers: what is asked, what gives it away, what its row and an evaluation hold."""

import json
from dataclasses import replace
from pathlib import Path

from eval.benchmarks.base import Source
from eval.benchmarks.cases import read_case_items
from eval.config import BenchmarkConfig
from mics_ray.core.leaks import Leak, LeakGuard
from mics_ray.core.leaks.telling_context import context_names_answer
from mics_ray.core.types import Case
from mics_ray.io.records import Rejection
from mics_ray.io.rows import Stamp, rejected_row
from mics_ray.models.prompts import fill_intern_prompt, fill_judge_prompt, fill_leak_prompt, fill_mentor_prompt
from tests.support.searched_samples import prompts

CASE = Case("c", "What is shown?", "Pneumothorax", others=("Collapsed lung",))


def test_judge_and_mentors_read_every_gold_answer_and_interns_none() -> None:
    texts = [fill(prompts(), CASE, "x") for fill in (fill_judge_prompt, fill_leak_prompt)]
    for text in (*texts, fill_mentor_prompt(prompts(), CASE, ())):
        assert "Pneumothorax or Collapsed lung" in text
    assert "ollapsed" not in fill_intern_prompt(prompts(), CASE, ())


def test_each_gold_answer_gives_itself_away_and_one_of_them_in_the_context_names_it() -> None:
    guard = LeakGuard(CASE)
    for said in ("This is a pneumothorax.", "This is a collapsed lung."):
        assert guard.find_in_step(said) == (Leak.ANSWER,)
    assert not guard.find_in_step("The heart is large.")
    assert context_names_answer(replace(CASE, context="Complaint: Collapsed lung?"))
    assert not context_names_answer(replace(CASE, context="Complaint: Cough?"))


def test_the_row_of_a_rejected_record_keeps_every_gold_answer() -> None:
    row = rejected_row(Rejection(1, "c", "why", "Q?", "A", (), ("B",)), Stamp(0, "", ""))
    assert (row["answer"], row["other_answers"]) == ("A", ["B"])


def test_an_evaluation_of_cases_has_every_gold_answer(tmp_path: Path) -> None:
    record = {"id": "c", "question": "Q?", "answers": ["A", "B"]}
    (tmp_path / "test.jsonl").write_text(json.dumps(record))
    (item,) = read_case_items(Source("cases", BenchmarkConfig(split="test"), tmp_path, tmp_path))
    assert item.golds == ("A", "B")
