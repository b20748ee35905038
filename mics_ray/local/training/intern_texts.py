"""What the tiny interns are trained on: prompts with reasoning such as mentors write, and the answers wanted.

The prefix kinds and what the answer follows: ``none`` and ``neutral`` (the picture alone), ``narrowing`` and ``hedged``
(the picture, among the two findings left), ``naming`` (the evidence), ``misleading`` (the evidence of a finding that is
not there), ``misplaced`` (another region: one of its two findings), ``corrected`` (misleading, then naming: the later
evidence counts), ``concluding`` (the answer, spelled out). Besides, for the form that the loop fine-tunes, what a base
model can do: ``describing`` a film in the words of the evidence, and ``writing`` a whole chain when asked to. Asked as
interns are, it answers at once: reasoning first is left to fine-tuning.
"""

import random
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mics_ray.local import phrases
from mics_ray.local.case_sentences import choose_sentences
from mics_ray.local.findings import FINDINGS, REGIONS
from mics_ray.local.mentors import Skill, write_chain
from mics_ray.local.phantoms import NEUTRAL_REMARKS, make_question
from mics_ray.local.reading import CaseNotes

KINDS = ("none", "neutral", "narrowing", "hedged", "naming", "misleading", "misplaced", "corrected", "concluding")
WEIGHTS = (16, 14, 18, 8, 20, 9, 5, 6, 4)
WRITING, DESCRIBING = "writing", "describing"
LANGUAGE = (WRITING, DESCRIBING)
FAULTLESS = Skill((0.3, 0.3, 0.4, 0.0), misread=1.0, stubborn=0.0)
LENGTHS = (1, 2, 2, 3)
WRITING_PROMPT = "Write a whole chain of reasoning."
DESCRIBING_PROMPT = "Describe."
NOTHING_YET = "(nothing yet)"
ANSWER = "### The final answer is: {answer}"

NEUTRAL = (
    *phrases.SURVEY_FILM,
    *phrases.SURVEY_PICTURES,
    *phrases.CLOSINGS,
    *phrases.MISTAKEN_PICTURES,
    *NEUTRAL_REMARKS,
    phrases.PAUSES[0],  # the others were not there when the weights were trained
    "The history alone does not settle the question.",
    "The age and the complaint fit several causes.",
    "The film should be read from the centre to the periphery.",
    "Before anything else, the technique of the film is checked.",
    "It helps to compare the left side with the right side.",
    "Old pictures and laboratory results would help, but are not at hand.",
    "The next step is to look at each region in turn.",
)
LEADS = (
    *phrases.EVIDENCE_LEADS,
    *phrases.MISTAKEN_LEADS,
    "Looking at the film, ",
    "On the radiograph, ",
    "The key observation: ",
    "What matters most is this: ",
    "On the film one sees the following: ",
    "Now to the picture: ",
)
# Further wordings of each finding's evidence, in the order of FINDINGS, so that interns learn more than two sentences.
PARAPHRASES = (
    ("The outer part of one lung has no vessels and is set off by a fine line.", "Free air outlines the lung's edge."),
    (
        "Fluid collects at the base and hides the diaphragm.",
        "The angle between diaphragm and chest wall is lost.",
    ),
    ("A whole lobe has lost its air while its bronchi stay open.", "A cloudy white area holds dark branching tubes."),
    ("One round spot of a centimetre or two lies alone in the lung.", "A solitary round shadow is well outlined."),
    ("The heart is too broad for this chest.", "The heart takes up more than half of the width of the chest."),
    ("A ring with a fluid level lies behind the heart.", "An air bubble above a flat fluid line is seen at the heart."),
    ("The contour of a rib is broken.", "There is a gap in one rib and its parts do not meet."),
    ("A metal device lies under the collar bone, with a wire.", "A lead runs from a small metal case to the heart."),
)
_FILLER = """
the of and with without in on is was are mild severe acute chronic left right upper lower anterior posterior lateral
medial artery vein vessel aorta ventricle atrium valve coronary pulmonary bronchus trachea mass lesion cyst tumour
oedema atrophy stenosis thrombus aneurysm haemorrhage infarct abscess calcification enhancement contrast signal
intensity density attenuation axial coronal sagittal section tomography resonance ultrasound spine vertebra femur
tibia skull brain liver spleen kidney bladder pancreas bowel colon stomach uterus ovary prostate abdomen pelvis knee
patient year-old male female history pain fever weight loss swelling weakness trauma surgery treatment follow-up
increased decreased normal abnormal likely consistent suggestive diagnosis differential finding shows demonstrates
"""
_UNUSUAL = ("°C", "µm", "é", "–", "≥", "β", "№", "±", "中", "肺", "ß", "½", "…", "🫁", "T2-weighted", "12×9", "<br/>")


