"""From a configuration to the objects of a search: METHOD's presets line by line, and what is refused beforehand."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import cast

import pytest
from omegaconf import OmegaConf

from mics_ray.assemble.checks import check_job
from mics_ray.assemble.locations import (
    group_by_provider,
    list_endpoints,
    list_served,
    locate_cases,
    locate_images,
    resolve_embedded,
)
from mics_ray.assemble.panel import PanelBuilder, build_judge_template, build_strategy
from mics_ray.config.compose import compose_config
from mics_ray.config.schema import Config, Engine, InternDefaults, ModelConfig, Replicas, SearchConfig, replica_range
from mics_ray.core.best_of_n import BestOfN
from mics_ray.core.mics import Mics
from mics_ray.core.types import Case, Note
from mics_ray.errors import EXIT_REFUSED, RefusedRun
from mics_ray.models.replies.pricing import bound_cost
from mics_ray.models.roles import UsageMeter
from mics_ray.models.types import Pictures, Reply, Request, read_choice

NAMES = ("a", "b")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PUBLIC = "https://example.org/v1"
JUDGE_HERE = ("judge.engine=vllm", "judge.model=embedded:interns/internvl")
MENTOR_HERE = ("mentors.simulated_student.engine=vllm", "mentors.simulated_student.model=embedded:interns/internvl")


@cache
def preset_of_demo(name: str) -> Config:
    return compose_config(["experiment=demo", f"search={name}"])


def composed(*changes: str, search: str = "paper") -> Config:
    """The demo with single values changed; composing it anew for each test would take most of their time."""
    config = OmegaConf.merge(OmegaConf.structured(preset_of_demo(search)), OmegaConf.from_dotlist(list(changes)))
    return cast(Config, OmegaConf.to_object(config))


def preset(name: str) -> SearchConfig:
    return preset_of_demo(name).search


def with_mentors(config: Config, **entries: ModelConfig) -> Config:
    return replace(config, mentors=entries)


def refusal(config: Config) -> str:
    with pytest.raises(RefusedRun) as caught:
        check_job(config)
    assert caught.value.code == EXIT_REFUSED
    return str(caught.value)


def test_paper() -> None:
    """METHOD's table, first column; four rounds of one step, product over the winners, one restart, quality control."""
    search = preset("paper")
    assert search == compose_config(["experiment=demo"]).search
    assert search.intern_temperatures == [0.3, 1.2]
    assert (search.mentor_temperature, search.judge_temperature) == (1.2, 0.0)
    assert build_strategy(search, NAMES) == Mics(NAMES, max_rounds=4, first_steps=1, competitiveness="product")
    assert (search.restarts, search.quality_control) == (1, True)


def test_reference() -> None:
    """METHOD's table, second column; three rounds, the first of two steps, 1 + sum, no restart, no quality control."""
    search = preset("reference")
    assert search.intern_temperatures == [1.2, 0.2]
    assert (search.mentor_temperature, search.judge_temperature) == (1.2, 0.9)
    assert build_strategy(search, NAMES) == Mics(NAMES, max_rounds=3, first_steps=2, competitiveness="sum")
    assert (search.restarts, search.quality_control) == (0, False)


def test_best_of_n() -> None:
    assert build_strategy(preset("best_of_n"), NAMES) == BestOfN(NAMES)


def test_the_defaults_of_the_schema_are_the_papers() -> None:
    assert SearchConfig() == preset("paper")


def test_the_papers_models() -> None:
    config = compose_config(["mentors=paper", "interns=paper", "judge=deepseek", "data.cases=c.jsonl", "run.dir=r"])
    assert (len(config.mentors), len(config.interns)) == (3, 3)
    assert config.pictures.mentor_max_side == 512
    assert {intern.max_tokens for intern in config.interns.values()} == {2048}
    for name in ("qwen2_vl_7b", "qwen25_vl_7b"):
        assert config.interns[name].processor_kwargs == {"min_pixels": 256 * 28 * 28, "max_pixels": 1280 * 28 * 28}
    assert config.interns["internvl3_8b"].processor_kwargs == {"max_patches": 12}


def test_embedded_paths_lie_in_the_package() -> None:
    config = composed()
    assert locate_cases(config).is_file()
    assert locate_images(config) == locate_cases(config).parent
    assert resolve_embedded("Qwen/Qwen2-VL-7B-Instruct") == "Qwen/Qwen2-VL-7B-Instruct"
    assert locate_images(composed("data.image_root=/x")) == Path("/x")


