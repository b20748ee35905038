"""Texts as words, so that spelling, case and punctuation decide nothing."""

import re
import unicodedata
from collections.abc import Iterable

_ARTICLES = {"an", "the"}  # not "a": hepatitis A is no hepatitis
# What is not punctuation or space is part of a word, combining marks too: many scripts write vowels with them.
_APART = r"\s\d\x00-/:-@\[-`{-\xa9\xab-\xaf\xb4\xb6-\xb8\xbb\xbf\u2000-\u206f≤≥±\u3000-\u3003\u3008-\u301f\uff01-\uff0f"
# A minus before a number or behind a word (HER2-) is no hyphen.
_WORD = re.compile(rf"(?<![\w)])-\d+(?:[./]\d+)*|\d+(?:[./]\d+)*|[%<>≤≥+=±]|(?<=\w)-(?=[\s,.;:)]|$)|[^{_APART}]+")
_LEAD = re.compile(
    r"^(?:(?:so|thus|therefore|hence)\W+)?(?:(?:the|my)\s+)?(?:(?:final|correct|best|right)\s+)*(?:answer|option|choice)"
    r"(?:\s+(?:is|would be|should be)\b)?\s*[:\-–—]*\s*",
    re.I,
)
_AROUND = " \t\n\"'“”‘’*`$"


def split_words(text: str) -> list[str]:
    """Words, numbers with their sign, and signs that change a meaning, case-folded, in the composed form of Unicode."""
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold().replace("\u2212", "-"))


def normalise_words(text: str) -> str:
    """The words without ``the`` and ``an``, one space apart; an article alone stays."""
    words = split_words(text)
    return " ".join([word for word in words if word not in _ARTICLES] or words)


def strip_lead(answer: str) -> str:
    """An answer without ``The answer is``, quotes and emphasis around it."""
    return _LEAD.sub("", answer.strip(_AROUND)).strip(_AROUND)


def matches_gold(answer: str, golds: Iterable[str]) -> bool:
    """Whether an answer is one of ``golds``, but for case, punctuation, articles and what leads to it."""
    return any(_is_same_answer(answer, gold) for gold in golds)


def _is_same_answer(answer: str, gold: str) -> bool:
    # "Pneumonia?" is a guess: what it is worth is for the judge to say.
    if answer.count("?") != gold.count("?"):
        return False
    said = normalise_words(strip_lead(answer))
    return bool(said) and said == normalise_words(gold)
