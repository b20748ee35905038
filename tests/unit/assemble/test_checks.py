"""What a configuration is refused for, before anything is started."""

from dataclasses import replace
from pathlib import Path

import pytest

from mics_ray.assemble.checks import check_job
from mics_ray.assemble.locations import (
    group_by_provider,
    list_endpoints,
    list_served,
)
from mics_ray.config.schema import Config, Engine, ModelConfig, Replicas, replica_range
from mics_ray.errors import EXIT_REFUSED, RefusedRun
from tests.support.demo_config import compose_demo

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PUBLIC = "https://example.org/v1"
JUDGE_HERE = ("judge.engine=vllm", "judge.model=embedded:interns/internvl")
MENTOR_HERE = ("mentors.simulated_student.engine=vllm", "mentors.simulated_student.model=embedded:interns/internvl")


def with_mentors(config: Config, **entries: ModelConfig) -> Config:
    return replace(config, mentors=entries)


def refusal(config: Config) -> str:
    with pytest.raises(RefusedRun) as caught:
        check_job(config)
    assert caught.value.code == EXIT_REFUSED
    return str(caught.value)


def test_any_role_may_be_served_here() -> None:
    config = compose_demo(*JUDGE_HERE, *MENTOR_HERE)
    check_job(config)
    assert list(list_served(config)) == ["simulated_student", "tiny_internvl", "tiny_qwen25vl", "judge"]
    assert list(list_endpoints(config)) == ["simulated_attending", "simulated_resident"]
    assert [set(group) for group in group_by_provider(config).values()] == [set(list_endpoints(config))]


def test_a_run_that_serves_all_of_its_models_has_no_provider() -> None:
    staff = {name: ModelConfig("embedded:interns/internvl", Engine.vllm) for name in ("a", "b")}
    config = with_mentors(compose_demo(*JUDGE_HERE), **staff)
    check_job(config)
    assert (list_endpoints(config), group_by_provider(config)) == ({}, {})


@pytest.mark.parametrize("search", ["paper", "reference", "best_of_n"])
def test_the_shipped_demo_is_accepted_and_one_wrong_value_in_it_is_not(search: str) -> None:
    check_job(compose_demo(search=search))
    assert refusal(compose_demo("window=0", search=search)).count("window: 0") == 1


def test_at_least_two_mentors_and_one_intern() -> None:
    one = with_mentors(compose_demo(), only=ModelConfig("m", base_url=PUBLIC))
    assert "mentors: 1 given, the search needs at least 2" in refusal(one)
    check_job(with_mentors(compose_demo(search="best_of_n"), only=ModelConfig("m", base_url=PUBLIC)))
    assert "interns: none given" in refusal(replace(compose_demo(), interns={}))


