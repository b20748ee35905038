"""The simulated judge: compares the terms of two answers; it knows the phantom findings' synonyms and no medicine."""

import random
import re
import unicodedata
from functools import lru_cache

from mics_ray.local.findings import FINDINGS, Finding
from mics_ray.local.reading import CANDIDATE, REFERENCE, STEP, split_sections

JUDGE_MODEL = "simulated-judge-terms"
THRESHOLD = 0.6  # F1 of the term sets
JITTER = 0.15
MAX_TERMS = 200  # answers are short; a whole chain handed in as one must not cost the server its time
MAX_CHARS = 4000  # cut before normalising, for the same reason
_WORD = re.compile(r"[a-z0-9]+")
_FILLERS = frozenset(
    re.findall(
        r"\w+",
        """a an the of in on at to and with by for from is are was be this that it its there most likely probable
        probably suspected diagnosis finding answer final shows seen due side sided patient""",
    )
)
_SIDES = {"left": ("left",), "right": ("right",), "bilateral": ("left", "right"), "both": ("left", "right")}
_NEGATIONS = frozenset(("no", "not", "without", "none", "absent", "never", "excluded"))


def split_words(text: str) -> list[str]:
    """The words of ``text``: lower case, no accents, no articles and fillers, plurals cut roughly; at most 200."""
    spelled = unicodedata.normalize("NFKD", text[:MAX_CHARS].casefold())
    found = _WORD.findall("".join(c for c in spelled if not unicodedata.combining(c)))[:MAX_TERMS]
    return [_make_singular(word) for word in found if word not in _FILLERS]


def same_meaning(reference: str, candidate: str, threshold: float = THRESHOLD) -> bool:
    """Whether the two answers' terms agree: F1 of the term sets at least ``threshold``, and no conflict of side,
    negation or phantom finding. Bare sides and a bare "No" agree with themselves, an empty answer with nothing."""
    gold, gold_sides, gold_negated = _find_terms(reference)
    told, told_sides, told_negated = _find_terms(candidate)
    if gold_negated != told_negated or (gold_sides and told_sides and gold_sides != told_sides):
        return False
    if _finding_marks(gold) and _finding_marks(told) and _finding_marks(gold) != _finding_marks(told):
        return False
    if not gold and not told:
        return gold_negated or (bool(gold_sides) and gold_sides == told_sides)
    return 2 * len(gold & told) / (len(gold) + len(told)) >= threshold


def write_verdict(prompt: str, temperature: float, rng: random.Random) -> str:
    """``Yes`` or ``No`` to a judge's prompt about an answer or a step; ``No`` where it lacks one. A temperature above
    zero moves the threshold at random, so that only borderline answers waver."""
    parts = split_sections(prompt)
    if STEP in parts:
        return "Yes" if gives_away(parts[STEP], parts.get(REFERENCE, "")) else "No"
    threshold = THRESHOLD + max(temperature, 0.0) * JITTER * rng.uniform(-1, 1)
    return "Yes" if same_meaning(parts.get(REFERENCE, ""), parts.get(CANDIDATE, ""), threshold) else "No"


def gives_away(sentence: str, answer: str, finding: Finding | None = None) -> bool:
    """Whether ``sentence`` holds nearly all (80 %) of the words of ``answer``, with or without what stands in its
    brackets, or of a synonym of ``finding``."""
    names = [answer, re.sub(r"\([^)]*\)", " ", answer), *((finding.answer, *finding.synonyms) if finding else ())]
    said = set(split_words(sentence))
    wanted = (set(split_words(name)) for name in names)
    return any(terms and len(terms & said) >= 0.8 * len(terms) for terms in wanted)


def _make_singular(word: str) -> str:
    if len(word) <= 3 or word.endswith(("ss", "us", "is", "as", "os")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") else word


@lru_cache(maxsize=4096)
def _find_terms(text: str) -> tuple[frozenset[str], frozenset[str], bool]:
    """(terms with every synonym of a finding as one term, sides named, whether it is negated)."""
    found = split_words(text)
    sides = frozenset(side for word in found for side in _SIDES.get(word, ()))
    kept = [word for word in found if word not in _SIDES and word not in _NEGATIONS]
    line = f" {' '.join(kept)} "
    for name, mark in _SYNONYMS:
        line = line.replace(name, mark)
    return frozenset(line.split()), sides, any(word in _NEGATIONS for word in found)


def _finding_marks(terms: frozenset[str]) -> frozenset[str]:
    return frozenset(term for term in terms if term.startswith("="))


def _list_synonyms() -> tuple[tuple[str, str], ...]:
    """(phrase between blanks, the finding's mark between blanks), longest phrase first so that it wins."""
    pairs = (
        (f" {' '.join(split_words(name))} ", f" ={number} ")
        for number, finding in enumerate(FINDINGS)
        for name in (finding.answer, *finding.synonyms)
    )
    # "lobar pneumonia" before "pneumonia", else its first word would be left over as a term of its own.
    return tuple(sorted(pairs, key=lambda pair: -len(pair[0])))


_SYNONYMS = _list_synonyms()