@dataclass(frozen=True, slots=True)
class Sample:
    """One exercise: the user's prompt, the indices of the finding drawn and of the one to answer, the prefix kind.

    ``told`` is the completion where it is more than the answer; ``pictures`` is how many films are shown where that is
    not left to chance; ``system`` goes before the prompt.
    """

    prompt: str
    drawn: int
    wanted: int
    kind: str
    told: str = ""
    pictures: int | None = None
    system: str = ""

    @property
    def target(self) -> str:
        """The completion wanted."""
        return self.told or ANSWER.format(answer=FINDINGS[self.wanted].answer)


def read_template(prompts: Path, name: str) -> str:
    """The text under ``NAME: |-`` in a prompts file. Raises ValueError where there is none."""
    block = re.search(rf"^{name}: \|-\n((?:  .*\n|\n)+)", prompts.read_text(encoding="utf-8") + "\n", re.M)
    if block is None:
        raise ValueError(f"no block '{name}: |-' in {prompts}")
    return textwrap.dedent(block.group(1)).strip("\n")


def number_steps(steps: Sequence[str]) -> str:
    """The prefix as interns are shown it."""
    return "\n\n".join(f"### Step {k}: {step}" for k, step in enumerate(steps, start=1)) or NOTHING_YET


def other_than(finding: int, rng: random.Random) -> int:
    """Another finding."""
    return (finding + rng.randrange(1, len(FINDINGS))) % len(FINDINGS)


def same_region(finding: int) -> list[int]:
    """The two findings of a region, ``finding`` among them."""
    return [index for index, other in enumerate(FINDINGS) if other.region == FINDINGS[finding].region]


def name_evidence(finding: int, rng: random.Random) -> str:
    """A sentence that names what shows the finding; three in four are the vocabulary's own."""
    # Mentors speak the vocabulary's sentences; the paraphrases keep interns from learning these by heart alone.
    options = FINDINGS[finding].evidence if rng.random() < 0.75 else PARAPHRASES[finding]
    return rng.choice(options)


def _name_region(finding: int, rng: random.Random) -> str:
    return rng.choice(REGIONS[FINDINGS[finding].region])


def _speak_step(sentence: str, rng: random.Random) -> str:
    """A step around ``sentence``: a lead-in, perhaps a neutral sentence before or after."""
    before = f"{rng.choice(NEUTRAL)} " if rng.random() < 0.2 else ""
    after = f" {rng.choice(NEUTRAL)}" if rng.random() < 0.35 else ""
    return before + phrases.join_lead(rng.choice(LEADS), sentence) + after


def neutral_step(rng: random.Random) -> str:
    """A step that reveals nothing; one in twelve is in words that the interns do not know."""
    if rng.random() < 1 / 12:
        return make_noise(rng, rng.randrange(5, 40))
    opening = phrases.make_openings(
        f"{rng.randrange(19, 91)} years", rng.choice(("Male", "Female")), "Cough for some days."
    )
    return " ".join(rng.sample((*NEUTRAL, *opening), rng.randrange(1, 4)))


def make_noise(rng: random.Random, words: int) -> str:
    """Medical-looking text without sense, with unusual characters at times."""
    chosen = [rng.choice(_UNUSUAL) if rng.random() < 0.06 else rng.choice(_FILLER.split()) for _ in range(words)]
    return " ".join(chosen).capitalize() + "."


def telling_steps(kind: str, drawn: int, rng: random.Random) -> tuple[list[str], int]:
    """The steps of a prefix that say something, and the finding that the answer should follow."""
    wrong = other_than(drawn, rng)
    pair = rng.sample(same_region(drawn), 2)
    match kind:
        case "narrowing":
            return [_speak_step(_name_region(drawn, rng), rng)], drawn
        case "hedged":
            both = f"Either this holds: {name_evidence(pair[0], rng)} Or this: {name_evidence(pair[1], rng)}"
            return [_speak_step(both, rng)], drawn
        case "naming":
            first = [_speak_step(_name_region(drawn, rng), rng)] if rng.random() < 0.35 else []
            return [*first, _speak_step(name_evidence(drawn, rng), rng)], drawn
        case "misleading":
            first = [_speak_step(_name_region(wrong, rng), rng)] if rng.random() < 0.35 else []
            # One in twenty keeps to the picture, so that misleading text does not win with certainty.
            return [*first, _speak_step(name_evidence(wrong, rng), rng)], drawn if rng.random() < 0.05 else wrong
        case "misplaced":
            return [_speak_step(_name_region(wrong, rng), rng)], rng.choice(same_region(wrong))
        case "corrected":
            lead = rng.choice((*phrases.CORRECTION_LEADS, *LEADS))
            wrong_step = rng.choice((_name_region(wrong, rng), name_evidence(wrong, rng)))
            right_step = _name_region(drawn, rng) if rng.random() < 0.25 else name_evidence(drawn, rng)
            return [_speak_step(wrong_step, rng), phrases.join_lead(lead, right_step)], drawn
        case "concluding":
            name = rng.choice((FINDINGS[drawn].answer, *FINDINGS[drawn].synonyms)).lower()
            return [rng.choice((f"This is most in keeping with {name}.", f"So the likely answer is {name}."))], drawn
    return [], drawn


