"""The context of a case: what of its history interns and the trained model are told beside the question."""

from collections.abc import Sequence
from dataclasses import replace

from mics_ray.core.types import Case

CONTEXT = ("complaint", "age", "gender")
"""The notes that may be part of it; captions (findings) are for mentors alone."""


def show_context(case: Case, names: Sequence[str]) -> Case:
    """The case with the notes among :data:`CONTEXT` that ``names`` lists as its context, in their order."""
    shown = (note for note in case.notes if note.label.lower() in names and note.label.lower() in CONTEXT)
    return replace(case, context="\n".join(f"{note.label}: {note.text}" for note in shown))


def ask_question(case: Case) -> str:
    """The question as interns, the trained and the evaluated model are asked it: the context below it."""
    return f"{case.question}\n\n{case.context}" if case.context else case.question


def list_shown(case: Case) -> str:
    """The names of the notes in the case's context, "nothing" for none."""
    labels = [line.partition(":")[0].lower() for line in case.context.splitlines()]
    labels = [label for label in labels if label in CONTEXT]  # lines on frames are no notes
    return ", ".join(dict.fromkeys(labels)) or "nothing"
