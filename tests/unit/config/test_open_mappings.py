"""Overrides below mappings that take any name: with and without ``+``, in their order, never an entry made anew."""

import pytest

from mics_ray.config.compose import compose_config
from mics_ray.config.schema import Engine
from mics_ray.errors import RefusedRun

DEMO = "experiment=demo"
INTERN = "interns.tiny_internvl"


@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_open_mappings_take_names_with_and_without_a_plus(sign: str) -> None:
    given = {
        f"{INTERN}.engine_kwargs.max_num_seqs": 4,
        f"{INTERN}.engine_kwargs.limit_mm_per_prompt.image": 7,
        f"{INTERN}.processor_kwargs.max_patches": 2,
        f"{INTERN}.sampling.top_p": 0.5,
        "search.intern_sampling.top_k": 9,
        "judge.extra_body.provider.order": "[a,b]",
        "judge.headers.X-Team": "mics",
        "judge.query.api-version": "'2026'",
    }
    config = compose_config([DEMO, *(f"{sign}{name}={value}" for name, value in given.items())])
    intern = config.interns["tiny_internvl"]
    assert intern.engine_kwargs == {"max_num_seqs": 4, "limit_mm_per_prompt": {"image": 7}}
    assert intern.processor_kwargs == {"max_patches": 2}
    assert intern.sampling == {"top_p": 0.5}
    assert config.search.intern_sampling == {"top_p": 0.9, "top_k": 9}
    assert config.judge.extra_body == {"provider": {"order": ["a", "b"]}}
    assert config.judge.headers == {"X-Team": "mics"}
    assert config.judge.query == {"api-version": "2026"}


def test_the_last_of_several_overrides_wins() -> None:
    name = f"{INTERN}.engine_kwargs"
    config = compose_config([DEMO, f"{name}.a=1", f"+{name}.a=2", f"{name}={{b: 3}}", f"{name}.b=4"])
    assert config.interns["tiny_internvl"].engine_kwargs == {"a": 2, "b": 4}


@pytest.mark.parametrize("sign", ["", "+"])
@pytest.mark.parametrize(
    "model",
    [
        "interns.mine.model=org/model",
        "interns.mine={model: org/model}",
        "interns.mine={model: x,max_tokens: 9}|interns.mine.model=org/model",
    ],
)
def test_an_entry_comes_with_its_model_whatever_the_order(sign: str, model: str) -> None:
    more = ["interns.mine.engine_kwargs.max_num_seqs=4", f"{sign}interns.mine.replicas=3"]
    config = compose_config([DEMO, *more, *(f"{sign}{one}" for one in model.split("|"))])
    mine = config.interns["mine"]
    assert (mine.model, mine.engine, mine.replicas) == ("org/model", Engine.vllm, 3)
    assert mine.engine_kwargs == {"max_num_seqs": 4}
    assert "tiny_internvl" in config.interns


def test_an_entry_that_is_there_gets_another_model() -> None:
    config = compose_config([DEMO, f"{INTERN}.model=org/model", "mentors.mine.model=m", "judge.model=j"])
    assert config.interns["tiny_internvl"].model == "org/model"
    assert config.interns["tiny_internvl"].max_model_len is not None, "the rest of it stays"
    assert config.mentors["mine"].engine is Engine.endpoint
    assert config.judge.model == "j"


def test_an_entry_that_is_taken_away_is_not_made_anew() -> None:
    assert "tiny_internvl" not in compose_config([DEMO, f"{INTERN}.model=m", f"~{INTERN}"]).interns


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("interns.tiny_internv.engine_kwargs.a=1", ["'interns.tiny_internv'", "'tiny_internvl'"]),
        ("+interns.tiny_internv.engine_kwargs.a=1", ["'interns.tiny_internv'", "'tiny_internvl'"]),
        ("interns.tiny_internv.model=org/model", ["'tiny_internvl'", "with a + before it"]),
        ("interns.mine.replicas=2", ["'interns.mine'"]),
        ("+interns.mine.replicas=2", ["mine"]),
        ("+interns.mine={model: m, replica: 2}", ["replica"]),
        (f"{INTERN}.engine_kwarg.a=1", ["engine_kwarg", "'engine_kwargs'"]),
        ("judge.headers.X=[1]", ["judge.headers"]),
    ],
)
def test_what_is_misspelt_is_refused_with_the_nearest_name(override: str, words: list[str]) -> None:
    with pytest.raises(RefusedRun) as caught:
        compose_config([DEMO, override])
    assert all(word in str(caught.value) for word in words), str(caught.value)
