"""What interns are told beside the question, and cases in which that gives the diagnosis away."""

import pytest

from mics_ray.core.context import ask_question, list_shown, show_context
from mics_ray.core.leaks import Leak, LeakGuard
from mics_ray.core.leaks.telling_context import context_names_answer
from mics_ray.core.types import Case, Note

NOTES = (Note("Complaint", "Chest pain"), Note("Age", "70"), Note("Gender", "Male"), Note("Findings", "A dark line."))
CASE = Case("c", "What is it?", "Gold", notes=NOTES)


@pytest.mark.parametrize(
    ("names", "context", "shown"),
    [
        (("complaint", "age", "gender"), "Complaint: Chest pain\nAge: 70\nGender: Male", "complaint, age, gender"),
        (("gender", "age"), "Age: 70\nGender: Male", "age, gender"),
        ((), "", "nothing"),
        # Captions are for mentors alone, whatever is asked for.
        (("findings",), "", "nothing"),
    ],
)
def test_the_notes_that_are_named_stand_below_the_question(names: tuple[str, ...], context: str, shown: str) -> None:
    case = show_context(CASE, names)
    assert (case.context, list_shown(case)) == (context, shown)
    assert ask_question(case) == (f"What is it?\n\n{context}" if context else "What is it?")
    assert case.notes == NOTES


def test_a_case_without_notes_has_no_context() -> None:
    case = show_context(Case("c", "Q?", "A"), ("complaint", "age", "gender"))
    assert (case.context, ask_question(case), list_shown(case)) == ("", "Q?", "nothing")


def test_what_the_context_says_is_no_secret_to_the_leak_guard() -> None:
    told = Case("c", "Which disease?", "Sarcoidosis", notes=(Note("Complaint", "Known sarcoidosis, dry cough"),))
    step = "The known sarcoidosis and the cough fit."
    assert Leak.ANSWER in LeakGuard(told).find_in_step(step)
    assert LeakGuard(show_context(told, ("complaint",))).find_in_step(step) == ()


@pytest.mark.parametrize(
    ("complaint", "gold", "named"),
    [
        ("Aortic dissection?", "Aortic dissection", True),
        ("Aortic dissection?", "Stanford type B aortic dissection", True),
        ("? aortic dissection", "Acute aortic dissection", True),
        ("Known Crohn disease, now fever", "Crohn disease", True),
        ("Suspected pneumothorax after a fall.", "Pneumothorax", True),
        ("Rule out appendicitis", "Acute perforated appendicitis", True),
        ("Pain in the flank, r/o renal stone", "Renal stone", True),
        ("Cough, possible pneumonia?", "Pneumonia", True),
        ("Aortic dissection?", "B. Aortic dissection", True),
        ("Chest pain", "Aortic dissection", False),
        ("Chest pain", "Chest wall tumour", False),
        ("Dissection?", "Aneurysm", False),
        ("Fall on the left hand?", "Fracture of the left radius", False),
        ("Left?", "Left", False),
        ("Cough for three weeks, weight loss", "Sarcoidosis", False),
        ("", "Pneumonia", False),
    ],
)
def test_a_complaint_that_names_the_diagnosis_is_seen_where_it_is_shown(complaint: str, gold: str, named: bool) -> None:
    case = Case("c", "What is the diagnosis?", gold, notes=(Note("Complaint", complaint), Note("Age", "70")))
    assert context_names_answer(show_context(case, ("complaint", "age"))) is named
    assert context_names_answer(show_context(case, ("age",))) is False


def test_an_option_of_the_question_that_the_complaint_names_is_seen() -> None:
    question = "Which?\nA: Pneumonia\nB: Aortic dissection"
    case = Case("c", question, "Aortic dissection", notes=(Note("Complaint", "Aortic dissection?"),))
    assert context_names_answer(show_context(case, ("complaint",)))
