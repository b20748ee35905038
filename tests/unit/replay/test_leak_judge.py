"""Whole runs with `leaks.judge=true`: what is asked, paid and told, and that a replay gives the same rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from mics_ray.assemble.locations import JUDGE
from mics_ray.core.types import Usage
from mics_ray.io.results.summary import summarise_results
from mics_ray.io.rows import read_usage
from mics_ray.io.shards.reading import iter_rows
from mics_ray.jobs.run_folder import IDENTITY
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.replay.replay_config import compose_job
from mics_ray.replay.run import replay_run
from mics_ray.runtime.monitor.progress import Progress
from tests.support.recorded_run import overrides, recorded_run

CASES = 8
ASKED = ["leaks.judge=true"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_run(tmp_path_factory.mktemp("judged"), CASES, loss=0.07, cut=0.07, more=ASKED)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run without the questions."""
    return recorded_run(tmp_path_factory.mktemp("plain"), CASES, loss=0.07, cut=0.07)


@pytest.fixture(scope="module")
def rows(run: Path) -> list[dict[str, Any]]:
    return list(iter_rows(run / "results"))


def list_asked(row: dict[str, Any]) -> set[str]:
    """The steps of which the judge's word stands in a row."""
    places = [row, *row["nodes"]]
    return {place["steps"][check["step"] - 1] for place in places for check in place["leak_checks"]}


def test_every_step_that_training_may_use_is_asked_about_and_no_other(rows: list[dict[str, Any]]) -> None:
    kept = [row for row in rows if row["outcome"] in ("solved", "depth")]
    assert kept
    for row in rows:
        scored = {step for node in row["nodes"] if node["score"] is not None for step in node["steps"]}
        assert list_asked(row) == ({*row["steps"], *scored} if row in kept else set())


def test_all_verdicts_come_about_and_an_unknown_says_why(rows: list[dict[str, Any]]) -> None:
    checks = [check for row in rows for place in (row, *row["nodes"]) for check in place["leak_checks"]]
    told = {(check["verdict"], (check["failure"] or "").partition(":")[0]) for check in checks}
    assert told >= {("leak", ""), ("clean", ""), ("unknown", "no_verdict")}
    # What the scripted luck gives beside these depends on the wording of the prompts.
    assert told - {("leak", ""), ("clean", "")} <= {("unknown", kind) for kind in ("no_verdict", "timeout", "cut")}
    assert all(check["reply"] == "Perhaps." for check in checks if "no_verdict" in (check["failure"] or ""))


def test_the_questions_are_counted_and_paid_as_the_judge_s(rows: list[dict[str, Any]], plain: Path) -> None:
    apart = {"usage", "seconds", "config_digest", "leak_checks", "nodes"}
    for row, other in zip(rows, iter_rows(plain / "results"), strict=True):
        # Nothing else of a search is another one.
        assert {name for name in row if row[name] != other[name]} <= apart
        places = (row, *row["nodes"])
        open_steps = sum(check["verdict"] == "unknown" for place in places for check in place["leak_checks"])
        used, before = (read_usage(one).get(JUDGE, Usage()) for one in (row, other))
        assert used.calls - before.calls >= len(list_asked(row)) - open_steps
        assert used.cost_usd == pytest.approx(0.01 * (used.calls - used.cached_calls))


def test_a_replay_gives_the_same_rows_lost_calls_and_unread_replies_too(run: Path) -> None:
    account = replay_run(compose_job(["replay=true", *overrides(run.parent), *ASKED]), Progress(), StopSignal())
    told = account.comparison
    assert (told.same, told.differing, account.lacking, account.changed) == (CASES + 1, 0, 0, [])


def test_the_summary_counts_both(run: Path, rows: list[dict[str, Any]]) -> None:
    found = summarise_results(run / "results")["leaks"]
    told = [{check["verdict"] for check in row["leak_checks"]} for row in rows]
    assert (found["judge"], found["judge_unknown"]) == (
        sum("leak" in one for one in told), sum("unknown" in one for one in told),
    )  # fmt: skip
    assert found["judge_unknown"] > 0


def test_the_run_is_another_than_one_without(run: Path, plain: Path) -> None:
    with_judge, without = (json.loads((folder / IDENTITY).read_text()) for folder in (run, plain))
    assert with_judge["leaks.judge"] is True
    assert {"leaks.judge", "prompts.judge_leak"} == with_judge.keys() - without.keys()
