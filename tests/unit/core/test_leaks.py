"""What counts as giving the answer, the captions or a final-answer block away, in strings."""

import pytest

from mics_ray.core.leaks import LeakGuard
from mics_ray.core.types import Case, Note
from mics_ray.io.records import RecordPlace, parse_record
from mics_ray.local.findings import FINDINGS, REGIONS
from mics_ray.local.mentors import SKILLS, write_reply
from mics_ray.local.phantoms import make_cases
from tests.support.searched_samples import prompts

CAPTION = (
    "There is an anomalous course of the left coronary artery, which passes between the right ventricular outflow "
    "tract and the ascending aorta. No aortic dissection is seen."
)
OPTIONS = "Which is it? A. Pneumothorax B. Pleural effusion C. Rib fracture"

GIVEN_AWAY = [
    ("Pneumothorax", "So this is a pneumothorax."),
    ("Pneumothorax", "PNEUMOTHORAX, on the left!"),
    ("Pneumothorax", "Two pneumothoraces were drained; a pneumothorx is back."),
    ("Pneumothorax", "The differential is effusion, pneumothorax or bulla."),
    ("Rib fracture", "There is a fracture of the rib."),
    ("Rib fracture", "One rib shows a fracture."),
    ("Rib fracture", "Several rib fractures are seen."),
    ("Rib fracture", "One rib is broken: a rib-fracture."),
    ("Post-traumatic headache", "It is a posttraumatic headache."),
    ("Posttraumatic headache", "It is a post-traumatic headache."),
    ("Pacemaker lead fracture.", "A fracture of the pacemaker lead explains it."),
    ("Invasive ductal carcinoma (confirmed by biopsy).", "This looks like an invasive ductal carcinoma."),
    ("Invasive ductal carcinoma", "A ductal, invasive carcinoma is likely."),
    ("Myocardial bridging of the LAD.", "The LAD shows myocardial bridging."),
    ("Enlargement of the left atrial appendage due to mitral valve disease.",
     "Enlargement of the left atrial appendage from mitral valve diseases fits."),
    ("Bilateral renal agenesis with associated tricuspid regurgitation (Potter sequence).",
     "It must be bilateral renal agenesis with tricuspid regurgitation."),
    ("Ménière disease", "Meniere's disease… that is, Meniere disease."),
    ("No acute fracture", "There is no acute fracture."),
    ("B. Pneumothorax", "So pneumothorax it is."),
    ("Gout", "Gout is the usual cause."),
    ("No", "So the answer is no."),
    ("Yes", "**Answer**: yes, because it is white."),
    ("B", "The correct answer is (B)."),
    ("B", "Option B is correct."),
    ("Left", "Therefore the answer: left"),
    ("Chest", "The answer is the chest."),
    ("45", "The answer is 45."),
]  # fmt: skip
"""Gold answer, and a step that gives it away."""

SILENT = [
    ("No", "No fracture is seen, and no, nothing else."),
    ("Yes", "Yes, the heart is wide."),
    ("A", "A line runs along a rib."),
    ("B", "The answer is becoming clear."),
    ("No", "The answer is no longer in doubt."),
    ("Left", "The left lung is darker than the right one."),
    ("Chest", "This is a single frontal view of the chest."),
    ("Left lung", "The left lung is darker."),
    ("Left lung", "The left kidney is dark."),
    ("45", "A 45-year-old man."),
    ("CT", "The CT shows a mass."),
    ("Rib fracture", "The line of one rib is interrupted and its ends are offset."),
    ("Rib fracture", "A fracture of the clavicle, below the first rib."),
    ("Pleural effusion", "The change lies in the pleural space."),
    ("No acute fracture", "There is an acute fracture."),
    ("Hypothyroidism", "This speaks for hyperthyroidism."),
    ("Atypical carcinoid", "A typical carcinoid."),
    ("Left lower lobe adenocarcinoma of lung", "There is a mass in the left lower lobe of the lung."),
    ("Cardiomegaly", "The heart is enlarged."),
    ("Pneumothorax", ""),
]  # fmt: skip
"""Gold answer, and a step that does not give it away."""

