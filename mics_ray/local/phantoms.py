"""Phantom cases: a simulated patient, a drawn radiograph, a question, a gold answer and case notes, in the JSONL form.

Everything here is made up: no case comes from a patient, and nothing in it is medical knowledge to rely on.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mics_ray.local.findings import FINDINGS
from mics_ray.local.phantom_drawing import FAINT_SHARE, draw_phantom

__all__ = ["DEFAULT_COUNT", "DEFAULT_SEED", "HELD_OUT_QUESTIONS", "make_cases", "write_cases"]

DEFAULT_COUNT = 32  # four cases of each finding
DEFAULT_SEED = 20_261_122  # of the embedded cases; the interns are trained and measured on other seeds

QUESTIONS = (
    "What is the most likely diagnosis on this chest radiograph of a {age}-year-old {sex} patient?",
    "A {age}-year-old {sex} patient presents: {complaint} Which single finding does the film show?",
    "Given the chest film of this {age}-year-old {sex} patient, what is the most likely explanation?",
    "Which abnormality is present on the frontal radiograph of this {age}-year-old {sex} patient?",
    "{complaint} What does the radiograph of this {age}-year-old {sex} patient show?",
    "What is the main finding on this film? The patient is {age} years old and {sex}.",
)
HELD_OUT_QUESTIONS = (
    "Read this chest film of a {age}-year-old {sex} patient and name what is wrong.",
    "{complaint} Which diagnosis does the picture of this {sex} patient, {age} years old, support?",
    "What would you report as the one abnormality of this {age}-year-old {sex} patient's chest?",
    "This {sex} patient is {age}. {complaint} What explains the film best?",
)
"""Wordings that no exercise and no embedded case uses: for measuring what was learnt, not remembered."""
COMPLAINTS = (
    "Shortness of breath for two days.",
    "Chest pain since this morning.",
    "Cough for three weeks.",
    "Check before an operation.",
    "Discomfort in the chest after a fall.",
    "Tired for a month, otherwise well.",
    "Yearly check of a former smoker.",
    "Burning behind the breastbone after meals.",
)
NEUTRAL_REMARKS = (
    "The rest of the film shows nothing remarkable.",
    "Position and exposure of the film are adequate.",
    "No comparison film is available.",
    "The other structures look as expected for the age.",
)
CAPTIONS = (
    "According to the <image>\n, {evidence} {remark}",
    "According to the <image>\n, {evidence}<br/>{remark}",
    "{evidence} {remark}",
)


def _choose_one(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def make_question(rng: np.random.Generator, wordings: Sequence[str] = QUESTIONS) -> tuple[str, int, str, str]:
    """A question with the age, the sex and the complaint that it may mention. None of them tells of the finding."""
    age, sex, complaint = int(rng.integers(19, 91)), _choose_one(rng, ("male", "female")), _choose_one(rng, COMPLAINTS)
    return _choose_one(rng, wordings).format(age=age, sex=sex, complaint=complaint), age, sex, complaint


def _make_caption(finding_index: int, rng: np.random.Generator) -> str:
    form, evidence = _choose_one(rng, CAPTIONS), _choose_one(rng, FINDINGS[finding_index].evidence)
    if not form.startswith("{"):
        evidence = evidence[0].lower() + evidence[1:]
    return form.format(evidence=evidence, remark=_choose_one(rng, NEUTRAL_REMARKS))


def _make_case(number: int, finding_index: int, rng: np.random.Generator, wordings: Sequence[str]) -> dict[str, Any]:
    text, age, sex, complaint = make_question(rng, wordings)
    rid = f"phantom-{number:03d}"
    return {
        "rid": rid,
        "messages": [
            {"role": "user", "content": f"**Question:** {text}"},
            {"role": "assistant", "content": f"**Correct Answer:** {FINDINGS[finding_index].answer}"},
        ],
        "images": [f"images/{rid}.png"],
        "title": f"Simulated chest radiograph {number}",
        "certainty": "Simulated",
        "presentation": complaint,
        "age_label": f"{age} years",
        "gender_label": sex.capitalize(),
        "caption": [_make_caption(finding_index, rng)],
    }


def _plan_findings(count: int, seed: int) -> tuple[list[int], np.random.Generator]:
    """The finding of each case, as even over the eight as ``count`` allows, and the generator for the texts."""
    # Stream 0 is for the texts; case numbers from 1 seed the pictures.
    rng = np.random.default_rng([seed, 0])
    order = np.arange(count) % len(FINDINGS)
    rng.shuffle(order)
    return order.tolist(), rng


def make_cases(count: int, seed: int, wordings: Sequence[str] = QUESTIONS) -> list[dict[str, Any]]:
    """``count`` case records (METHOD's input form) asked in ``wordings``; picture paths begin with ``images/``."""
    order, rng = _plan_findings(count, seed)
    return [_make_case(number, finding, rng, wordings) for number, finding in enumerate(order, start=1)]


def write_cases(
    folder: Path,
    count: int = DEFAULT_COUNT,
    seed: int = DEFAULT_SEED,
    wordings: Sequence[str] = QUESTIONS,
    faint_share: float = FAINT_SHARE,
) -> None:
    """Write ``cases.jsonl`` and ``images/*.png``. A picture depends on the seed, its case number and its finding, and
    on whether it is one of the ``faint_share``."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    order, _ = _plan_findings(count, seed)
    cases = make_cases(count, seed, wordings)
    for number, (case, finding) in enumerate(zip(cases, order, strict=True), start=1):
        draw_phantom(finding, np.random.default_rng([seed, number]), faint_share).save(
            folder / case["images"][0], optimize=True
        )
    lines = (json.dumps(case, ensure_ascii=False) + "\n" for case in cases)
    (folder / "cases.jsonl").write_text("".join(lines), encoding="utf-8")
