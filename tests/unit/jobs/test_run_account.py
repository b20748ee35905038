"""Exit 0 means that everybody took part."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mics_ray.config.schema import Config, InternDefaults, ModelConfig, SearchConfig
from mics_ray.core.types import Failure
from mics_ray.io.index.ids import IdSet
from mics_ray.io.rows import Stamp
from mics_ray.io.scan import Scan
from mics_ray.io.shards.store import ShardStore
from mics_ray.jobs.generation import GenerationJob
from mics_ray.jobs.job_end import JobEnd
from mics_ray.jobs.run_account import account_for_run
from mics_ray.jobs.run_folder import RunFolder
from mics_ray.models.participation import Participation
from tests.support.run_folders import row

NAMES = ("ann", "bob", "small", "judge")
ALL = {name: Participation(3, 1) for name in NAMES}


def make_job(folder: Path, *rows: dict[str, Any]) -> GenerationJob:
    config = Config(
        mentors={name: ModelConfig(model=f"{name}-1", base_url="https://a.example/v1") for name in ("ann", "bob")},
        interns={"small": InternDefaults(model="org/small")},
        judge=ModelConfig(model="judge-1", base_url="https://b.example/v1"),
    )
    place = RunFolder(folder)
    place.make_folders()
    if rows:
        ShardStore(place.results).commit(rows)
    return GenerationJob(config, place, Scan("cases", "0" * 64, len(rows), ()), IdSet(), 0, Stamp(0, "d", "1"))


def test_a_run_in_which_everybody_took_part_ends_well(tmp_path: Path) -> None:
    end, summary = account_for_run(make_job(tmp_path, row("a")), JobEnd(0, "", 1.0, ALL), False)
    assert (end.code, end.message, summary["doubts"]) == (0, "", [])
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert list(summary["usage"]) == list(summary["participation"]) == ["ann", "bob", "small", "judge"]


def test_a_judge_that_nobody_had_to_ask_is_no_doubt(tmp_path: Path) -> None:
    """Every answer was the gold answer word for word."""
    attendance = {name: part for name, part in ALL.items() if name != "judge"}
    job = make_job(tmp_path, row("a"))
    assert account_for_run(job, JobEnd(0, "", 1.0, attendance), False)[0].code == 75, "without the setting it is asked"
    matching = replace(job, config=replace(job.config, search=SearchConfig(match_gold=True)))
    end, summary = account_for_run(matching, JobEnd(0, "", 1.0, attendance), False)
    assert (end.code, summary["doubts"]) == (0, [])


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_never_answered_is_named(tmp_path: Path, name: str) -> None:
    attendance = ALL | {name: Participation(0, 7, Failure("bad_request", "400 bad_parameter"))}
    end, summary = account_for_run(make_job(tmp_path, row("a")), JobEnd(0, "", 1.0, attendance), False)
    assert end.code == 75
    assert end.message.startswith(f"{name} (model ")
    assert "never answered; its last call: bad_request: 400 bad_parameter; another run.dir" in end.message
    assert "retry_failed" not in end.message, "no row failed"
    assert summary["finished"] is True, "every case has its row"


def test_what_an_earlier_start_heard_counts(tmp_path: Path) -> None:
    job = make_job(tmp_path, row("a"))
    first = ALL | {"ann": Participation(3, 1, None, Counter(too_long=1))}
    account_for_run(job, JobEnd(75, "stopped", 1.0, first), False)
    later = Participation(0, 2, None, Counter(too_long=1, pictures=1))
    end, summary = account_for_run(job, JobEnd(0, "", 1.0, {"ann": later}), False)
    assert summary["participation"]["ann"]["lost_by_reason"] == {"too_long": 2, "pictures": 1}
    assert summary["participation"]["bob"]["lost_by_reason"] == {}
    assert end.code == 0
    assert (summary["participation"]["ann"]["answered"], summary["participation"]["ann"]["lost"]) == (3, 3)


def test_a_start_with_nothing_to_do_ends_as_the_run_deserves(tmp_path: Path) -> None:
    job = make_job(tmp_path, row("a", outcome="failed"), row("b", outcome="failed"))
    for _ in range(2):
        end, _summary = account_for_run(job, JobEnd(0, "", 0.0, {}), False)
        assert end.code == 75
        assert "all 2 cases that were searched failed" in end.message
        assert end.message.count("retry_failed=true") == 5, "of the four models nobody answered"


def test_a_failed_case_among_others_is_no_reason(tmp_path: Path) -> None:
    job = make_job(tmp_path, row("a", outcome="failed"), row("b"))
    assert account_for_run(job, JobEnd(0, "", 0.0, ALL), False)[0].code == 0


def test_nothing_searched_is_no_success(tmp_path: Path) -> None:
    end, _summary = account_for_run(make_job(tmp_path, row("a", outcome="rejected")), JobEnd(0, "", 0.0, {}), False)
    assert (end.code, "were rejected" in end.message) == (75, True)


def test_a_run_that_ended_early_keeps_its_own_end(tmp_path: Path) -> None:
    end, _summary = account_for_run(make_job(tmp_path, row("a")), JobEnd(74, "disk full", 1.0, {}), False)
    assert (end.code, end.message) == (74, "disk full")
