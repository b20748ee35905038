"""The embedded interns: small, trained on the prompt that is sent, better with better prefixes."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

import mics_ray.local
from mics_ray.local.findings import FINDINGS, REGIONS
from mics_ray.local.training.intern_report import render_interns
from mics_ray.local.training.intern_texts import (
    KINDS,
    NOTHING_YET,
    make_sample,
    number_steps,
    read_template,
    sample_description,
    sample_short_writing,
    sample_writing,
)

ROOT = Path(__file__).parents[3]
INTERNS = Path(mics_ray.local.__file__).parent / "interns"
FORMS = ("internvl", "qwen25vl")


@pytest.fixture(scope="module")
def metrics() -> Any:
    return json.loads((INTERNS / "metrics.json").read_text(encoding="utf-8"))


def test_the_weights_are_small_and_there() -> None:
    sizes = [(INTERNS / form / "model.safetensors").stat().st_size for form in FORMS]
    assert all(size > 1_000_000 for size in sizes)
    assert sum(sizes) <= 16 * 2**20


EXAMPLE = ', such as "### The final answer is: Horseshoe kidney"'


def test_they_were_trained_on_the_default_prompt_without_its_example(metrics: Any) -> None:
    template = read_template(ROOT / "conf" / "prompts" / "default.yaml", "intern")
    assert template.count(EXAMPLE) == 1
    trained = template.replace(EXAMPLE, "")
    assert hashlib.sha256(trained.encode()).hexdigest() == metrics["prompt_sha256"], "train the interns again"


@pytest.mark.parametrize("form", FORMS)
def test_better_prefixes_make_better_answers(metrics: Any, form: str) -> None:
    right = {kind: scores["0.0"]["right"] for kind, scores in metrics["interns"][form]["scores"].items()}
    assert right["misleading"] < 0.3 < right["neutral"] < right["narrowing"] < right["naming"]
    assert right["other_picture"] < 0.2


def test_the_readme_is_what_was_measured(metrics: Any) -> None:
    assert (INTERNS / "README.md").read_text(encoding="utf-8") == render_interns(metrics)


def test_prefixes_are_numbered_steps_or_nothing_yet() -> None:
    assert number_steps([]) == NOTHING_YET
    assert number_steps(["One.", "Two."]) == "### Step 1: One.\n\n### Step 2: Two."


@pytest.mark.parametrize("kind", KINDS)
def test_an_exercise_is_the_same_for_the_same_seed_and_ends_with_the_prefix(kind: str) -> None:
    one = make_sample("{question}|{prefix}", kind, 3, seed=8)
    assert one == make_sample("{question}|{prefix}", kind, 3, seed=8)
    assert one.prompt.split("|")[1].startswith(NOTHING_YET if kind == "none" else "### Step 1: ")
    assert one.target.startswith("### The final answer is: ")


@pytest.mark.parametrize("exercise", [sample_writing, sample_short_writing])
@pytest.mark.parametrize("finding", range(len(FINDINGS)))
def test_a_chain_to_write_is_about_its_film_alone_and_ends_with_the_answer(exercise: Any, finding: int) -> None:
    for seed in range(20):
        text = exercise(finding, random.Random(seed)).target.casefold()
        assert text.endswith(f"### the final answer is: {FINDINGS[finding].answer.casefold()}")
        told = [index for index, each in enumerate(FINDINGS) if any(one.casefold() in text for one in each.evidence)]
        assert told == [finding]


def test_a_description_is_the_evidence_perhaps_behind_its_region_and_no_answer() -> None:
    for finding, each in enumerate(FINDINGS):
        told = {sample_description(finding, random.Random(seed)).target for seed in range(40)}
        regions = {f"{region} {evidence}" for region in REGIONS[each.region] for evidence in each.evidence}
        assert told == {*each.evidence, *regions}
