"""METHOD's search over simulated mentors and interns as good as the tiny ones: the outcomes are mixed by themselves."""

import random
import re
from collections import Counter
from pathlib import Path

import yaml

from mics_ray.local.findings import FINDINGS, REGIONS, Finding
from mics_ray.local.mentors import SKILLS, write_reply

TEMPLATE = yaml.safe_load(Path("conf/prompts/default.yaml").read_text(encoding="utf-8"))["mentor"]
CASES = 200
FAINT_SHARE = 0.45
CLEAR, FAINT = (2.4, 0.6), (0.9, 2.1)
"""Beta parameters of how well an intern understands a picture; .57 on average (mics_ray/local/interns/README.md)."""


def asked(finding: Finding, number: int, prefix: list[str]) -> str:
    notes = f"Complaint: Cough.\nAge: {20 + number} years\nGender: Male\nFindings: {finding.evidence[number % 2]}"
    past = "\n\n".join(f"### Step {k}: {s}" for k, s in enumerate(prefix, 1)) or "(nothing yet)"
    return TEMPLATE.format(
        question="?", answer=finding.answer, notes=notes, shown="age", prefix=past, next_step=len(prefix) + 1
    )


def chance(finding: Finding, steps: list[str], picture: float) -> float:
    """That an intern is right: the last evidence in its prefix counts, then the last region, then the picture."""
    text = " ".join(steps).casefold()
    seen = [(text.rfind(s.casefold()), f is finding) for f in FINDINGS for s in f.evidence]
    where = [(text.rfind(s.casefold()), name == finding.region) for name, lines in REGIONS.items() for s in lines]
    for found, missed in ((max(seen), 0.16), (max(where), 0.47)):
        if found[0] >= 0:
            return 1 - missed * (1 - picture) if found[1] else 0.24 * picture
    return picture


def outcome(number: int) -> tuple[str, int]:
    """(outcome, round) of one case: 3 mentors, 2 interns with 2 votes each, 4 rounds, one restart of a dead end."""
    rng, finding = random.Random(number), FINDINGS[number % 8]
    kind = FAINT if rng.random() < FAINT_SHARE else CLEAR
    pictures = [understood for understood in (rng.betavariate(*kind), rng.betavariate(*kind)) for _ in range(2)]
    for attempt in (1, 2):
        prefix: list[str] = []
        rest: dict[str, list[str]] = {}
        for depth in (1, 2, 3, 4):
            chains = {m: rest.get(m) for m in SKILLS}
            for model in set(SKILLS) - set(rest):
                text = write_reply(model, asked(finding, number, prefix), 1.2, 100 * attempt + depth)
                chains[model] = re.findall(r"^### Step \d+: (.*)$", text, re.M)
            scored = [
                (sum(rng.random() < chance(finding, [*prefix, chain[0]], p) for p in pictures) / 4, rng.random(), model)
                for model, chain in chains.items()
                if chain
            ]
            score, _, best = max(scored)
            if score == 1:
                return "solved", depth
            if score == 0:
                break
            chain = chains[best] or []
            prefix, rest = [*prefix, chain[0]], {best: chain[1:]}
        else:
            return "depth", depth
    return "dead_end", depth


def test_outcomes_are_mixed() -> None:
    outcomes = Counter(outcome(number) for number in range(CASES))
    dead = sum(count for (name, _), count in outcomes.items() if name == "dead_end") / CASES
    first = outcomes["solved", 1] / CASES
    assert min(first, dead, 1 - first - dead) >= 0.1, outcomes
    assert max(first, dead, 1 - first - dead) <= 0.7, outcomes
