"""What decides a run's results, and what may change between two restarts of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from omegaconf import OmegaConf

from mics_ray import __version__
from mics_ray.config.compose import compose_config
from mics_ray.config.identity import build_identity, digest_identity, find_code_version, list_differences
from mics_ray.config.schema import Config, Engine, Price

SHA = "0" * 64
CANARY = "Describe the nodule of Mrs. Canary. " * 3


@pytest.fixture(scope="module")
def config() -> Config:
    return compose_config(["experiment=demo"])


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("seed=1", "seed"),
        ("prompts.intern=other", "prompts.intern"),
        ("prompts.mentor_system=other", "prompts.mentor_system"),
        ("judge.model=other", "judge.model"),
        ("judge.temperature=0.5", "judge.temperature"),
        ("judge.max_tokens=17", "judge.max_tokens"),
        ("search.intern_sampling={top_p: 0.8}", "search.intern_sampling.top_p"),
        ("interns.tiny_internvl.sampling=model", "interns.tiny_internvl.sampling"),
        ("mentors.simulated_student.sampling={top_k: 3}", "mentors.simulated_student.sampling.top_k"),
        ("judge.sampling={min_p: 0.1}", "judge.sampling.min_p"),
        ("mentors.simulated_student.model=other", "mentors.simulated_student.model"),
        ("mentors.simulated_student.temperature=0.1", "mentors.simulated_student.temperature"),
        ("interns.tiny_internvl.model=other", "interns.tiny_internvl.model"),
        ("interns.tiny_internvl.revision=abc", "interns.tiny_internvl.revision"),
        ("interns.tiny_internvl.engine=endpoint", "interns.tiny_internvl.engine"),
        ("interns.tiny_internvl.processor_kwargs.max_pixels=9", "interns.tiny_internvl.processor_kwargs.max_pixels"),
        ("search.max_rounds=3", "search.max_rounds"),
        ("search.competitiveness=sum", "search.competitiveness"),
        ("search.intern_temperatures=[0.3]", "search.intern_temperatures"),
        ("search.restarts=0", "search.restarts"),
        ("search.quality_control=false", "search.quality_control"),
        ("search.match_gold=false", "search.match_gold"),
        ("search.adaptive=true", "search.adaptive"),
        ("pictures.mentor_max_side=256", "pictures.mentor_max_side"),
    ],
)
def test_what_decides_the_results_is_a_difference(config: Config, change: str, name: str) -> None:
    other = OmegaConf.merge(OmegaConf.structured(config), OmegaConf.from_dotlist([change]))
    before, after = build_identity(config, SHA), build_identity(cast(Config, OmegaConf.to_object(other)), SHA)
    assert digest_identity(before) != digest_identity(after)
    [line] = list_differences(before, after)
    assert line.startswith(f"{name}: ")


def test_other_data_and_other_models_are_differences(config: Config) -> None:
    [line] = list_differences(build_identity(config, SHA), build_identity(config, "1" * 64))
    assert line.startswith("data.sha256: ")
    fewer = replace(config, mentors={name: entry for name, entry in config.mentors.items() if "student" not in name})
    lines = list_differences(build_identity(config, SHA), build_identity(fewer, SHA))
    assert lines
    assert all(line.startswith("mentors.simulated_student.") and line.endswith("(not there)") for line in lines)


def test_where_and_how_fast_is_no_difference(config: Config) -> None:

    def moved(entry: Any) -> Any:
        return replace(
            entry, base_url="https://elsewhere.example/v1", api_key_env="OTHER", requests_per_minute=1,
            tokens_per_minute=2, max_in_flight=3, deadline_s=4, price=Price(5, 6),
        )  # fmt: skip

    other: Config = replace(
        config,
        judge=moved(config.judge),
        mentors={name: moved(entry) for name, entry in config.mentors.items()},
        interns={
            name: replace(moved(e), replicas={"min": 1, "max": 4}, tensor_parallel=2, pipeline_parallel=2, gpus=0.5)
            for name, e in config.interns.items()
        },
        run=replace(config.run, dir="elsewhere"),
        data=replace(config.data, cases="/copied/cases.jsonl", image_root="/copied"),
        ray=replace(config.ray, address="auto", workers=9),
        window=1,
    )
    assert list_differences(build_identity(config, SHA), build_identity(other, SHA)) == []
    assert digest_identity(build_identity(config, SHA)) == digest_identity(build_identity(other, SHA))


def test_long_texts_are_not_shown(config: Config) -> None:
    other = replace(config, prompts=replace(config.prompts, judge=CANARY))
    [line] = list_differences(build_identity(config, SHA), build_identity(other, SHA))
    assert "Canary" not in line
    assert config.prompts.judge[:20] not in line
    assert line.endswith(f"(text of {len(CANARY)} characters)")


def test_a_view_and_its_digest_survive_json(config: Config) -> None:
    view = build_identity(config, SHA)
    again = json.loads(json.dumps(view, sort_keys=True))
    assert list_differences(view, again) == []
    assert digest_identity(view) == digest_identity(again)
    assert len(digest_identity(view)) == 16
    assert digest_identity(view) == digest_identity(dict(reversed(view.items())))


def test_the_code_version_names_the_package(tmp_path: Path) -> None:
    assert find_code_version().split("+")[0] == __version__


def test_without_git_the_version_is_the_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_code_version() == __version__


RUN_OF_THE_DEMO = "998ae7c2d1a311e0"  # of the default templates too: their wording is part of it


def test_the_names_of_the_view_are_those_of_earlier_runs(config: Config) -> None:
    """One name more or less, and no run that was made before goes on."""
    view = build_identity(config, SHA)
    of_an_intern = {name.rpartition(".")[2] for name in view if name.startswith("interns.tiny_internvl.")}
    of_a_mentor = {name.rpartition(".")[2] for name in view if name.startswith("mentors.simulated_student.")}
    of_the_judge = {name.rpartition(".")[2] for name in view if name.startswith("judge.")}
    assert of_an_intern == {
        "adapter", "engine", "max_model_len", "max_tokens", "model", "revision", "trust_remote_code"
    }  # fmt: skip
    assert of_a_mentor == of_the_judge == {"max_tokens", "model", "temperature"}
    as_before = replace(
        config,
        search=replace(config.search, intern_sampling=None, match_gold=False),
        prompts=replace(config.prompts, intern_without_pictures=""),
        data=replace(config.data, context="none"),
    )
    assert digest_identity(build_identity(as_before, SHA)) == RUN_OF_THE_DEMO
    assert view["search.intern_sampling.top_p"] == 0.9


def test_a_mentor_or_judge_served_here_is_known_by_its_weights_and_settings(config: Config) -> None:
    """Beside the temperature, which the search gives an intern; the price and the replicas are none of it."""
    served = replace(config.judge, engine=Engine.vllm, model="org/judge", revision="a")
    here = replace(config, judge=served, mentors={"m": replace(served, temperature=0.7)})
    view = build_identity(here, SHA)
    of_the_judge = {name.removeprefix("judge."): value for name, value in view.items() if name.startswith("judge.")}
    assert of_the_judge == {
        "engine": "vllm", "model": "org/judge", "revision": "a", "adapter": None, "max_model_len": None,
        "trust_remote_code": False, "max_tokens": 16, "temperature": 0.0,
    }  # fmt: skip
    assert view["mentors.m.temperature"] == 0.7
    grown = replace(here, judge=replace(served, replicas=4, tensor_parallel=2, gpus=0.5, price=Price(1, 1)))
    assert list_differences(view, build_identity(grown, SHA)) == []
    [line] = list_differences(view, build_identity(replace(here, judge=replace(served, revision="b")), SHA))
    assert line == "judge.revision: a -> b"
    kwargs = replace(here, judge=replace(served, engine_kwargs={"quantization": "fp8"}))
    [line] = list_differences(view, build_identity(kwargs, SHA))
    assert line == "judge.engine_kwargs.quantization: (not there) -> fp8"


def test_an_entry_may_be_named_as_a_setting_is(config: Config) -> None:
    entry = config.mentors["simulated_student"]
    one, other = (replace(config, mentors={"price": replace(entry, model=model)}) for model in "ab")
    assert list_differences(build_identity(one, SHA), build_identity(other, SHA)) == ["mentors.price.model: a -> b"]