def test_every_problem_is_named_at_once() -> None:
    message = refusal(replace(compose_demo("search.max_rounds=0", "window=0"), interns={}))
    assert all(word in message for word in ("interns", "search.max_rounds: 0", "window: 0"))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["search.max_rounds=0"], ["search.max_rounds: 0 is below 1"]),
        (["search.first_steps=0"], ["search.first_steps: 0"]),
        (["search.restarts=-1"], ["search.restarts: -1"]),
        (["search.intern_temperatures=[]"], ["search.intern_temperatures"]),
        (["window=0"], ["window: 0"]),
        (["ray.workers=0"], ["ray.workers: 0"]),
        (["pictures.mentor_max_side=0"], ["pictures.mentor_max_side: 0"]),
        (["interns.tiny_internvl.replicas=0"], ["interns.tiny_internvl.replicas: 0"]),
        (["interns.tiny_internvl.replicas=two"], ["interns.tiny_internvl.replicas: must be a whole number or {min"]),
        (["interns.tiny_internvl.replicas={min: 2}"], ["interns.tiny_internvl.replicas: must be a whole number or"]),
        (["interns.tiny_internvl.replicas={min: 3, max: 2}"], ["tiny_internvl.replicas: max 2 is below min 3"]),
        (["interns.tiny_internvl.replicas={min: 0, max: 2}"], ["interns.tiny_internvl.replicas: 0 is below 1"]),
        (["interns.tiny_internvl.replicas=true"], ["interns.tiny_internvl.replicas: must be a whole number"]),
        (["interns.tiny_internvl.pipeline_parallel=0"], ["interns.tiny_internvl.pipeline_parallel: 0 is below 1"]),
        (["interns.tiny_internvl.gpus=1.5"], ["interns.tiny_internvl.gpus: 1.5 is not a share of one GPU"]),
        (["interns.tiny_internvl.gpus=0"], ["interns.tiny_internvl.gpus: 0 is not a share of one GPU"]),
        (
            ["interns.tiny_internvl.gpus=0.5", "interns.tiny_internvl.tensor_parallel=2"],
            ["interns.tiny_internvl.gpus: a share goes only with tensor_parallel 1"],
        ),
        (["judge.max_in_flight=0"], ["judge.max_in_flight: 0"]),
        (["judge.requests_per_minute=-5"], ["judge.requests_per_minute: -5"]),
        (["judge.deadline_s=0"], ["judge.deadline_s: 0"]),
        (["judge.base_url=http://example.org/v1"], ["judge.base_url", "https"]),
        (["judge.base_url=ftp://example.org/v1"], ["judge.base_url", "https"]),
        (["judge.api_key_env=MICS_TEST_KYE"], ["judge.api_key_env: MICS_TEST_KYE is not set", "'MICS_TEST_KEY'"]),
        (["judge.api_key_env='not a name'"], ["judge.api_key_env", "NAME"]),
        (["interns.tiny_internvl.trust_remote_code=true"], ["interns.tiny_internvl", "40 hex"]),
        (["prompts.intern='{answer}'"], ["prompts.intern", "'answer'"]),
        (["interns.tiny_internvl.engine=endpoint"], ["tiny_internvl.base_url is not set"]),
        (["interns.tiny_internvl.temperature=0.5"], ["interns.tiny_internvl.temperature: not for an intern"]),
        (["judge.base_url=null"], ["judge.base_url is not set"]),
        ([*JUDGE_HERE, "judge.extra_body.top_p=0.9"], ["judge.extra_body: goes only with engine=endpoint"]),
        ([*JUDGE_HERE, "judge.trust_remote_code=true"], ["judge: trust_remote_code needs"]),
        ([*JUDGE_HERE, "judge.adapter=/nowhere"], ["judge: adapter: "]),
        ([*JUDGE_HERE, "judge.replicas={min: 2, max: 1}"], ["judge.replicas: max 1 is below min 2"]),
        ([*JUDGE_HERE, "judge.max_tokens=0"], ["judge.max_tokens: 0 is below 1"]),
        ([*MENTOR_HERE, "mentors.simulated_student.gpus=4"], ["mentors.simulated_student.gpus: 4 is not a share"]),
        ([*MENTOR_HERE, "mentors.simulated_student.tensor_parallel=0"], ["student.tensor_parallel: 0 is below 1"]),
        ([*MENTOR_HERE, "mentors.simulated_student.headers.X=y"], ["simulated_student.headers: goes only with engine"]),
        (["mentors.simulated_student.gpus=0.5"], ["mentors.simulated_student.gpus: goes only with engine=vllm"]),
        (["judge.processor_kwargs.a=1"], ["judge.processor_kwargs: goes only with engine=vllm"]),
        (["leaks.judge=true", "prompts.judge_leak=''"], ["prompts.judge_leak: leaks.judge=true needs it"]),
        (["leaks.judge=true", "prompts.judge_leak='{candidate}'"], ["prompts.judge_leak", "'candidate'"]),
        (["cache.max_gb=0"], ["cache.max_gb: 0 is not above 0"]),
        (["budget_usd=0"], ["budget_usd: 0 is not above 0"]),
        (["budget_usd=1", "judge.api_key_env=MICS_TEST_KEY"], ["judge.price: not given"]),
        (
            ["budget_usd=1", "judge.api_key_env=MICS_TEST_KEY", "judge.price.cached_input_per_mtok=0"],
            ["judge.price: not given"],
        ),
        (["judge.price.cached_input_per_mtok=-0.5"], ["judge.price.cached_input_per_mtok: -0.5 is below 0"]),
        (["judge.price.output_per_mtok=.nan"], ["judge.price.output_per_mtok: nan is no price"]),
    ],
)
def test_what_is_refused(overrides: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICS_TEST_KEY", "set")
    message = refusal(compose_demo(*overrides))
    assert [word for word in words if word not in message] == [], message


def test_trusted_code_needs_a_full_commit_and_nothing_less() -> None:
    def trusting(revision: str) -> Config:
        return compose_demo(
            "interns.tiny_internvl.trust_remote_code=true", f"interns.tiny_internvl.revision='{revision}'"
        )

    check_job(trusting(COMMIT))
    for less in (COMMIT[:-1], f"{COMMIT}0", COMMIT[:-1] + "g", f"v-{COMMIT}", "main"):
        assert "interns.tiny_internvl" in refusal(trusting(less))


def test_two_models_of_one_name_are_refused() -> None:
    config = compose_demo()
    double = {"tiny_internvl": ModelConfig("m", base_url=PUBLIC), "b": ModelConfig("n", base_url=PUBLIC)}
    assert "'tiny_internvl' names two models" in refusal(replace(config, mentors=double))
    judge = {"judge": ModelConfig("m", base_url=PUBLIC), "b": ModelConfig("n", base_url=PUBLIC)}
    assert "'judge' names two models" in refusal(replace(config, mentors=judge))


def test_a_set_key_is_accepted_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICS_TEST_KEY", "sk-canary")
    config = compose_demo("judge.api_key_env=MICS_TEST_KEY")
    check_job(config)
    assert "sk-canary" not in refusal(replace(config, window=0))
    monkeypatch.setenv("MICS_TEST_KEY", "")
    assert "is not set" in refusal(config)


def test_input_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    assert "data.cases: name a file, a folder" in refusal(compose_demo("data.cases=[]"))
    assert "data.cases: no such file: /nowhere/cases.jsonl" in refusal(compose_demo("data.cases=/nowhere/cases.jsonl"))
    assert "data.image_root: no such folder: /nowhere" in refusal(compose_demo("data.image_root=/nowhere"))


def test_a_range_of_replicas_is_read() -> None:
    config = compose_demo("interns.tiny_internvl.replicas={min: 1, max: 4}")
    check_job(config)
    assert replica_range(config.interns["tiny_internvl"].replicas) == Replicas(1, 4)
    assert replica_range(3) == Replicas(3, 3)
