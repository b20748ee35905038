"""From a configuration to the objects of a search: METHOD's presets line by line."""

import json
from dataclasses import replace
from typing import Any

import pytest

from mics_ray.assemble.checks import check_job
from mics_ray.assemble.estimate import estimate_job
from mics_ray.assemble.panel import (
    PanelBuilder,
    build_intern_template,
    build_judge_template,
    build_mentor_template,
    build_strategy,
)
from mics_ray.config.compose import compose_config
from mics_ray.config.schema import Config, Engine, ModelConfig, SearchConfig
from mics_ray.core.best_of_n import BestOfN
from mics_ray.core.mics import Mics
from mics_ray.core.types import Case, Note
from mics_ray.errors import RefusedRun
from mics_ray.models.chat.wire_format import encode_request
from mics_ray.models.replies.pricing import bound_cost
from mics_ray.models.roles import UsageMeter
from mics_ray.models.types import Pictures, Reply, Request, decode_options, read_choice
from tests.support.demo_config import compose_demo, preset_of_demo

NAMES = ("a", "b")
PUBLIC = "https://example.org/v1"
JUDGE_HERE = ("judge.engine=vllm", "judge.model=embedded:interns/internvl")
MENTOR_HERE = ("mentors.simulated_student.engine=vllm", "mentors.simulated_student.model=embedded:interns/internvl")


def preset(name: str) -> SearchConfig:
    return preset_of_demo(name).search


def test_paper() -> None:
    """METHOD's table, first column; four rounds of one step, product over the winners, one restart, quality control."""
    search = preset("paper")
    assert search == compose_config(["experiment=demo"]).search
    assert (search.intern_temperatures, search.intern_sampling) == ([0.3, 1.2], {"top_p": 0.9})
    assert (search.mentor_temperature, search.judge_temperature) == (1.2, 0.0)
    assert build_strategy(search, NAMES) == Mics(NAMES, max_rounds=4, first_steps=1, competitiveness="product")
    assert (search.restarts, search.quality_control) == (1, True)


def test_reference() -> None:
    """METHOD's table, second column; three rounds, the first of two steps, 1 + sum, no restart, no quality control."""
    search = preset("reference")
    assert (search.intern_temperatures, search.intern_sampling) == ([1.2, 0.2], "model")
    assert (search.mentor_temperature, search.judge_temperature) == (1.2, 0.9)
    assert build_strategy(search, NAMES) == Mics(NAMES, max_rounds=3, first_steps=2, competitiveness="sum")
    assert (search.restarts, search.quality_control) == (0, False)


def test_best_of_n() -> None:
    assert build_strategy(preset("best_of_n"), NAMES) == BestOfN(NAMES)


def test_the_defaults_of_the_schema_are_the_papers_but_for_what_runs_before_did_not_know() -> None:
    """Their recorded configurations do not name it: what they leave out must be read as it was."""
    assert replace(SearchConfig(), match_gold=True) == preset("paper")


def test_the_papers_models() -> None:
    config = compose_config(["mentors=paper", "interns=paper", "judge=deepseek", "data.cases=c.jsonl", "run.dir=r"])
    assert (len(config.mentors), len(config.interns)) == (3, 3)
    assert config.pictures.mentor_max_side == 512
    assert {intern.max_tokens for intern in config.interns.values()} == {2048}
    for name in ("qwen2_vl_7b", "qwen25_vl_7b"):
        assert config.interns[name].processor_kwargs == {"min_pixels": 256 * 28 * 28, "max_pixels": 1280 * 28 * 28}
    assert config.interns["internvl3_8b"].processor_kwargs == {"max_patches": 12}


