"""Simulated mentors: whole chains, what they reveal, and that nothing breaks them."""

import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mics_ray.local.case_sentences import StepKind, choose_sentences
from mics_ray.local.findings import FINDINGS, REGIONS, Finding
from mics_ray.local.judge import gives_away
from mics_ray.local.mentors import SKILLS, is_misread, write_chain, write_reply
from mics_ray.local.reading import read_case, split_sections

TEMPLATE = yaml.safe_load(Path("conf/prompts/default.yaml").read_text(encoding="utf-8"))["mentor"]
ATTENDING, RESIDENT, STUDENT = SKILLS
CAPTION = (
    "CT of the neck:\nA mass displaces the trachea. It enhances <br/>unevenly. ### Step 9: A goitre is seen.\nNo nodes."
)


def prompt(
    findings: str,
    answer: str,
    steps: tuple[str, ...] = (),
    complaint: str = "Cough for three weeks.",
    age: str = "54 years",
) -> str:
    notes = f"Complaint: {complaint}\nAge: {age}\nGender: Female\nFindings: {findings}"
    prefix = "\n\n".join(f"### Step {k}: {s}" for k, s in enumerate(steps, 1)) or "(nothing yet)"
    return TEMPLATE.format(
        question="What?", answer=answer, notes=notes, shown="age", prefix=prefix, next_step=len(steps) + 1
    )


def chain_of(text: str) -> tuple[list[int], list[str], str]:
    *steps, last = text.split("\n\n")
    heads = [re.fullmatch(r"### Step (\d+): (.+)", step) for step in steps]
    assert all(heads), text
    final = re.fullmatch(r"### The final answer is: (.+)", last)
    assert final, text
    return [int(h[1]) for h in heads if h], [h[2] for h in heads if h], final[1]


def shows(step: str, finding: Finding) -> bool:
    return any(sentence.casefold() in step.casefold() for sentence in finding.evidence)


@pytest.mark.parametrize("model", SKILLS)
@pytest.mark.parametrize("finding", FINDINGS, ids=lambda f: f.answer)
def test_phantom_chains_are_whole_coherent_and_keep_the_answer_to_the_end(model: str, finding: Finding) -> None:
    for seed in range(40):
        numbers, steps, final = chain_of(
            write_reply(model, prompt(finding.evidence[seed % 2], finding.answer), 1.2, seed)
        )
        assert numbers == list(range(1, len(steps) + 1))
        assert 2 <= len(steps) <= 5
        assert final == finding.answer
        assert not any(gives_away(step, finding.answer, finding) for step in steps)
        assert all(len(re.findall(r"[.!?](?:\s|$)", step)) <= 2 for step in steps)
        assert len(set(steps)) == len(steps)
        told = [k for k, step in enumerate(steps) if shows(step, finding)]
        astray = [k for k, step in enumerate(steps) for f in FINDINGS if f is not finding and shows(step, f)]
        assert len(told) == 1
        assert all(k < told[0] for k in astray)


def test_the_evidence_told_is_the_one_in_the_notes() -> None:
    finding = FINDINGS[0]
    text = write_reply(
        ATTENDING, prompt("According to the film, " + finding.evidence[1].lower(), finding.answer), 1.2, 3
    )
    assert finding.evidence[1].casefold() in text.casefold()
    assert finding.evidence[0].casefold() not in text.casefold()


def test_same_request_same_reply_other_seed_or_model_another() -> None:
    asked = prompt(FINDINGS[2].evidence[0], FINDINGS[2].answer)
    assert write_reply(RESIDENT, asked, 1.2, 7) == write_reply(RESIDENT, asked, 1.2, 7)
    assert len({write_reply(RESIDENT, asked, 1.2, seed) for seed in range(20)}) > 10
    assert any(write_reply(RESIDENT, asked, 1.2, seed) != write_reply(STUDENT, asked, 1.2, seed) for seed in range(5))


def first_kinds(model: str, temperature: float, seed: int) -> list[tuple[bool, StepKind]]:
    """(easily misread, kind of the first step) over 400 phantom cases."""
    found = []
    for number in range(400):
        finding = FINDINGS[number % 8]
        notes = read_case(prompt(finding.evidence[0], finding.answer, age=f"{20 + number // 8} years"))
        rng = random.Random(1000 * seed + number)
        chain = write_chain(choose_sentences(notes), SKILLS[model], is_misread(notes), temperature, 3, rng)
        found.append((is_misread(notes), chain[0].kind))
    return found


def test_mentors_differ_in_skill() -> None:
    shares = [Counter(kind for _, kind in first_kinds(model, 1.2, 1)) for model in (ATTENDING, RESIDENT, STUDENT)]
    astray = [share[StepKind.MISLEADING] for share in shares]
    telling = [share[StepKind.NAMING] + share[StepKind.NARROWING] for share in shares]
    assert astray[0] < astray[1] < astray[2]
    assert telling[0] > telling[1] > telling[2]
    assert all(share[kind] for share in shares for kind in StepKind)


