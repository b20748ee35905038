"""Overrides below mappings that take any name: with and without ``+``, in their order, never an entry made anew."""

import pytest

from mics_ray.config.compose import compose_config
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


def test_a_new_entry_and_its_mapping_come_together() -> None:
    config = compose_config([DEMO, "interns.mine.engine_kwargs.max_num_seqs=4", "+interns.mine.model=org/model"])
    assert config.interns["mine"].engine_kwargs == {"max_num_seqs": 4}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("interns.tiny_internv.engine_kwargs.a=1", ["'interns.tiny_internv'", "'tiny_internvl'"]),
        ("+interns.tiny_internv.engine_kwargs.a=1", ["'interns.tiny_internv'", "'tiny_internvl'"]),
        (f"{INTERN}.engine_kwarg.a=1", ["engine_kwarg", "'engine_kwargs'"]),
        ("judge.headers.X=[1]", ["judge.headers"]),
    ],
)
def test_what_is_misspelt_is_refused_with_the_nearest_name(override: str, words: list[str]) -> None:
    with pytest.raises(RefusedRun) as caught:
        compose_config([DEMO, override])
    assert all(word in str(caught.value) for word in words), str(caught.value)