def test_providers_are_grouped_by_address_and_key() -> None:
    config = replace(
        composed(),
        mentors={
            "one": ModelConfig("m", base_url=PUBLIC, api_key_env="KEY_A"),
            "two": ModelConfig("n", base_url=PUBLIC, api_key_env="KEY_A"),
            "three": ModelConfig("o", base_url=PUBLIC, api_key_env="KEY_B"),
        },
        interns={
            "here": InternDefaults(model="p"),
            "there": InternDefaults("q", Engine.endpoint, base_url=PUBLIC, api_key_env="KEY_A", max_in_flight=9),
        },
    )
    assert set(list_endpoints(config)) == {"one", "two", "three", "there", "judge"}
    groups = [set(group) for group in group_by_provider(config).values()]
    assert sorted(groups, key=sorted) == [{"judge"}, {"one", "there", "two"}, {"three"}]
    assert list_endpoints(config)["there"].max_in_flight == 9


def test_any_role_may_be_served_here() -> None:
    config = composed(*JUDGE_HERE, *MENTOR_HERE)
    check_job(config)
    assert list(list_served(config)) == ["simulated_student", "tiny_internvl", "tiny_qwen25vl", "judge"]
    assert list(list_endpoints(config)) == ["simulated_attending", "simulated_resident"]
    assert [set(group) for group in group_by_provider(config).values()] == [set(list_endpoints(config))]


def test_a_run_that_serves_all_of_its_models_has_no_provider() -> None:
    staff = {name: ModelConfig("embedded:interns/internvl", Engine.vllm) for name in ("a", "b")}
    config = with_mentors(composed(*JUDGE_HERE), **staff)
    check_job(config)
    assert (list_endpoints(config), group_by_provider(config)) == ({}, {})


