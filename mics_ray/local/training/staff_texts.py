"""What the tiny staff model is trained on: prompts of mentors and of the judge, and what the simulated ones reply.

The prompts are those of ``conf/prompts/default.yaml`` and variants of them with other orders and fewer rules, so that a
prompt that is reworded a little is still understood.
"""

import random
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mics_ray.local import judge, mentors
from mics_ray.local.findings import FINDINGS
from mics_ray.local.phantoms import NEUTRAL_REMARKS, make_question
from mics_ray.local.training.intern_texts import WRITING, Sample, make_noise, number_steps, other_than, read_template

MENTORING, JUDGING = WRITING, "judging"
"""Kinds of exercise; chains are written of faint films too, as in the exercise of that name."""
TEACHERS = tuple(mentors.SKILLS)
PREFIX_STEPS = (0, 0, 0, 1, 1, 2, 3, 4)
PLAIN_SHARE = 0.5
"""Of the prompts that are the template as it stands."""
_STEP = re.compile(r"^### Step \d+: (.*)$", re.M)


@dataclass(frozen=True, slots=True)
class StaffPrompts:
    """The templates that mentors and the judge are asked with."""

    system: str
    mentor: str
    judge: str


def read_staff_prompts(prompts: Path) -> StaffPrompts:
    """The templates of a prompts file. Raises ValueError where one is missing."""
    return StaffPrompts(*(read_template(prompts, name) for name in ("mentor_system", "mentor", "judge")))


def vary_template(template: str, rng: random.Random) -> str:
    """The template, or one with its rules and sections in another order and some rules left out, but no field."""
    if rng.random() < PLAIN_SHARE:
        return template
    head, *sections = template.split("\n## ")
    opening, *rules = head.strip().split("\n")
    # A rule that tells something of the case is never left out.
    kept = [rule for rule in rules if rng.random() > 0.25 or "{" in rule]
    rng.shuffle(kept)
    if rng.random() < 0.5:
        rng.shuffle(sections)
    asked = "\n".join([opening, *kept])
    shown = "\n\n".join(f"## {section.strip()}" for section in sections)
    return f"{shown}\n\n{asked}" if rng.random() < 0.4 else f"{asked}\n\n{shown}"


def sample_mentor(prompts: StaffPrompts, rng: random.Random) -> Sample:
    """A mentor's prompt about a phantom and the continuation that a simulated mentor writes."""
    drawn = rng.randrange(len(FINDINGS))
    finding = FINDINGS[drawn]
    asked, age, sex, complaint = make_question(np.random.default_rng(rng.getrandbits(48)))
    caption = f"{rng.choice(finding.evidence)} {rng.choice(NEUTRAL_REMARKS)}"
    notes = f"Complaint: {complaint}\nAge: {age} years\nGender: {sex.capitalize()}\nFindings: {caption}"
    fields = {"question": asked, "answer": finding.answer, "notes": notes, "shown": "complaint, age, gender"}
    plain = prompts.mentor.format(**fields, prefix=number_steps([]), next_step=1)
    steps = _STEP.findall(_ask_teacher(plain, rng))[: rng.choice(PREFIX_STEPS)]
    template = vary_template(prompts.mentor, rng)
    prompt = template.format(**fields, prefix=number_steps(steps), next_step=len(steps) + 1)
    # The teacher reads the plain prompt: it knows the sections by their headings alone.
    told = _ask_teacher(prompts.mentor.format(**fields, prefix=number_steps(steps), next_step=len(steps) + 1), rng)
    return Sample(prompt, drawn, drawn, MENTORING, told, 1, prompts.system.format())


def sample_judge(prompts: StaffPrompts, rng: random.Random, plain: float = 0.4) -> Sample:
    """A judge's prompt about two findings, half of the time the same one, and the simulated verdict.

    ``plain`` is the share of candidates that are a finding's own name; others are synonyms and other spellings.
    """
    drawn = rng.randrange(len(FINDINGS))
    told = drawn if rng.random() < 0.5 else other_than(drawn, rng)
    candidate = FINDINGS[told].answer
    if rng.random() >= plain:
        candidate = rng.choice((candidate, *FINDINGS[told].synonyms, make_noise(rng, rng.randrange(1, 7))))
        candidate = rng.choice((candidate, candidate.lower(), f"{candidate}."))
    asked = make_question(np.random.default_rng(rng.getrandbits(48)))[0]
    fields = {"question": asked, "answer": FINDINGS[drawn].answer, "candidate": candidate}
    verdict = judge.write_verdict(prompts.judge.format(**fields), 0.0, rng)
    return Sample(vary_template(prompts.judge, rng).format(**fields), drawn, drawn, JUDGING, verdict, 0)


def _ask_teacher(prompt: str, rng: random.Random) -> str:
    return mentors.write_reply(rng.choice(TEACHERS), prompt, 1.2, rng.getrandbits(32))
