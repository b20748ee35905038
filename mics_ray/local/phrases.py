"""What simulated mentors say besides the vocabulary of the findings: openings, lead-ins, closings. Original wording."""

import re

SURVEY_FILM = (
    "This is a single frontal view of the chest.",
    "The film is read in a fixed order, from the airways over the heart to the bones.",
    "The two sides of the film are compared with each other, level by level.",
    "Position and exposure are good enough to judge the film.",
)
SURVEY_PICTURES = (
    "The pictures are read in a fixed order, so that nothing is passed over.",
    "Several causes could explain the history, so the pictures have to decide.",
    "Each area is compared with its opposite side and with its neighbours.",
    "The quality of the pictures is good enough to judge them.",
)
CLOSINGS = (
    "This sign and the history support one another.",
    "No second change competes with it.",
    "With that, one explanation is left.",
    "Nothing else that is seen speaks against it.",
    "The remaining areas are unremarkable.",
)
PAUSES = (
    "Nothing further is added here.",
    "This step only pauses before the next one.",
    "What was said so far is left as it stands.",
)
EVIDENCE_LEADS = (
    "",
    "",
    "Looking closer, ",
    "In detail, ",
    "On inspection, ",
)
MISTAKEN_LEADS = ("", "", "At first sight, ", "Looking closer, ")
CORRECTION_LEADS = (
    "On a second look that does not hold: ",
    "Going back over it, the earlier impression was wrong: ",
)
MISTAKEN_PICTURES = (
    "At first sight the pictures look normal.",
    "What is seen may be no more than a variant without meaning.",
    "The picture quality alone could explain what is seen.",
    "The complaint may have nothing to do with these pictures.",
)


def join_lead(lead: str, sentence: str) -> str:
    """``sentence`` behind a lead-in, its first letter lower-cased unless an abbreviation begins it."""
    if not lead or not sentence:
        return sentence
    head = sentence if sentence[1:2].isupper() else sentence[0].lower() + sentence[1:]
    return lead + head


def describe_patient(age: str, gender: str) -> str:
    """Who the notes are about, e.g. ``A 45-year-old man``; ``The patient`` where they do not say."""
    years = re.search(r"\d{1,3}", age)
    noun = {"m": "man", "f": "woman"}.get(gender.strip().casefold()[:1], "patient")
    if years and ("year" in age.casefold() or age.strip().isdigit()):
        number = years.group()
        # Eight, eleven, eighteen and the eighties begin with a vowel sound.
        article = "An" if number.startswith("8") or number in {"11", "18"} else "A"
        return f"{article} {number}-year-old {noun}"
    return "The patient" if noun == "patient" else f"A {noun}"


def make_openings(age: str, gender: str, complaint: str) -> tuple[str, ...]:
    """Neutral sentences that restate who comes with what; none reveals anything that is seen."""
    who = describe_patient(age, gender)
    what = complaint.strip().rstrip(".?!; ")
    if not what:
        return (f"{who} is examined, and the history says no more.",) if who != "The patient" else ()
    what = what if what[1:2].isupper() else what[0].lower() + what[1:]
    return (f"{who} comes with this complaint: {what}.", f"The history is short: {what}.")
