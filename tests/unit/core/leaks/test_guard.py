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
    "According to the report of the CT scan, a line is seen.",
    "We know the correct answer, so a line is to be found.",
    "The correct answer was given.",
    "In line with the gold-standard diagnosis, a line is seen.",
    "The answer key says so.",
    "It " + CAPTION.lower().replace("there is an anomalous", "shows, anomalous"),
]
DESCRIBED = [
    "The image shows a line.",
    "According to the history, there is pain.",
    "The patient reports pain.",
    "Based on the picture a line is seen.",
    "The left coronary artery passes between the right ventricular outflow tract and the ascending aorta.",
    "An analysis of the image follows.",
    "According to the report of her mother, the pain began at night.",
    "From the report of chest pain one expects a line.",
    "To find the correct answer, follow the line.",
    "According to the reports that he gives, a line was seen.",
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
    "Before giving a final answer, look at the line.",
    "Before the final answer: look at the line.",
    "The final answer is not yet clear.",
    "The final answer depends on the line.",
]


LETTERED = "Which is it?\nA. Osteosarcoma\nB. Giant cell tumor\nC. Bone cyst"
NUMBERED = "Which is it? 1) Osteosarcoma 2) Giant cell tumor 3) Bone cyst"
ROMAN = "Which is it? (i) Osteosarcoma; (ii) Giant cell tumor; (iii) Bone cyst"
CHOSEN = [
    (
        LETTERED,
        "B. Giant cell tumor",
        [
            "Option B is correct.",
            "the answer is B",
            "The lesion is a giant cell tumor.",
            "The answer is (B).",
            "We choose option b, then.",
            "This is a giant cell tumour.",
            "Option B explains everything.",
        ],
    ),
    (LETTERED, "Giant cell tumor", ["So option B is right.", "B is the best choice.", "This leaves giant cell tumor."]),
    (LETTERED, "(b)", ["It must be a giant cell tumour.", "The correct option is B."]),
    (NUMBERED, "Giant-cell tumor", ["Option 2 is correct.", "The answer is number 2."]),
    (ROMAN, "ii. Giant cell tumor", ["The answer is (ii).", "Select option II."]),
]
NOT_CHOSEN = [
    (
        LETTERED,
        "B. Giant cell tumor",
        [
            "Option A is correct.",
            "Option B is not correct.",
            "A giant cell tumor would be lytic.",
            "Is it a giant cell tumor or a bone cyst?",
            "Option B or option C is right.",
            "It is unlikely that option B is correct.",
            "The lesion is not a giant cell tumor.",
            "If this is a giant cell tumor, its rim is thin.",
            "Vitamin B is the best source.",
        ],
    ),
    (LETTERED, "A", ["A line runs along the rib.", "Choose a window for bone.", "The answer is a matter of the rim."]),
    (NUMBERED, "2", ["There are 2 lines.", "Figure 2 is the best view.", "The answer is 2 cm further down."]),
]
SHORT = [
    ("Usual interstitial pneumonia (UIP)", "This is the pattern of UIP.", ["answer"]),
    ("UIP (usual interstitial pneumonia)", "Usual interstitial pneumonia it is.", ["answer"]),
    ("UIP", "UIP, since honeycombs are seen.", ["answer"]),
    ("Pulmonary embolism (PE)", "It speaks for PE.", ["answer"]),
    ("Diffuse axonal injury", "All of it is DAI.", ["answer"]),
    ("Nephroblastoma (Wilms tumour)", "A Wilms tumor grows so.", ["answer"]),
    ("Hydatid cyst, also known as echinococcosis", "Echinococcosis does that.", ["answer"]),
    ("Acute lymphoblastic leukemia (ALL)", "All of the marrow is bright.", []),
    ("Malignant rib invasion", "The MRI shows it.", []),
    ("Ductal carcinoma (confirmed by biopsy)", "A biopsy has confirmed nothing yet.", []),
]
SPELLED = [
    ("Pulmonary oedema", "pulmonary edema"),
    ("Esophageal cancer", "oesophageal cancers"),
    ("Sickle cell anemia", "sickle-cell anaemia"),
    ("Haemangioma", "hemangiomas"),
    ("Fibrous dysplasia of the tibia", "fibrous dysplasia of the tibia"),
    ("Goitre", "a goiter"),
    ("Necrotising fasciitis", "necrotizing fasciitis"),
    ("Brain metastasis", "metastases in the brain"),
    ("Crohn's disease", "Crohn disease"),
    ("Bulla", "bullae"),
    ("Caecal volvulus", "cecal volvulus"),
    ("Fœtal hydrops", "fetal hydrops"),
    ("Sjögren syndrome", "Sjo\u0308gren syndrome"),
    ("Pneumothorax", "pneumo\u00adthorax"),
    ("Osteoma", "ｏｓｔｅｏｍａ"),
]
DENIED = [
    "There is no evidence of pneumothorax.",
    "No effusion, fracture or pneumothorax is seen.",
    "The lung is without pneumothorax.",
    "The markings rule out a pneumothorax.",
    "Pneumothorax is very unlikely.",
    "A pneumothorax was excluded.",
    "This isn't a pneumothorax.",
    "It is an effusion rather than a pneumothorax.",
    "There is neither an effusion nor a pneumothorax.",
    "The signs speak against pneumothorax.",
    "Pneumothorax does not explain the fever.",
    "A film negative for pneumothorax.",
    "That makes a pneumothorax improbable.",
]
NOT_DENIED = [
    "No effusion, but a pneumothorax is present.",
    "No effusion is seen; a pneumothorax is.",
    "A pneumothorax cannot be excluded.",
    "There is no doubt: pneumothorax.",
    "No doubt a pneumothorax.",
    "There is not only an effusion, there is a pneumothorax.",
    "The absence of markings means pneumothorax.",
    "Effusion is unlikely, so pneumothorax remains.",
    "No effusion and a pneumothorax.",
    "Without markings, the dark area is a pneumothorax.",
    "It is no effusion. Pneumothorax!",
    "Although no rib is broken, one sees a pneumothorax.",
    "Nothing other than a pneumothorax does that.",
    "The pneumothorax is not large.",
    "Not effusion: pneumothorax.",
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


@pytest.mark.parametrize(("question", "answer", "steps"), CHOSEN)
def test_the_chosen_option_is_found(question: str, answer: str, steps: list[str]) -> None:
    assert [step for step in steps if kinds(step, answer, question) != ["answer"]] == []


@pytest.mark.parametrize(("question", "answer", "steps"), NOT_CHOSEN)
def test_options_may_be_spoken_of(question: str, answer: str, steps: list[str]) -> None:
    assert [step for step in steps if kinds(step, answer, question)] == []


def test_abbreviations_and_names_in_brackets_are_variants_of_the_answer() -> None:
    assert [(answer, step) for answer, step, found in SHORT if kinds(step, answer) != found] == []
    # What a note writes out is known, too; what the question names is no secret.
    assert kinds("So it is PE.", "Pulmonary embolism", caption="Pulmonary embolism (PE) was asked for.") == ["answer"]
    assert kinds("UIP has such a look.", "UIP", "Is it usual interstitial pneumonia (UIP)?") == []


def test_the_answer_is_found_in_any_spelling() -> None:
    pairs = [*SPELLED, *((other, answer) for answer, other in SPELLED)]
    assert [pair for pair in pairs if kinds(f"It looks like {pair[1]}.", pair[0]) != ["answer"]] == []


def test_what_a_step_denies_is_not_given_away() -> None:
    assert [step for step in DENIED if kinds(step)] == []
    assert [step for step in NOT_DENIED if kinds(step) != ["answer"]] == []
    assert kinds("The rib shows no fracture.", "Rib fracture") == []
    assert kinds("There is no sign of an acute fracture.", "No acute fracture") == ["answer"]


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
    from mics_ray.core.reading.text import parse_continuation
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
