"""From an item to the question asked, and from a model's output to the answer found in it and its verdict."""

import re
from collections.abc import Mapping, Sequence

from eval.types import Item, Kind
from mics_ray.core.text import parse_answer
from mics_ray.core.types import Verdict

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
YES_NO = ("yes", "no")

_LEAD = re.compile(
    r"^(?:(?:so|thus|therefore|hence)\W+)?(?:(?:the|my)\s+)?(?:(?:final|correct|best|right)\s+)*(?:answer|option|choice)"
    r"(?:\s+(?:is|would be|should be)\b)?\s*[:\-–—]*\s*",
    re.I,
)
_BOXED = re.compile(r"\\boxed\s*\{\s*(?:\\text\s*\{)?([^{}]*)\}+")
_SAID = re.compile(
    r"(yes|no)(?=[\s.!]*$|\s*[,.:;!–—(]|\s+-|\s+(?:there|it|this|these|that|the|they|he|she|because|since|as)\b)"
)
_LEADING = re.compile(r"[(\[{]?\s*([A-Za-z])\s*(?:[)\]}.:,;/]|\s[-–—]\s|\n|$|(?=\s+(?:because|since|as|is|and|or)\b))")
_LISTED = re.compile(r"[\s),/&]*(?:(?:and|or)\s+)?[(\[]?([A-Z])(?![\w'’])")
_NAMED = re.compile(r"\b(?:answer|option|choice)(?:\s+is)?\s*:?\s*[(\[]?([A-Z])(?![\w'’])")
_CHOSEN = re.compile(r"\b(?:is|be|choose|chose|pick|select)\s+[(\[]?([A-Z])[)\]]?(?=\s*(?:[.,;:]|$))")
_BRACKETED = re.compile(r"[(\[]\s*([A-Z])\s*[)\]]")
_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|[%<>≤≥+=]")
_ARTICLES = {"a", "an", "the"}


def question_text(item: Item) -> str:
    """What is asked: the question, a choice's lettered options, and how to answer."""
    parts = [item.question]
    if item.kind is Kind.CHOICE:
        lines = (f"{letter}. {text}" for letter, text in zip(LETTERS, item.options, strict=False))
        parts += ["\n".join(lines), "Answer with the letter of one option."]
    elif item.kind is Kind.CLOSED:
        yes_no = normalise_words(item.answer) in YES_NO
        parts.append("Answer yes or no." if yes_no else "Answer with one word or a short phrase.")
    return "\n".join(parts)


def find_answer(item: Item, output: str) -> str:
    """The answer found in a model's output; ``""`` when there is none.

    It stands behind the final-answer marker, as interns are asked to write. Of a choice it is a letter of the options;
    of a yes/no question ``yes`` or ``no``; else the answer's words.
    """
    answer = parse_answer(output) or ""
    if boxed := _BOXED.search(answer):
        answer = boxed[1].strip()
    if item.kind is Kind.CHOICE:
        return _find_letter(answer, item.options)
    if item.kind is Kind.CLOSED and normalise_words(item.answer) in YES_NO:
        return _yes_no(answer)
    return answer


def check_by_rule(item: Item, parsed: str) -> Verdict | None:
    """Whether a parsed answer is right by rule; ``None`` leaves it to the judge. No answer found is wrong."""
    if not parsed:
        return Verdict.WRONG
    if item.kind is Kind.OPEN:
        return None
    return Verdict.RIGHT if normalise_words(_without_lead(parsed)) == normalise_words(item.answer) else Verdict.WRONG


def normalise_words(text: str) -> str:
    """Lower-case words, numbers and signs without articles, one space apart; an article alone stays."""
    words = _split_words(text)
    return " ".join([word for word in words if word not in _ARTICLES] or words)


def _split_words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _without_lead(answer: str) -> str:
    """An answer without ``The answer is``, quotes and brackets around it."""
    return _LEAD.sub("", answer.strip(" \t\n\"'“”‘’*`$")).strip(" \t\n\"'“”‘’*`$")


def _yes_no(answer: str) -> str:
    """The yes or no that an answer begins with; ``No evidence of …`` may mean either and is none."""
    said = _SAID.match(_without_lead(answer).lower())
    return said[1] if said else ""


def _find_letter(answer: str, options: tuple[str, ...]) -> str:
    """The one letter that an answer names: by an option's whole text, at its start, or further on."""
    text = _without_lead(answer)
    named = dict(zip(LETTERS, options, strict=False))
    if len(_split_words(text)) > 1 and (
        same := _match_option(_split_words(text), [_split_words(option) for option in options])
    ):
        return same
    found = _leading_letter(text, named) or _match_option(
        normalise_words(text), [normalise_words(option) for option in options]
    )
    return (found or _letter_elsewhere(answer, named)) if len(found) < 2 else ""


def _match_option(text: Sequence[str], options: Sequence[Sequence[str]]) -> str:
    """The letter of the one option that equals ``text``."""
    found = [letter for letter, option in zip(LETTERS, options, strict=False) if text and option == text]
    return found[0] if len(found) == 1 else ""


def _leading_letter(text: str, named: Mapping[str, str]) -> str:
    """The letter that an answer begins with, followed by another one that it lists beside it."""
    lead = _LEADING.match(text)
    letter, rest = (lead[1].upper(), text[lead.end() :]) if lead else (text[:1], text[1:])
    if letter not in named or (not lead and _split_words(rest) != _split_words(named[letter])):
        return ""
    listed = _LISTED.match(rest) if _split_words(rest) != _split_words(named[letter]) else None
    return letter + (listed[1] if listed and listed[1] in named and listed[1] != letter else "")


def _letter_elsewhere(answer: str, named: Mapping[str, str]) -> str:
    """The one letter that is named further on: ``option B``, ``I choose B.``, ``(B)``."""
    for pattern in (_NAMED, _CHOSEN, _BRACKETED):
        if found := set(pattern.findall(answer)) & set(named):
            return found.pop() if len(found) == 1 else ""
    return ""
