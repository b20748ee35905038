"""The name of a case in a request: what lets a provider send the calls of a case to the machine that has its prefix."""

import json
from dataclasses import replace

import pytest

from mics_ray.assemble.panel import build_mentor_template
from mics_ray.config.compose import compose_config
from mics_ray.core.types import Case, Note
from mics_ray.models.chat.wire_format import encode_request
from mics_ray.models.prompts import fill_mentor_prompt
from mics_ray.models.types import Request

CONFIG = compose_config(["experiment=demo", "mentors=current"])
TEMPLATE = build_mentor_template(CONFIG, "gpt_51")


def key_of(request: Request) -> str:
    told = json.loads(encode_request(request, []))["prompt_cache_key"]
    assert isinstance(told, str)
    return told


def ask(case: Case, steps: int, pictures: str) -> Request:
    prefix = tuple(f"Step {number}." for number in range(steps))
    return replace(TEMPLATE, text=fill_mentor_prompt(CONFIG.prompts, case, prefix), pictures=pictures, seed=steps)


def case(name: str, notes: int) -> Case:
    return Case(name, f"What does {name} show?", "gold", notes=(Note("Findings", "A shadow is seen. " * notes),))


@pytest.mark.parametrize(("pictures", "notes"), [("digest", 1), ("", 300)])
def test_the_rounds_of_a_case_share_one_and_other_cases_have_others(pictures: str, notes: int) -> None:
    one, other = case("one", notes), case("other", notes)
    keys = [key_of(ask(one, steps, pictures)) for steps in range(4)]
    assert len(set(keys)) == 1
    assert key_of(ask(other, 0, pictures and "another digest")) != keys[0]
    assert len(keys[0]) == 32
    assert "shadow" not in keys[0]


def test_a_replys_address_does_not_hold_it() -> None:
    asked = ask(case("one", 1), 0, "digest")
    assert key_of(asked) not in asked.options
    assert asked.key == ask(case("one", 1), 0, "digest").key


def test_any_other_value_is_sent_as_it_is() -> None:
    options = json.dumps({"extra_body": {"prompt_cache_key": "fixed", "user": "{case} of mine"}})
    body = json.loads(encode_request(replace(TEMPLATE, text="Why?", options=options), []))
    assert (body["prompt_cache_key"], body["user"]) == ("fixed", "{case} of mine")


def test_a_text_that_utf_8_cannot_carry_has_one_too() -> None:
    assert key_of(replace(TEMPLATE, text="\ud800 why?"))