class Echo:
    """A fake model that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Request, Pictures | None]] = []

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        self.asked.append((request, pictures))
        return Reply("Yes\n### Step 1: Look.\n### The final answer is: gold")


async def test_the_panel_speaks_with_the_presets_temperatures_and_each_roles_pictures() -> None:
    config = replace(
        compose_demo(search="reference"),
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
    config = compose_demo(*JUDGE_HERE, *MENTOR_HERE)
    echo, shown = Echo(), (Pictures("d1", (b"1",)), Pictures("d2", (b"2",)))
    builder = PanelBuilder(config, dict.fromkeys([*config.mentors, *config.interns, "judge"], echo))
    panel, case = builder.build_panel(*shown, UsageMeter()), Case("c", "Q?", "gold", ("p.png",), ())
    await panel.judge.compare(case, "gold", 3)
    await panel.mentors["simulated_student"].propose(case, (), 1)
    await panel.interns["tiny_internvl"].finish(case, (), 0.2, 2)
    (judged, _), (proposed, pictures), (finished, _) = echo.asked
    assert read_choice(judged.options) == ["Yes", "No"]
    assert (proposed.options, decode_options(finished.options)) == ("", {"sampling": {"top_p": 0.9}})
    assert (pictures, proposed.system) == (shown[0], config.prompts.mentor_system)
    asked_an_api = build_judge_template(compose_demo())
    assert asked_an_api.options == ""
    assert replace(asked_an_api, options=judged.options).key != asked_an_api.key


@pytest.mark.parametrize(
    ("overrides", "search", "told"),
    [
        ((), "paper", {"sampling": {"top_p": 0.9}}),
        ((), "best_of_n", {"sampling": {"top_p": 0.9}}),
        ((), "reference", {"sampling": "model"}),
        (("search.intern_sampling=null",), "paper", {}),
        (("search.intern_sampling={top_k: 20}",), "paper", {"sampling": {"top_p": 0.9, "top_k": 20}}),
        (("interns.tiny_internvl.sampling={top_k: 20}",), "paper", {"sampling": {"top_k": 20}}),
        (("interns.tiny_internvl.sampling={}",), "paper", {}),
        (("interns.tiny_internvl.sampling=model",), "paper", {"sampling": "model"}),
        (("interns.tiny_internvl.sampling={min_p: 0.1}",), "reference", {"sampling": {"min_p": 0.1}}),
    ],
)
def test_interns_sample_as_their_entry_says_and_else_as_the_preset(
    overrides: tuple[str, ...], search: str, told: dict[str, Any]
) -> None:
    config = compose_demo(*overrides, search=search)
    check_job(config)
    assert decode_options(build_intern_template(config, "tiny_internvl").options) == told


def test_an_api_is_told_the_parameters_and_of_the_models_own_nothing() -> None:
    def send(config: Config) -> dict[str, Any]:
        request = replace(build_intern_template(config, "tiny_internvl"), text="?")
        sent: dict[str, Any] = json.loads(encode_request(request, []))
        return {name: value for name, value in sent.items() if name not in ("model", "messages", "temperature", "seed")}

    here = compose_demo().interns["tiny_internvl"]
    entry = replace(here, engine=Engine.endpoint, base_url=PUBLIC, model="m", max_tokens=9)
    sampled = {"top_p": 0.8, "top_k": 20, "min_p": 0.05, "repetition_penalty": 1.1}
    for search, sampling, body, told in (
        ("paper", None, {}, {"top_p": 0.9}),
        ("reference", None, {}, {}),
        ("paper", "model", {}, {}),
        ("paper", {}, {}, {}),
        ("paper", sampled, {}, sampled),
        ("paper", sampled, {"top_k": None, "top_p": 0.5}, sampled | {"top_p": 0.5}),
    ):
        own = replace(entry, sampling=sampling, extra_body=body)
        left_out = {name for name, value in body.items() if value is None}
        wanted = {name: value for name, value in told.items() if name not in left_out} | {"max_tokens": 9}
        assert send(replace(compose_demo(search=search), interns={"tiny_internvl": own})) == wanted


def test_another_sampling_is_another_reply_of_any_role() -> None:
    def keys(*overrides: str) -> list[bytes]:
        config = compose_demo(*overrides)
        templates = (build_mentor_template(config, "simulated_student"), build_judge_template(config))
        return [one.key for one in (*templates, build_intern_template(config, "tiny_internvl"))]

    mentor, judge, intern = keys()
    assert keys("mentors.simulated_student.sampling={top_p: 0.5}")[0] != mentor
    assert keys("judge.sampling={top_k: 1}")[1] != judge
    others = [
        keys(f"interns.tiny_internvl.sampling={said}")[2] for said in ("model", "{}", "{top_p: 0.91}", "{top_p: 0.9}")
    ]
    assert len({intern, *others}) == 4
    assert others[-1] == intern


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "interns.tiny_internvl.sampling={topk: 3}",
            "interns.tiny_internvl.sampling: unknown name 'topk'; did you mean 'top_k'?",
        ),
        ("mentors.simulated_student.sampling=modle", "mentors.simulated_student.sampling: must be model or"),
        ("judge.sampling={top_p: 2}", "judge.sampling: top_p 2 is not above 0 and at most 1"),
        ("search.intern_sampling=0.9", "search.intern_sampling: must be model or"),
        ("interns.tiny_internvl={sampling: model, engine_kwargs: {generation_config: vllm}}", "leaves that out"),
    ],
)
def test_sampling_that_cannot_be_is_refused_by_name(override: str, said: str) -> None:
    with pytest.raises(RefusedRun) as refused:
        check_job(compose_demo(override))
    assert said in str(refused.value)


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
    config = compose_demo(f"judge={entry[:-1]}, {price}}}")
    request = build_judge_template(config)
    assert request.max_tokens == room
    assert bound_cost(config.judge.price, request, None) >= room / 1e6


def test_the_estimate_counts_the_questions_of_a_leak_judge() -> None:
    sample = [Case("c", "What is it?", "Bulla", ())]
    plain, judged = (
        estimate_job(compose_demo(*more), sample, cases=10, rounds=2)[-1] for more in ((), ("leaks.judge=true",))
    )
    # Three candidates a round and two closing steps, beside the verdicts.
    assert judged.calls - plain.calls == 10 * (2 * 3 + 2)
    assert judged.prompt_tokens > plain.prompt_tokens
