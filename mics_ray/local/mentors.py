"""How simulated mentors write: complete continuations of a chain whose steps differ in how much they reveal.

A mentor's skill is how probable each kind of step is for it. A share of the cases is easily misread, which ones depends
on their notes alone and is the same for all mentors; there misleading steps are more probable. Every chain finds to the
evidence before its final answer, which is the reference answer.
"""

import random
from dataclasses import dataclass
from hashlib import blake2b

from mics_ray.local.case_sentences import CaseSentences, StepKind, choose_sentences
from mics_ray.local.reading import CaseNotes, read_case

LENGTHS = (2, 3, 3, 4, 4, 5)  # steps of a whole chain, drawn from these
KINDS = tuple(StepKind)
MISREAD_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Skill:
    """Weights of neutral, narrowing, naming and misleading steps; ``stubborn`` is the weight of keeping to a mistake;
    ``misread`` multiplies it and the misleading one where a case is easily misread."""

    weights: tuple[float, float, float, float]
    misread: float
    stubborn: float


@dataclass(frozen=True, slots=True)
class Step:
    """One step as written, and how much it reveals."""

    kind: StepKind
    text: str


SKILLS: dict[str, Skill] = {
    "simulated-mentor-attending": Skill((0.55, 0.20, 0.10, 0.15), misread=160.0, stubborn=0.6),
    "simulated-mentor-resident": Skill((0.45, 0.20, 0.05, 0.30), misread=110.0, stubborn=0.9),
    "simulated-mentor-student": Skill((0.50, 0.06, 0.02, 0.42), misread=80.0, stubborn=1.4),
}


def write_reply(model: str, prompt: str, temperature: float, seed: int | None) -> str:
    """The reply of ``model`` (a key of ``SKILLS``) to ``prompt``; the same for the same seed, model and prompt."""
    # Temperature is left out of the seed: it bends the weights, and the same draws stay comparable.
    rng = random.Random(_hash_text(f"{seed}\n{model}\n{prompt}"))
    notes = read_case(prompt)
    sentences = choose_sentences(notes)
    length = max(2, rng.choice(LENGTHS) - len(notes.steps)) if len(notes.steps) < 4 else 1
    chain = write_chain(sentences, SKILLS[model], is_misread(notes), temperature, length, rng)
    blocks = [f"### Step {number}: {step.text}" for number, step in enumerate(chain, notes.next_step)]
    return "\n\n".join([*blocks, f"### The final answer is: {sentences.answer}"])


def is_misread(notes: CaseNotes) -> bool:
    """Whether the case is one of the share that mentors easily misread: a draw from its notes."""
    return (
        _hash_text("\n".join((notes.complaint, notes.age, notes.gender, *notes.findings)).casefold()) % 1000
        < 1000 * MISREAD_SHARE
    )


def write_chain(
    sentences: CaseSentences, skill: Skill, misread: bool, temperature: float, length: int, rng: random.Random
) -> tuple[Step, ...]:
    """``length`` steps that end with the evidence named, whatever went astray before."""
    steps: list[Step] = []
    for left in range(length, 0, -1):
        # The last step always finds to the evidence, so that a chain never ends in an answer out of nowhere.
        owed = left == 1 and (sentences.mistaken or not sentences.named)
        kind = StepKind.NAMING if owed else _draw_kind(_weigh_kinds(sentences, skill, misread), temperature, rng)
        steps.append(Step(kind, sentences.say_sentence(kind, rng)))
    return tuple(steps)


def _weigh_kinds(sentences: CaseSentences, skill: Skill, misread: bool) -> tuple[float, ...]:
    """The skill's weights as the chain stands: nobody narrows twice, or goes astray once the evidence is named."""
    neutral, narrowing, naming, misleading = skill.weights
    again = skill.misread if misread else 1.0
    if sentences.mistaken:
        return (0.2, 0.0 if sentences.narrowed else narrowing, naming + 0.2, skill.stubborn * again)
    if sentences.named:
        return (1.0, 0.0, 0.0, 0.0)
    if sentences.narrowed:
        return (neutral, 0.0, naming + narrowing, misleading / 2)
    return (neutral, narrowing, naming, misleading * again)


def _draw_kind(weights: tuple[float, ...], temperature: float, rng: random.Random) -> StepKind:
    """A kind by weight; a low temperature favours the most probable one, zero takes it."""
    top = max(weights)
    # The exponent 1 / temperature has no use below; at 0 it would divide by zero.
    if temperature < 0.05:
        return KINDS[weights.index(top)]
    # Scaled by the largest first: a small temperature would underflow every weight to zero.
    return rng.choices(KINDS, [(weight / top) ** (1 / temperature) for weight in weights])[0]


def _hash_text(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