class Echo:
    """A fake model that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Request, Pictures | None]] = []

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        self.asked.append((request, pictures))
        return Reply("Yes\n### Step 1: Look.\n### The final answer is: gold")


async def test_the_panel_speaks_with_the_presets_temperatures_and_each_roles_pictures() -> None:
    config = replace(
        composed(search="reference"),
        mentors={
            "own": ModelConfig("m", base_url=PUBLIC, temperature=0.7),
            "preset": ModelConfig("n", base_url=PUBLIC),
        },
        judge=ModelConfig("j", base_url=PUBLIC),
    )
    echo = Echo()
    everybody = PanelBuilder(config, dict.fromkeys([*config.mentors, *config.interns, "judge"], echo))
    for_mentors, for_interns = Pictures("d1", (b"1",)), Pictures("d2", (b"2",))
    panel = everybody.build_panel(for_mentors, for_interns, UsageMeter())
    case = Case("c", "Q?", "gold", ("p.png",), (Note("Findings", "f"),))
    for mentor in panel.mentors.values():
        await mentor.propose(case, (), 1)
    await panel.interns["tiny_internvl"].finish(case, ("Look.",), 0.2, 2)
    await panel.judge.compare(case, "gold", 3)
    requests = [request for request, _ in echo.asked]
    assert [request.temperature for request in requests] == [0.7, 1.2, 0.2, 0.9]
    assert [request.pictures for request in requests] == ["d1", "d1", "d2", ""]
    assert [pictures for _, pictures in echo.asked] == [for_mentors, for_mentors, for_interns, None]
    assert [bool(request.system) for request in requests] == [True, True, False, False]
    assert tuple(panel.temperatures) == (1.2, 0.2)
    assert (list(panel.mentors), list(panel.interns)) == (["own", "preset"], list(config.interns))


async def test_a_judge_served_here_is_held_to_yes_or_no_and_nobody_else_is() -> None:
    config = composed(*JUDGE_HERE, *MENTOR_HERE)
    echo, shown = Echo(), (Pictures("d1", (b"1",)), Pictures("d2", (b"2",)))
    builder = PanelBuilder(config, dict.fromkeys([*config.mentors, *config.interns, "judge"], echo))
    panel, case = builder.build_panel(*shown, UsageMeter()), Case("c", "Q?", "gold", ("p.png",), ())
    await panel.judge.compare(case, "gold", 3)
    await panel.mentors["simulated_student"].propose(case, (), 1)
    await panel.interns["tiny_internvl"].finish(case, (), 0.2, 2)
    (judged, _), (proposed, pictures), (finished, _) = echo.asked
    assert read_choice(judged.options) == ["Yes", "No"]
    assert (proposed.options, finished.options) == ("", "")
    assert (pictures, proposed.system) == (shown[0], config.prompts.mentor_system)
    asked_an_api = build_judge_template(composed())
    assert asked_an_api.options == ""
    assert replace(asked_an_api, options=judged.options).key != asked_an_api.key


@pytest.mark.parametrize("search", ["paper", "reference", "best_of_n"])
def test_the_shipped_demo_is_accepted_and_one_wrong_value_in_it_is_not(search: str) -> None:
    check_job(composed(search=search))
    assert refusal(composed("window=0", search=search)).count("window: 0") == 1


def test_at_least_two_mentors_and_one_intern() -> None:
    one = with_mentors(composed(), only=ModelConfig("m", base_url=PUBLIC))
    assert "mentors: 1 given, the search needs at least 2" in refusal(one)
    check_job(with_mentors(composed(search="best_of_n"), only=ModelConfig("m", base_url=PUBLIC)))
    assert "interns: none given" in refusal(replace(composed(), interns={}))


def test_every_problem_is_named_at_once() -> None:
    message = refusal(replace(composed("search.max_rounds=0", "window=0"), interns={}))
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
        (["cache.max_gb=0"], ["cache.max_gb: 0 is not above 0"]),
        (["budget_usd=0"], ["budget_usd: 0 is not above 0"]),
        (["budget_usd=1", "judge.api_key_env=MICS_TEST_KEY"], ["judge.price: not given"]),
        (
            ["budget_usd=1", "judge.api_key_env=MICS_TEST_KEY", "judge.price.cached_input_per_mtok=0"],
            ["judge.price: not given"],
        ),
        (["judge.price.cached_input_per_mtok=-0.5"], ["judge.price.cached_input_per_mtok: -0.5 is below 0"]),
        (["judge.price.output_per_mtok=.nan"], ["judge.price.output_per_mtok: nan is below 0"]),
    ],
)
def test_what_is_refused(overrides: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICS_TEST_KEY", "set")
    message = refusal(composed(*overrides))
    assert [word for word in words if word not in message] == [], message


def test_trusted_code_needs_a_full_commit_and_nothing_less() -> None:
    def trusting(revision: str) -> Config:
        return composed("interns.tiny_internvl.trust_remote_code=true", f"interns.tiny_internvl.revision='{revision}'")

    check_job(trusting(COMMIT))
    for less in (COMMIT[:-1], f"{COMMIT}0", COMMIT[:-1] + "g", f"v-{COMMIT}", "main"):
        assert "interns.tiny_internvl" in refusal(trusting(less))


def test_two_models_of_one_name_are_refused() -> None:
    config = composed()
    double = {"tiny_internvl": ModelConfig("m", base_url=PUBLIC), "b": ModelConfig("n", base_url=PUBLIC)}
    assert "'tiny_internvl' names two models" in refusal(replace(config, mentors=double))
    judge = {"judge": ModelConfig("m", base_url=PUBLIC), "b": ModelConfig("n", base_url=PUBLIC)}
    assert "'judge' names two models" in refusal(replace(config, mentors=judge))


def test_a_set_key_is_accepted_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICS_TEST_KEY", "sk-canary")
    config = composed("judge.api_key_env=MICS_TEST_KEY")
    check_job(config)
    assert "sk-canary" not in refusal(replace(config, window=0))
    monkeypatch.setenv("MICS_TEST_KEY", "")
    assert "is not set" in refusal(config)


def test_input_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    assert "data.cases: no such file: /nowhere/cases.jsonl" in refusal(composed("data.cases=/nowhere/cases.jsonl"))
    assert "data.image_root: no such folder: /nowhere" in refusal(composed("data.image_root=/nowhere"))


def test_a_range_of_replicas_is_read() -> None:
    config = composed("interns.tiny_internvl.replicas={min: 1, max: 4}")
    check_job(config)
    assert replica_range(config.interns["tiny_internvl"].replicas) == Replicas(1, 4)
    assert replica_range(3) == Replicas(3, 3)


@pytest.mark.parametrize(
    ("entry", "room"),
    [
        ("{model: m, max_tokens: 4096}", 4096),
        ("{model: m, extra_body: {max_tokens: null, max_completion_tokens: 9000}}", 9000),
        ("{model: m, max_tokens: 64, extra_body: {max_tokens: null, max_output_tokens: 32}}", 32),
        ("{model: m, extra_body: {max_tokens: 5000}}", 5000),
        ("{model: m, max_tokens: 100, extra_body: {max_tokens: null}}", 100),
        ("{model: m, max_tokens: 4096, extra_body: {max_completion_tokens: true, top_k: 99999}}", 4096),
    ],
)
def test_budget_and_quotas_set_aside_what_a_reply_may_take_under_any_name(entry: str, room: int) -> None:
    price = "price: {input_per_mtok: 0.0, output_per_mtok: 1.0}"
    config = composed(f"judge={entry[:-1]}, {price}}}")
    request = build_judge_template(config)
    assert request.max_tokens == room
    assert bound_cost(config.judge.price, request, None) >= room / 1e6
