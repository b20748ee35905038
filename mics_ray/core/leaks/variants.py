"""The ways to write a gold answer: with and without its option, what stands in brackets, abbreviations."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mics_ray.core.context import ask_question
from mics_ray.core.leaks.options import read_options, split_mark
from mics_ray.core.types import Case
from mics_ray.core.wording import extract_words, fold_text, is_telling, mentions_wording, split_words

_BRACKET = re.compile(r"\s*[(\[]([^()\[\]]{1,200})[)\]]")
_ABBREVIATION = re.compile(r"(?=(?:[^A-Z]*[A-Z]){2})[A-Za-z][A-Za-z0-9-]{0,7}s?")
_SAME_AS = re.compile(r",?\s+(?:also\s+(?:known\s+as|called)|a\.?k\.?a\.?|i\.e\.),?\s+", re.I)
# A name in brackets is another name of the answer; "(confirmed by biopsy)" and "(upper lobe)" are none.
_NAMES_DISEASE = re.compile(
    r"(?:oma|itis|osis|iasis|emia|pathy|trophy|plasia|ectasis|cele|rrhage|asis|algia|megaly|sclerosis|stenosis|thorax|"
    r"tumor|cancer|disease|syndrome|sequence|anomaly|malformation|infection|abscess|cyst|embolism|infarction|stroke|"
    r"pneumonia|fracture)$"
)
_REPORT_CAPITALS = """
MRI CTA MRA PET DWI ADC SUV STIR ECG EKG EEG ROI LAD RCA LCX RUL RML RLL LUL LLL WBC CRP ESR HIV BMI ICU CSF PSA AFP
DICOM FDG FLAIR CECT HRCT MRCP MIP USG CXR AND THE NOT ALL
"""
_OF_REPORTS = frozenset(_REPORT_CAPITALS.split())
"""Capitals that reports hold anyway: no initials of a diagnosis."""
FEWEST_INITIALS, MOST_INITIALS = 3, 6
_BEHIND = 200
"""Characters before a bracket that may hold the name that it abbreviates."""


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to write the answer; ``tells``: to mention it is to give it away.

    An answer of words that any description uses ("Left", "Yes", "3 cm"), or that the question itself names, is given
    away only where a step calls it the answer: mentioned alone it would be found in every step. ``names``: it holds a
    telling word, whether or not the question names it.
    """

    text: str
    words: tuple[str, ...]
    tells: bool
    names: bool


class AnswerVariants:
    """What a case's gold answer may be written as: ``wordings``, and ``marks`` of its option (``b``, ``2``, ``ii``)."""

    def __init__(self, case: Case) -> None:
        options = read_options(case.question)
        mark, bare = split_mark(case.answer.strip())
        # "1. Pneumothorax" names an option only where there are some; "B" alone may be a blood group.
        lone = case.answer.strip(" .()[]*").lower()
        if lone in options:
            mark, bare = lone, options[lone]
        elif len(lone) == 1 and lone in _LETTERS:
            mark = lone
        elif not mark:
            mark = next((one for one, text in options.items() if _same_text(text, bare)), "")
        self.marks = (mark,) if mark and (mark in options or mark.isalpha()) else ()
        names = list(_list_names(bare))
        self._expansions = dict(_list_abbreviations(case, names))
        asked = extract_words(self.expand(ask_question(case)))
        texts = dict.fromkeys(filter(None, map(_to_text, (case.answer, *names, *self._lone_abbreviations()))))
        self.wordings = [_make_wording(text, asked) for text in texts]

    def expand(self, text: str) -> str:
        """The text with abbreviations of the answer written out: as they are spelled, since "all" is not ``ALL``."""
        for short, name in self._expansions.items():
            if short in text:
                text = re.sub(rf"(?<![\w]){re.escape(short)}s?(?![\w])", name.replace("\\", r"\\"), text)
        return text

    def _lone_abbreviations(self) -> list[str]:
        """The stand-ins of abbreviations that are nowhere written out."""
        return [name for name in self._expansions.values() if name.startswith(_STAND_IN)]


_STAND_IN = "abbreviation"
_LETTERS = "abcdefghij"


def _list_names(answer: str) -> Iterator[str]:
    """The answer as it stands, without what is in brackets, and the names in brackets."""
    for name in _SAME_AS.split(answer):
        yield name
        yield (plain := _BRACKET.sub(" ", name))
        for inner in _BRACKET.findall(name):
            words = split_words(inner)
            # Abbreviations are spelled as they are; written out behind one, the bracket holds the name.
            names_disease = bool(words) and len(words) <= 4 and _NAMES_DISEASE.search(words[-1])
            if names_disease or _ABBREVIATION.fullmatch(plain.strip()):
                yield inner


def _list_abbreviations(case: Case, names: list[str]) -> Iterator[tuple[str, str]]:
    """Each abbreviation of the answer with what it is written out as."""
    full = [name for name in names if not _ABBREVIATION.fullmatch(name.strip()) and "(" not in name and "[" not in name]
    for name in full:
        for short in (*_read_definitions(case, name), *_list_initials(name)):
            yield short, name
    for name in map(str.strip, names):
        if not _ABBREVIATION.fullmatch(name):
            continue
        written = next((one for one in full if _abbreviates(name, one)), "")
        if written or (len(name) >= FEWEST_INITIALS and name not in _OF_REPORTS):
            yield name, written or _STAND_IN + name.lower()


def _read_definitions(case: Case, name: str) -> Iterator[str]:
    """Abbreviations in brackets behind the name, wherever the case tells one: ``pulmonary embolism (PE)``."""
    wanted = extract_words(name)
    for text in (case.answer, case.question, *(note.text for note in case.notes)):
        for bracket in _BRACKET.finditer(text):
            short = bracket[1].strip()
            if not _ABBREVIATION.fullmatch(short):
                continue
            before = extract_words(text[max(0, bracket.start() - _BEHIND) : bracket.start()])
            if wanted and before[-len(wanted) :] == wanted and _abbreviates(short, name):
                yield short


def _abbreviates(short: str, name: str) -> bool:
    """Whether the letters of ``short`` stand in ``name`` in that order, its first word's and a later word's first."""
    words, letters = fold_text(name).replace("-", " ").split(), fold_text(short.removesuffix("s"))
    left = iter("".join(words))
    in_order = all(letter in left for letter in letters if letter.isalpha())
    starts = bool(letters and words) and letters[0] == words[0][0]
    return starts and in_order and (len(words) == 1 or any(one[0] in letters[1:] for one in words[1:]))


def _list_initials(name: str) -> Iterator[str]:
    """The initials of a name of three words or more, in capitals."""
    words = re.findall(r"[^\W\d_]+", fold_text(name))
    for chosen in (words, [word for word in words if extract_words(word)]):
        short = "".join(word[0] for word in chosen).upper()
        told = any(map(is_telling, extract_words(name)))
        if told and FEWEST_INITIALS <= len(short) <= MOST_INITIALS and short not in _OF_REPORTS:
            yield short


def _same_text(one: str, other: str) -> bool:
    return bool(split_words(one)) and split_words(one) == split_words(other)


def _to_text(text: str) -> str:
    return " ".join(fold_text(text).split()).strip(" .,;:*")


def _make_wording(text: str, asked: list[str]) -> Wording:
    words = tuple(extract_words(text))
    names = any(map(is_telling, words))
    return Wording(text, words, names and not mentions_wording(asked, words), names)
