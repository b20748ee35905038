"""The embedded staff model: small, taught by the simulated mentors and judge on the prompts that are sent."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

import mics_ray.local
from mics_ray.core.reading.text import parse_continuation
from mics_ray.core.reading.verdict import parse_verdict
from mics_ray.core.types import Verdict
from mics_ray.local.findings import FINDINGS
from mics_ray.local.training.staff_texts import read_staff_prompts, sample_judge, sample_mentor, vary_template

STAFF = Path(mics_ray.local.__file__).parent / "staff"
PROMPTS = read_staff_prompts(Path(__file__).parents[3] / "conf" / "prompts" / "default.yaml")
FIELD = re.compile(r"\{\w+\}")


@pytest.fixture(scope="module")
def metrics() -> Any:
    return json.loads((STAFF / "metrics.json").read_text(encoding="utf-8"))


def test_the_weights_are_small_and_there() -> None:
    assert 1_000_000 < (STAFF / "model.safetensors").stat().st_size < 8 * 2**20


def test_it_writes_chains_and_tells_findings_apart(metrics: Any) -> None:
    assert metrics["scores"]["chains"] > 0.85
    assert metrics["scores"]["reference answers"] > 0.7
    assert metrics["scores"]["verdicts"] > 0.85


@pytest.mark.heavy
def test_the_readme_is_what_was_measured(metrics: Any) -> None:
    from mics_ray.local.training.train_staff import describe_staff

    assert (STAFF / "README.md").read_text(encoding="utf-8") == describe_staff(metrics)


def test_a_varied_prompt_holds_every_field_once() -> None:
    rng, wanted = random.Random(1), sorted(FIELD.findall(PROMPTS.mentor))
    texts = {vary_template(PROMPTS.mentor, rng) for _ in range(50)}
    assert len(texts) > 10
    assert PROMPTS.mentor in texts
    assert all(sorted(FIELD.findall(text)) == wanted for text in texts)


def test_a_mentors_exercise_goes_on_where_the_prompt_stands() -> None:
    rng = random.Random(2)
    for item in (sample_mentor(PROMPTS, rng) for _ in range(40)):
        told = parse_continuation(item.told)
        assert told is not None
        assert told.answer == FINDINGS[item.drawn].answer
        so_far = item.prompt.partition("## Reasoning so far\n")[2].partition("\n## ")[0]
        first = 1 + len(re.findall(r"^### Step \d", so_far.partition("\n\nWrite the rest")[0], re.M))
        assert f"Go on with step {first}." in item.prompt
        assert item.told.startswith(f"### Step {first}: ")
        assert (item.pictures, item.system) == (1, PROMPTS.system)


def test_a_judges_exercise_is_one_word_and_half_of_them_are_yes() -> None:
    rng = random.Random(3)
    items = [sample_judge(PROMPTS, rng) for _ in range(400)]
    assert {item.told for item in items} == {"Yes", "No"}
    assert all(parse_verdict(item.told) is not Verdict.UNKNOWN for item in items)
    assert 0.4 < sum(item.told == "Yes" for item in items) / len(items) < 0.6
    assert {item.pictures for item in items} == {0}
    plain = [sample_judge(PROMPTS, rng, 1.0) for _ in range(50)]
    names = {finding.answer for finding in FINDINGS}
    assert {item.prompt.split("## Answer to check\n")[1].split("\n")[0] for item in plain} <= names
