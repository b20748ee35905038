"""Cases whose context names the diagnosis that is asked for: a complaint "Aortic dissection?" answers the question."""

import re
from dataclasses import replace

from mics_ray.core.leaks import Leak, LeakGuard
from mics_ray.core.types import Case
from mics_ray.core.wording import extract_words, is_telling

_PART = r"[^.,;:?!()\n]{3,80}"
_ASKED = re.compile(
    rf"({_PART})\?|(?:\?|\b(?:suspect(?:ed|ing)?|suspicion\s+(?:of|for)|rule\s+out|r/o|query|known|diagnosed\s+with)\b)"
    rf"\s*({_PART})",
    re.I,
)
"""What a complaint asks for or takes as known."""
_HEDGES = frozenset({"possible", "potential", "new", "old"})


def context_names_answer(case: Case) -> bool:
    """Whether the context, which interns see, names the gold answer, or asks for what is a part of it."""
    if not case.context:
        return False
    # As if the context were a step: once of a case whose question tells nothing, once beside its options.
    for question in ("", case.question):
        bare = replace(case, question=question, context="", notes=())
        if any(Leak.ANSWER in LeakGuard(bare).find_in_step(line) for line in _list_lines(case.context)):
            return True
    golds = [set(extract_words(gold)) for gold in case.golds]
    asked = [found[1] or found[2] for line in _list_lines(case.context) for found in _ASKED.finditer(line)]
    return any(_is_part(part, gold) for part in asked for gold in golds)


def _list_lines(context: str) -> list[str]:
    return [line.partition(": ")[2] for line in context.splitlines()]


def _is_part(asked: str, gold: set[str]) -> bool:
    words = [word for word in extract_words(asked) if word not in _HEDGES]
    return any(map(is_telling, words)) and gold.issuperset(words)
