from pathlib import Path

import pytest

from eval.config import EvaluateJob
from eval.prepare import check_job
from eval.sets import choose_set, find_set_problems
from mics_ray.config.compose import compose_job
from mics_ray.errors import RefusedRun


def job(*more: str) -> EvaluateJob:
    return compose_job("evaluate", EvaluateJob, ["judge=local", "model=x", "eval.dir=x", *more])


def test_a_set_is_the_split_of_the_benchmarks_that_have_it() -> None:
    chosen = choose_set(job("eval=pmc_vqa,slake", "eval.set=test_2"))
    assert {name: one.split for name, one in chosen.eval.benchmarks.items()} == {"pmc_vqa": "test_2", "slake": "test"}
    assert choose_set(job("eval=mmmu_med", "eval.set=test")).eval.benchmarks["mmmu_med"].split == "test"
    plain = job("eval=pmc_vqa")
    assert choose_set(plain) is plain
    assert plain.eval.benchmarks["pmc_vqa"].split == "test_clean"


def test_a_set_that_no_chosen_benchmark_has_is_refused(tmp_path: Path) -> None:
    told = "eval.set: no chosen benchmark has a set 'test_3'; there is pmc_vqa: test_clean, test, test_2"
    assert find_set_problems(job("eval=pmc_vqa,slake", "eval.set=test_3")) == [told]
    assert find_set_problems(job("eval=slake", "eval.set=test_2"))[0].endswith("there is none to choose")
    with pytest.raises(RefusedRun, match=r"eval\.set: no chosen benchmark"):
        check_job(job("eval=slake", "eval.set=test_2"))