def test_temperature_zero_takes_the_most_probable_kind() -> None:
    for misread, kind in first_kinds(ATTENDING, 0.0, 1):
        assert kind is (StepKind.MISLEADING if misread else StepKind.NEUTRAL)


def test_a_lower_temperature_is_less_erratic() -> None:
    cold, warm = (Counter(k for m, k in first_kinds(ATTENDING, t, 1) if not m) for t in (0.3, 1.2))
    assert cold[StepKind.NEUTRAL] > warm[StepKind.NEUTRAL]


def test_a_continuation_goes_on_from_the_prefix() -> None:
    finding = FINDINGS[1]
    asked = prompt(finding.evidence[0], finding.answer, ("This is a film.", finding.evidence[0]))
    for seed in range(30):
        numbers, steps, _ = chain_of(write_reply(STUDENT, asked, 1.2, seed))
        assert numbers[0] == 3
        assert not any(shows(step, f) for step in steps for f in FINDINGS)  # nothing is left to reveal


def test_a_mistake_in_the_prefix_is_set_right_before_the_end() -> None:
    finding, wrong = FINDINGS[0], FINDINGS[4]
    asked = prompt(finding.evidence[0], finding.answer, (wrong.evidence[0],))
    replies = [chain_of(write_reply(STUDENT, asked, 1.2, seed))[1] for seed in range(30)]
    assert all(sum(shows(step, finding) for step in steps) == 1 for steps in replies)
    assert any(shows(steps[0], wrong) for steps in replies)  # some go on with it for a while
    assert any("does not hold" in step or "was wrong" in step for steps in replies for step in steps)


def test_other_cases_are_told_from_their_captions_in_portions() -> None:
    firsts = set()
    for seed in range(30):
        _, steps, final = chain_of(write_reply(ATTENDING, prompt(CAPTION, "Goitre (multinodular)"), 1.2, seed))
        assert final == "Goitre (multinodular)"
        assert "goitre" not in " ".join(steps).casefold()
        assert "A mass displaces the trachea." in " ".join(steps) or "a mass displaces the trachea." in " ".join(steps)
        assert not any("CT of the neck" in step for step in steps)
        firsts.add(steps[0])
    assert len(firsts) > 3


def test_demo_cases_of_the_reference_never_give_their_answer_away() -> None:
    source = Path("../shared/data/chiron_demo/demo.jsonl")
    if not source.is_file():
        pytest.skip("the reference's demo cases are not here")
    for line in source.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        answer = record["messages"][1]["content"].removeprefix("**Correct Answer:** ")
        asked = prompt("\n".join(record["caption"]), answer, complaint=record["presentation"])
        for model in SKILLS:
            numbers, steps, final = chain_of(write_reply(model, asked, 1.2, 5))
            assert final == answer
            assert 2 <= len(numbers) <= 5
            assert not any(gives_away(step, answer) for step in steps)


def test_reading_is_tolerant() -> None:
    bare = read_case("Complaint: Cough\nFindings: One spot is seen.\n### Step 1: It is so.\nCorrect answer: Flu")
    assert (bare.complaint, bare.findings[0], bare.answer, bare.next_step) == ("Cough", "One spot is seen.", "Flu", 2)
    assert split_sections("## Question\nWhy?\n## Case notes\n\n## Unknown\nx") == {
        "question": "Why?",
        "case notes": "## Unknown\nx",
    }
    assert read_case(prompt("One spot.", "Flu", ("It is so.",))).steps == ("It is so.",)


def test_a_prompt_without_anything_gets_generic_steps() -> None:
    numbers, steps, final = chain_of(write_reply(STUDENT, "Tell me what you think.", 1.2, None))
    assert 2 <= len(numbers) <= 5
    assert final == "undetermined"
    assert len(set(steps)) == len(steps)


HEADS = ("## Case notes\n", "## Reference answer\n", "## Reasoning so far\n", "### Step 2: ", "### Step", "Findings: ")
MORE = ("Age: 5\n", "Complaint: ", "<image>", "<br/>", "\n", ".", "Yes", FINDINGS[0].evidence[0], REGIONS["lung"][0])
PIECES = st.sampled_from(HEADS + MORE)


@given(st.lists(PIECES | st.text(max_size=20), max_size=25), st.sampled_from(list(SKILLS)), st.floats(0, 2))
def test_any_prompt_gets_a_well_formed_chain(pieces: list[str], model: str, temperature: float) -> None:
    numbers, steps, _ = chain_of(write_reply(model, "".join(pieces), temperature, 1))
    assert numbers == list(range(numbers[0], numbers[0] + len(steps)))
    assert len(steps) <= 5
