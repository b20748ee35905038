"""The option that an answer to a choice names: by its letter, by its whole text, or by both where they agree."""

import re
from collections.abc import Mapping, Sequence

from mics_ray.core.reading.words import normalise_words, split_words, strip_lead

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_LEADING = re.compile(
    r"[(\[{]?\s*([A-Za-z])\s*([)\]}.:,;/!]|\s[-–—]\s|\n|$|(?=\s+(?:because|since|as|is|and|or)\b))[*_ \t]*"
)
_LISTED = re.compile(
    r"[\s),/&]*(?:(?:and|or|but|possibly|maybe|perhaps|probably|also|even)\s+)*[*(\[]*([A-Z])(?![\w'’])"
)
_NAMED = re.compile(r"\b(?i:answer|option|choice|letter)(?:\s++is)?\s*+:?\s*+[*(\[]*([A-Z])(?![\w'’])")
_CHOSEN = re.compile(r"\b(?:choose|chose|pick|select|go with)\s+[*(\[]*([A-Z])[*)\]]*(?=\s*(?:[.,;:]|$))")
_SAID = re.compile(r"\b(?:is|be)\s+[*(\[]*([A-Z])[*)\]]*(?=\s*(?:[.,;:]|$))")
_BRACKETED = re.compile(r"[(\[]\s*([A-Z])\s*[)\]]")
_LINE = re.compile(r"^[ \t>*_(\[-]*([A-Z])[)\].:*]+(?=\s)", re.M)
_PAIR = re.compile(
    r"""(?:(?:either|both|between|options?|it\ (?:is|could\ be)|maybe|perhaps)\s+)+[*(\[]*([A-Z])[*)\]]*\s*
    (?:,|/|\b(?:and|or)\b)\s*[*(\[]*([A-Z])(?![\w'’])""",
    re.I | re.X,
)
_ANSWERED = re.compile(r"\banswer\s+(?:is|would be)\s*:?\s*[*(\[]*([A-Z])(?![\w'’])")
_DENIED = re.compile(
    r"\b(?:not|never|in(?:correct|valid)|wrong|false|unlikely|except|rule[sd]? out|exclude[sd]?)\b|n['’]t\b", re.I
)
_REASON = re.compile(r"(?:because|since|as)\b")


def find_letters(answer: str, options: Sequence[str], marked: bool) -> str:
    """The letters of the options that an answer names, each once; ``""`` where it names none.

    ``marked`` says that the text is an answer by its marker: a letter in brackets is one there, and a panel of the
    picture in running text.
    """
    text, named = strip_lead(answer), dict(zip(LETTERS, options, strict=False))
    if len(split_words(text)) > 1 and (same := _match_option(text, named)):
        return same
    if len(listed := {letter for letter in _LINE.findall(answer) if letter in named}) > 1:
        return "".join(sorted(listed))
    found = _find_leading(text, named) or _match_option(text, named) or _match_lettered(text, named)
    return found or _find_elsewhere(answer, named, marked)


def _match_option(text: str, named: Mapping[str, str]) -> str:
    """The letter of the one option whose words are those of ``text``."""
    words = split_words(text)
    for wanted, split in ((words, split_words), (normalise_words(text), normalise_words)):
        found = [letter for letter, option in named.items() if wanted and split(option) == wanted]
        if found:
            return found[0] if len(found) == 1 else ""
    return ""


def _match_lettered(text: str, named: Mapping[str, str]) -> str:
    """The letter of an option that stands behind its text: "Focal uptake pattern (B)"."""
    words = split_words(text)
    return next((one for one, option in named.items() if words == [*split_words(option), one.casefold()]), "")


def _find_leading(text: str, named: Mapping[str, str]) -> str:
    """The letter that an answer begins with, and another one that it lists beside it, or whose text it gives."""
    lead = _LEADING.match(text)
    letter, rest = (lead[1].upper(), text[lead.end() :]) if lead else (text[:1], text[1:])
    if letter not in named or (not lead and split_words(rest) != split_words(named[letter])):
        return ""
    if split_words(rest) == split_words(named[letter]):
        return letter
    if lead and _is_prose(lead[2], rest, named[letter]):
        return ""
    listed = _LISTED.match(rest)
    others = {listed[1]} & set(named) if listed else set()
    other = _match_option(rest, named)
    others |= set(_ANSWERED.findall(rest)) & set(named)
    return "".join(sorted({letter} | others | ({other} if len(split_words(rest)) > 1 and other else set())))


def _is_prose(sign: str, rest: str, option: str) -> bool:
    """Whether a letter and what follows it are words: "A. baumannii", "B is wrong"."""
    if re.match(r"\s*(?:is|was)\b", rest):
        return _DENIED.search(rest) is not None
    begun = split_words(rest) == split_words(option)[: len(split_words(rest))]
    return sign == "." and rest[:1].islower() and not begun and not _REASON.match(rest)


def _find_elsewhere(answer: str, named: Mapping[str, str], marked: bool) -> str:
    """The letters that are named further on: ``option B``, ``I choose B.``, ``(B)``."""
    if (pair := _PAIR.match(strip_lead(answer))) and {pair[1].upper(), pair[2].upper()} <= set(named):
        return "".join(sorted({pair[1].upper(), pair[2].upper()}))
    if _DENIED.search(answer):
        return ""
    for pattern in (_NAMED, _CHOSEN, *((_SAID, _BRACKETED) if marked else ())):
        if found := set(pattern.findall(answer)) & set(named):
            return "".join(sorted(found))
    return ""
