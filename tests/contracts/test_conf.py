"""Every file that is shipped in `conf/` composes, in any combination that a user would first try."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from eval.config import EvaluateJob, InferJob
from eval.rejudge.config import RejudgeJob
from mics_ray.assemble.checks import check_job
from mics_ray.assemble.panel import build_judge_template, build_mentor_template
from mics_ray.config.compose import CONF, compose_config, compose_job, dump_yaml, list_choices, list_groups
from mics_ray.config.schema import Config
from mics_ray.models.chat.wire_format import encode_request
from mics_ray.plan.config import PlanJob
from mics_ray.submit.config import compose_cluster
from train.config import TrainJob
from train.export.config import ExportJob

CLUSTERS = {
    "existing": ["cluster.address=https://ray.example", "cluster.volume=/data"],
    "slurm": ["cluster.dir=/data"],
    "kuberay": ["cluster.image=mics:gpu", "cluster.volume_claim=data"],
    "vm": [
        "cluster.image=mics:gpu",
        "cluster.volume=/data",
        "cluster.provider=aws",
        "cluster.region=r",
        "cluster.zone=z",
    ],
}
VARIABLES = {"OPENAI_API_KEY", "GEMINI_API_KEY", "DASHSCOPE_API_KEY", "DEEPSEEK_API_KEY"}
BASES = {
    "demo": ["experiment=demo"],
    "paper": [
        "mentors=paper",
        "interns=paper",
        "judge=deepseek",
        "data.cases=embedded:cases/cases.jsonl",
        "run.dir=runs/x",
    ],
    "current": [
        "mentors=current",
        "interns=current",
        "judge=current",
        "data.cases=embedded:cases/cases.jsonl",
        "run.dir=runs/x",
    ],
}
CHOICES = [(group, name) for group in list_groups("generate") for name in list_choices(group)]
SCHEMAS: dict[str, Any] = {
    "export": ExportJob, "train": TrainJob, "evaluate": EvaluateJob, "infer": InferJob, "plan": PlanJob,
    "rejudge": RejudgeJob, "fetch": Config,
}  # fmt: skip
SMALLEST = {
    "export": ["run.dir=runs/x", "export.dir=x"],
    "train": ["train=tiny", "export.dir=x", "train.dir=x"],
    "evaluate": ["eval=chiron", "judge=local", "model=x", "eval.dir=x"],
    "infer": ["model=x", "question=x"],
    "rejudge": ["judge=local", "run.dir=x"],
    "fetch": [],
    "plan": ["mentors=paper", "interns=paper", "judge=deepseek"],
}
"""The least that each other job needs on its command line."""
AFTER = [(job, group, name) for job in SCHEMAS for group in list_groups(job) for name in list_choices(group)]
GROUPS = {group for group, _ in CHOICES}
OWN = [one for one in AFTER if one[1] not in GROUPS or one[2] == list_choices(one[1])[0]]
"""Of the groups that ``generate`` has too, another job takes each file if it takes one: the schema is the same."""


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "set for this test")


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_each_file_composes_with_the_rest_of_the_demo(group: str, name: str) -> None:
    overrides = [] if group == "experiment" else BASES["demo"]
    config = compose_config([*overrides, f"{group}={name}"])
    check_job(config)
    assert yaml.safe_load(dump_yaml(config))["search"]["restarts"] in (0, 1)


@pytest.mark.parametrize("name", CLUSTERS)
def test_each_cluster_composes_with_the_least_that_it_needs(name: str) -> None:
    composed = compose_cluster((f"cluster={name}", *CLUSTERS[name]), None)
    assert composed.kind == name


@pytest.mark.parametrize(("base", "search"), [*zip(["paper", "current"] * 9, list_choices("search"), strict=False)])
def test_the_papers_and_todays_sets_compose_with_each_search(base: str, search: str) -> None:
    check_job(compose_config([*BASES[base], f"search={search}"]))


def test_a_budget_counts_every_call_of_todays_set() -> None:
    config = compose_config([*BASES["current"], "budget_usd=5"])
    check_job(config)  # refuses an entry without a price
    for entry in [config.judge, *config.mentors.values()]:
        assert 0 < (entry.price.cached_input_per_mtok or 0) < entry.price.input_per_mtok < entry.price.output_per_mtok


@pytest.mark.parametrize(("job", "group", "name"), OWN)
def test_each_file_of_the_other_jobs_composes(job: str, group: str, name: str) -> None:
    config = compose_job(job, SCHEMAS[job], [*SMALLEST[job], f"{group}={name}"])
    assert yaml.safe_load(dump_yaml(config))


def test_todays_set_sends_no_parameter_that_its_models_refuse() -> None:
    config = compose_config(BASES["current"])
    templates = [build_judge_template(config), *(build_mentor_template(config, name) for name in config.mentors)]
    sent = {one.model: json.loads(encode_request(replace(one, text="?"), [])) for one in templates}
    told = {model: set(body) - {"model", "messages"} for model, body in sent.items()}
    assert told == {
        "gpt-5.1": {"max_completion_tokens", "reasoning_effort", "prompt_cache_key"},
        "gemini-3.8-flash": {"max_tokens", "reasoning_effort"},
        "qwen3.7-plus": {"max_tokens", "temperature", "seed", "enable_thinking"},
        "deepseek-flash": {"max_tokens", "temperature", "thinking"},
    }
    assert sent["deepseek-flash"]["thinking"] == {"type": "disabled"}
    assert sent["qwen3.7-plus"]["enable_thinking"] is False
    assert sent["deepseek-flash"]["temperature"] == 0


def test_several_benchmarks_are_chosen_by_commas() -> None:
    both = ",".join(list_choices("eval")[:2])
    config = compose_job("evaluate", EvaluateJob, [*SMALLEST["evaluate"][1:], f"eval={both}"])
    assert list(config.eval.benchmarks) == both.split(",")


def test_every_file_is_a_choice_of_a_known_group() -> None:
    jobs = {Path(f"{job}.yaml") for job in ("generate", "submit", *SCHEMAS)}
    files = {path.relative_to(CONF) for path in CONF.rglob("*.yaml")} - jobs
    known = {(group, name) for _, group, name in AFTER} | set(CHOICES) | {("cluster", name) for name in CLUSTERS}
    assert {Path(group) / f"{name}.yaml" for group, name in known} == files


def test_the_files_name_variables_and_hold_no_key() -> None:
    named: set[str] = set()
    for base in BASES.values():
        config = compose_config(base)
        entries = [config.judge, *config.mentors.values(), *config.interns.values()]
        named |= {entry.api_key_env for entry in entries if entry.api_key_env}
        assert "set for this test" not in dump_yaml(config)
    assert named == VARIABLES
    assert set(os.environ) >= named


def test_the_schema_has_a_default_or_a_choice_for_everything() -> None:
    config = compose_config(BASES["demo"])
    assert isinstance(config, Config)
    assert "???" not in dump_yaml(config)