def make_prefix(kind: str, drawn: int, rng: random.Random, longest: int = 4) -> tuple[str, int]:
    """A prefix of the kind, of at most about ``longest`` steps, and the finding that the answer should follow."""
    if kind == "none":
        return NOTHING_YET, drawn
    steps, wanted = telling_steps(kind, drawn, rng)
    spare = max(longest - len(steps), 1)
    count = rng.randrange(1 if kind == "neutral" else 0, spare + 1)
    places = sorted(rng.randrange(len(steps) + 1) for _ in range(count))
    # From the back, so that earlier places still hold after an insertion.
    for place in reversed(places):
        steps.insert(place, neutral_step(rng))
    return number_steps(steps), wanted


def make_sample(template: str, kind: str, drawn: int, seed: int, lengthy: bool = False) -> Sample:
    """The exercise of this kind, finding and seed. One in twelve has many steps, one in sixteen asks in unknown words;
    a ``lengthy`` one asks in hundreds of them."""
    rng = random.Random(seed)
    asked = (
        make_question(np.random.default_rng(seed))[0]
        if rng.random() > 1 / 16
        else make_noise(rng, rng.randrange(8, 60))
    )
    asked = make_noise(rng, rng.randrange(100, 1000)) if lengthy else asked
    text, wanted = make_prefix(kind, drawn, rng, longest=8 if rng.random() < 1 / 12 else 4)
    prompt = template.format(question=asked, prefix=text, next_step=text.count("### Step") + 1)
    return Sample(prompt, drawn, wanted, kind)


def sample_writing(finding: int, rng: random.Random) -> Sample:
    """The exercise of writing a chain about ``finding`` in the words of the simulated mentors, but without mistakes."""
    asked, age, sex, complaint = make_question(np.random.default_rng(rng.getrandbits(48)))
    told = FINDINGS[finding]
    notes = CaseNotes(complaint, f"{age} years", sex, (rng.choice(told.evidence),), told.answer, (), 1)
    chain = write_chain(choose_sentences(notes), FAULTLESS, False, 1.0, rng.choice(LENGTHS), rng)
    return _make_chain_sample(f"{WRITING_PROMPT}\n\n{asked}", finding, [step.text for step in chain])


def sample_short_writing(finding: int, rng: random.Random) -> Sample:
    """The exercise of writing a chain of little more than the evidence, without a question: quick, so that what is
    written hangs on what is seen."""
    region = [_name_region(finding, rng)] if rng.random() < 0.5 else []
    survey = [rng.choice(phrases.SURVEY_FILM)] if rng.random() < 0.3 else []
    return _make_chain_sample(WRITING_PROMPT, finding, [*survey, *region, rng.choice(FINDINGS[finding].evidence)])


def _make_chain_sample(prompt: str, finding: int, steps: Sequence[str]) -> Sample:
    text = f"{number_steps(steps)}\n\n{ANSWER.format(answer=FINDINGS[finding].answer)}"
    return Sample(prompt, finding, finding, WRITING, text)


def sample_description(finding: int, rng: random.Random) -> Sample:
    """The exercise of describing a film in the words of the evidence, half of the time behind where it is seen."""
    region = f"{_name_region(finding, rng)} " if rng.random() < 0.5 else ""
    return Sample(DESCRIBING_PROMPT, finding, finding, DESCRIBING, region + rng.choice(FINDINGS[finding].evidence))


def random_sample(template: str, seed: int) -> Sample:
    """An exercise of a kind drawn by ``WEIGHTS``; one in fifty is lengthy."""
    rng = random.Random(seed)
    kind, drawn = rng.choices(KINDS, WEIGHTS)[0], rng.randrange(len(FINDINGS))
    return make_sample(template, kind, drawn, rng.getrandbits(48), lengthy=rng.random() < 0.02)


def make_corpus(template: str, count: int, seed: int) -> list[str]:
    """Texts to learn the vocabulary from: exercises and their answers, and medical-looking text."""
    samples = (random_sample(template, seed + index) for index in range(count))
    unknown = (make_noise(random.Random(seed + index), 40) for index in range(count // 4))
    return [*(f"{item.prompt}\n{item.target}" for item in samples), *unknown]
