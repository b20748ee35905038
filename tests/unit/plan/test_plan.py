"""Plans: where replicas go, what binds, what a recorded run tells, what is refused."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mics_ray.config.compose import compose_job
from mics_ray.core.types import Usage
from mics_ray.errors import RefusedRun
from mics_ray.models.chat.rate_limiter import PACE, RateLimits
from mics_ray.plan import advise, measured_run
from mics_ray.plan.advise import (
    JobPlan,
    add_replicas,
    list_nodes,
    make_plan,
    refuse_numbers,
    refuse_what_does_not_fit,
)
from mics_ray.plan.config import PlanJob
from mics_ray.plan.measured_run import load_basis
from mics_ray.plan.shape import Candidate, assume_shapes, count_calls, read_shapes
from mics_ray.plan.simulate import JobTimeline, Service, ServiceUse
from mics_ray.runtime.monitor.latency import bucket_seconds, find_bucket
from mics_ray.runtime.serving.placement import ClusterNode, ReplicaNeed

PAPER = ("mentors=paper", "interns=paper", "judge=deepseek", "plan.sample=60", "window=20")
NODES = "plan.nodes=[{gpus:8,cpus:64,count:2}]"


def job(*overrides: str) -> PlanJob:
    return compose_job("plan", PlanJob, [*PAPER, *overrides])


def plan(*overrides: str, on_gpu: bool = True) -> JobPlan:
    asked = job(NODES, *overrides)
    refuse_numbers(asked)
    return make_plan(asked, asked.plan, load_basis(asked, asked.plan), list_nodes(asked.plan), on_gpu=on_gpu)


def stretch(*names: str, most: int = 64) -> list[str]:
    return [f"interns.{name}.replicas={{min: 1, max: {most}}}" for name in names]


def node(number: int, parent: int | None, mentor: str, level: int, attempt: int = 1, votes: int = 1) -> dict[str, Any]:
    voted = [{"intern": "i", "verdict": "right"}] * votes + [{"intern": "i", "verdict": "unasked"}]
    return {"id": number, "parent": parent, "mentor": mentor, "round": level, "attempt": attempt, "votes": voted}


def test_a_search_is_read_from_its_row() -> None:
    nodes = [node(0, None, "a", 1), node(1, None, "b", 1, votes=0), node(2, 0, "a", 2), node(3, 0, "b", 2)]
    again = [node(4, None, "a", 1, attempt=2)]
    asked, goes_on = Candidate("a", ("i",)), Candidate(None, ("i",))
    assert read_shapes([{"nodes": nodes + again}, {"nodes": []}]) == [
        ((asked, Candidate("b", ())), (goes_on, Candidate("b", ("i",))), (asked,)),
        (),
    ]
    assert count_calls(read_shapes([{"nodes": nodes + again}]), "judge") == {"a": 2, "b": 2, "i": 4, "judge": 4}


def test_assumed_searches_ask_as_many_as_the_search_would() -> None:
    shapes = assume_shapes(job(), 200)
    assert {len(shape[0]) for shape in shapes} == {3}
    assert all(sum(one.mentor is None for one in level) == 1 for shape in shapes for level in shape[1:])
    assert {len(one.votes) for shape in shapes for level in shape for one in level} == {6}
    assert max(len(shape) for shape in assume_shapes(job("search=best_of_n"), 50)) == 1


def test_what_is_free_goes_to_the_intern_with_most_work_a_replica() -> None:
    wanted = [ReplicaNeed("small", 1, 1, 1, 9), ReplicaNeed("large", 1, 2, 1, 9), ReplicaNeed("fixed", 1, 1, 1, 1)]
    grown = add_replicas(wanted, [ClusterNode("n1", 8, 64)], {"small": 1.0, "large": 2.0, "fixed": 50.0})
    assert [need.replicas for need in grown] == [3, 2, 1]
    assert [need.replicas for need in add_replicas(wanted, [ClusterNode("n1", 4, 4)], {"small": 5.0})] == [1, 1, 1]


def test_gpus_bind_and_one_more_brings_more_until_the_mentors_bind() -> None:
    small = plan("window=60", "plan.intern.per_replica=1", "~interns.qwen2_vl_7b", "~interns.internvl3_8b")
    assert small.binds == "qwen25_vl_7b: GPU"
    assert small.more["one more replica of qwen25_vl_7b"] / small.cases_per_hour == pytest.approx(2, rel=0.1)
    assert small.more["mentors' quotas doubled"] / small.cases_per_hour == pytest.approx(1, rel=0.05)


def test_interns_on_the_cpu_are_said_to_be_there() -> None:
    one = ("window=60", "plan.intern.per_replica=1", "~interns.qwen2_vl_7b", "~interns.internvl3_8b")
    assert plan(*one, on_gpu=False).binds == "qwen25_vl_7b: CPU"


def test_a_mentors_quota_binds_where_gpus_are_many() -> None:
    names = ("qwen2_vl_7b", "qwen25_vl_7b", "internvl3_8b")
    large = plan("window=60", "mentors.qwen25_vl_72b.requests_per_minute=6", *stretch(*names, most=4))
    assert [need.replicas for need in large.wanted] == [4, 4, 4]
    assert large.binds == "qwen25_vl_72b: requests a minute"
    assert large.more["mentors' quotas doubled"] / large.cases_per_hour > 1.7
    assert large.more["judge's quota doubled"] / large.cases_per_hour == pytest.approx(1, rel=0.05)


def test_a_small_window_binds_by_its_latencies() -> None:
    found = plan("window=2")
    assert found.binds.startswith("window")
    assert found.more["window doubled"] / found.cases_per_hour > 1.6


def test_money_and_hours_are_of_all_cases_not_of_the_sample() -> None:
    few, many = plan("plan.cases=600"), plan("plan.cases=6000")
    assert many.cost_usd == pytest.approx(10 * few.cost_usd, rel=0.05)
    assert many.hours > 5 * few.hours


def test_what_the_nodes_cannot_hold_is_refused_with_the_sum() -> None:
    asked = job("plan.nodes=[{gpus:2,cpus:64,count:1}]")
    with pytest.raises(RefusedRun, match=r"the models need 3 GPUs .* the cluster has 2, the biggest node \(n1\) 2"):
        refuse_what_does_not_fit(asked, list_nodes(asked.plan), on_gpu=True)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("plan.cases=0", "plan.cases: 0 is below 1"),
        ("plan.nodes=[{gpus:8,count:0}]", "plan.nodes.0.count: 0 is below 1"),
        ("plan.judge.seconds=0", "plan.judge.seconds: must be above 0"),
        ("interns.qwen2_vl_7b.replicas={min: 2, max: 1}", "interns.qwen2_vl_7b.replicas: max 1 is below min 2"),
        ("window=0", "window: 0 is below 1"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(override: str, words: str) -> None:
    with pytest.raises(RefusedRun, match=words):
        refuse_numbers(job(override))


def rows(monkeypatch: pytest.MonkeyPatch, mentor: str = "m") -> list[dict[str, Any]]:
    used = [{"model": name, **asdict(Usage(4, 1, 40, 8, 0.3))} for name in (mentor, "i", "judge")]
    made = [{"nodes": [node(0, None, mentor, 1, votes=4)], "usage": used}]
    monkeypatch.setattr(measured_run, "iter_rows", lambda *_: made)
    return made


def recorded_job(folder: Path) -> PlanJob:
    model = "{model: x, base_url: 'http://127.0.0.1/v1'}"
    for group, text in (("mentors", f"m: {model}"), ("interns", "i: {model: x}"), ("judge", model)):
        (folder / group).mkdir()
        (folder / group / "own.yaml").write_text(text)
    overrides = ["mentors=own", "interns=own", "judge=own", f"plan.run={folder}/run"]
    return compose_job("plan", PlanJob, overrides, folder)


def test_a_recorded_run_gives_latencies_tokens_prices_and_the_replicas_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows(monkeypatch)
    asked = recorded_job(tmp_path)
    (tmp_path / "run").mkdir()
    timed = {name: {find_bucket(2.0): 3, find_bucket(8.0): 1} for name in ("m", "i", "judge")}
    noted = {"search_seconds": 1.0, "replicas": {"i": 2}, "latencies": timed}
    (tmp_path / "run/latencies.json").write_text(json.dumps(noted))
    found = load_basis(asked, asked.plan).calls
    assert found["i"].mean_s == pytest.approx(3.5, rel=0.03)
    assert set(found["i"].seconds) == {bucket_seconds(find_bucket(2.0)), bucket_seconds(find_bucket(8.0))}
    assert (found["m"].tokens, found["m"].cost_usd, found["m"].cached) == (12.0, 0.3 / 3, 0.25)
    assert found["i"].per_replica == pytest.approx(14 / 2, rel=0.03)
    assert found["m"].again == 1.0, "four calls where the search shows one"


def test_a_run_of_other_models_or_without_latencies_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = recorded_job(tmp_path)
    with pytest.raises(RefusedRun, match=r"plan\.run: .*/run holds no finished run"):
        load_basis(asked, asked.plan)
    rows(monkeypatch, mentor="stranger")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/latencies.json").write_text("{}")
    with pytest.raises(RefusedRun, match="the names differ in m, stranger"):
        load_basis(asked, asked.plan)


def test_a_bucket_stands_for_what_falls_into_it() -> None:
    assert all(
        bucket_seconds(find_bucket(seconds)) == pytest.approx(seconds, rel=0.03)
        for seconds in (0.001, 0.1, 1.0, 7.0, 300.0)
    )


def test_no_search_is_longer_than_the_search_allows() -> None:
    longest = max(len(shape) for shape in assume_shapes(job("search.max_rounds=2", "search.restarts=1"), 100))
    assert longest == 4
    assert {len(shape) for shape in assume_shapes(job("search.max_rounds=1", "search.restarts=0"), 20)} == {1}
    assert assume_shapes(job(), 30, 1) == assume_shapes(job(), 30, 1) != assume_shapes(job(), 30, 2)


@pytest.mark.parametrize(
    ("limits", "doubled"),
    [
        (RateLimits(), RateLimits()),
        (RateLimits(requests_per_minute=3), RateLimits(requests_per_minute=6)),
        (RateLimits(tokens_per_minute=5), RateLimits(tokens_per_minute=10)),
        (RateLimits(max_in_flight=7), RateLimits(max_in_flight=14)),
    ],
)
def test_a_quota_is_doubled_where_there_is_one(limits: RateLimits, doubled: RateLimits) -> None:
    assert advise._double_limits(limits) == doubled
    assert advise._has_limit(limits) is (limits != RateLimits())


def test_the_use_of_each_limit_is_a_share_of_all_of_it() -> None:
    timeline = JobTimeline(tuple(float(second) for second in range(1, 61)), {"m": ServiceUse(60, 120.0)})
    limits = RateLimits(requests_per_minute=120, tokens_per_minute=12000, max_in_flight=4)
    use = advise._limit_use({"m": Service(limits, (2.0,), 50.0)}, timeline, {})
    # A case and a call a second: 60 of 120 requests, 3,000 of 12,000 tokens, two of four places.
    assert use["m: requests a minute"] == pytest.approx(0.5 / PACE)
    assert use["m: tokens a minute"] == pytest.approx(0.25 / PACE)
    assert use["m: in flight"] == pytest.approx(0.5)


def test_what_binds_is_the_fullest_limit_from_nine_tenths_on() -> None:
    assert advise._binding_limit({"a": 0.95, "b": 0.9}) == "a"
    assert advise._binding_limit({"a": 0.1, "b": 0.9}) == "b"
    assert advise._binding_limit({"a": 0.89}).startswith("window")
    assert advise._binding_limit({}).startswith("window")


def test_replica_seconds_are_calls_times_their_mean_over_what_a_replica_works_on() -> None:
    shapes = [((Candidate("m", ("i", "i")),),)]
    profiles = {"m": measured_run.CallProfile((4.0, 6.0), 1, 0, 1), "i": measured_run.CallProfile((8.0,), 1, 0, 4)}
    assert advise._replica_seconds(measured_run.PlanBasis(shapes, profiles)) == {"m": 5.0, "i": 4.0}