CITED = [
    "The image analysis says that a line is seen.",
    "According to the caption, a line is seen.",
    "As described in the report, a line is seen.",
    "The radiology report confirms a line.",
    "Based on the provided image description a line is seen.",
    "The picture captions mention a line.",
    "This matches the reference answer.",
    "From the case notes, a line is seen.",
    "It " + CAPTION.lower().replace("there is an anomalous", "shows, anomalous"),
]
DESCRIBED = [
    "The image shows a line.",
    "According to the history, there is pain.",
    "The patient reports pain.",
    "Based on the picture a line is seen.",
    "The left coronary artery passes between the right ventricular outflow tract and the ascending aorta.",
    "An analysis of the image follows.",
]
FINAL = [
    "### The final answer is: a bulla",
    "**Final answer:** a bulla",
    "First a line.\nFinal Answer: a bulla",
    "So the final answer is a bulla.",
    "Answer: a bulla",
    "First a line.\n> The answer is: a bulla",
]
NOT_FINAL = [
    "The finding answers the question.",
    "Nothing answers that yet: look on.",
    "This answer needs a second look.",
]


def kinds(step: str, answer: str = "Pneumothorax", question: str = "What is it?", caption: str = CAPTION) -> list[str]:
    return [
        kind.value
        for kind in LeakGuard(Case("c", question, answer, (), (Note("Findings", caption),))).find_in_step(step)
    ]


@pytest.mark.parametrize(("answer", "step"), GIVEN_AWAY)
def test_the_gold_answer_is_found(answer: str, step: str) -> None:
    assert "answer" in kinds(step, answer)


@pytest.mark.parametrize(("answer", "step"), SILENT)
def test_a_step_may_use_the_words_of_any_description(answer: str, step: str) -> None:
    assert kinds(step, answer) == []


@pytest.mark.parametrize("step", CITED)
def test_a_quoted_caption_is_found(step: str) -> None:
    assert kinds(step) == ["caption"]


@pytest.mark.parametrize("step", DESCRIBED)
def test_a_description_is_no_quotation(step: str) -> None:
    assert kinds(step) == []


@pytest.mark.parametrize("step", FINAL)
def test_a_final_answer_block_is_found_whatever_it_answers(step: str) -> None:
    assert kinds(step) == ["final_answer"]


@pytest.mark.parametrize("step", NOT_FINAL)
def test_the_word_answer_is_no_block(step: str) -> None:
    assert kinds(step) == []


def test_what_the_question_says_may_be_said() -> None:
    assert kinds("Pneumothorax would show a line.", question=OPTIONS) == []
    assert kinds("The answer is pneumothorax.", question=OPTIONS) == ["answer"]
    assert kinds(f"So, {CAPTION}", question=f"What follows? {CAPTION}") == []
    assert kinds("The report says so.", question="The report says what?") == []


def test_other_notes_than_captions_may_be_told() -> None:
    case = Case("c", "What is it?", "Bulla", (), (Note("Complaint", CAPTION),))
    assert LeakGuard(case).find_in_chain([CAPTION]) == ()


def test_the_captions_are_those_of_the_input() -> None:
    said = [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "Bulla"}]
    case = parse_record({"rid": "c", "messages": said, "caption": [CAPTION]}, RecordPlace("f", "line", 1))
    assert isinstance(case, Case)
    assert [kind.value for kind in LeakGuard(case).find_in_step(CAPTION)] == ["caption"]


def test_a_chain_is_flagged_by_step() -> None:
    case = Case("c", "What is it?", "Bulla")
    steps = ["The film is good.", "A bulla, the report says.", "Answer: bulla"]
    assert LeakGuard(case).find_in_chain(steps) == ((2, "answer"), (2, "caption"), (3, "answer"), (3, "final_answer"))


def test_simulated_mentors_give_nothing_away() -> None:
    """Their evidence is the caption's own sentence, which is a description; their neutral steps are general."""
    from mics_ray.core.text import parse_continuation
    from mics_ray.models.prompts import fill_mentor_prompt

    for record in make_cases(24, 5):
        case = parse_record(record, RecordPlace("f", "line", 1))
        assert isinstance(case, Case)
        for seed, model in enumerate(SKILLS):
            chain = parse_continuation(write_reply(model, fill_mentor_prompt(prompts(), case, ()), 1.2, seed))
            assert chain is not None
            assert LeakGuard(case).find_in_chain(chain.steps) == (), chain.steps


def test_no_finding_is_given_away_by_its_own_evidence() -> None:
    for finding in FINDINGS:
        said = [*finding.evidence, *REGIONS[finding.region]]
        guard = LeakGuard(Case("c", "What is it?", finding.answer))
        assert guard.find_in_chain(said) == ()
        assert guard.find_in_chain([f"It is {finding.answer.lower()}."]) == ((1, "answer"),)
