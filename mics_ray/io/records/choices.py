"""Multiple choice: the options of a record, put below its question, and its gold answers as options."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mics_ray.core.display import make_storable
from mics_ray.core.leaks.options import read_options
from mics_ray.core.types import Case
from mics_ray.io.records.keys import UnusableRecord, find_option_mark, find_values

MOST = 10
"""Options: as many as the leak guard knows letters of."""
_LETTERS = "ABCDEFGHIJ"
# "1.5 cm" and "C.diff" are texts, "B:cyst" is a marked one.
_OWN = re.compile(r"\s*[(\[]?([A-Za-z](?=\s*[):\]]|\s*\.\s)|\d{1,2}(?=\s*[.):\]]\s))\s*[.):\]]\s*(?=\S)")
_LINE = re.compile(r"([A-J]|\d{1,2})\. (\S.*)")
_KEYS, _TEXTS = ("letter", "key", "label", "id"), ("content", "value", "text", "option")


def add_options(record: Mapping[str, Any], question: str, answers: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Question and gold answers, with the options where the record has any: ``B. Pneumonia`` for ``b`` or its text.

    Raises :class:`UnusableRecord`, also for an answer that is none of the options.
    """
    given = [value for _, value in find_values(record, "options", "choices")] + _gather_lettered(record)
    if all(value in ([], {}) for value in given):
        return question, tuple(answers)
    listed = [_read_list(value) for value in given]
    if any(one != listed[0] for one in listed):
        raise UnusableRecord("two lists of options that differ, under several keys")
    options = listed[0]
    golds = tuple(dict.fromkeys(_find_option(answer, options) for answer in answers))
    lines = [f"{mark}. {text}" for mark, text in options.items()]
    return question if lists_options(question, options) else "\n".join([question, *lines]), golds


@dataclass(frozen=True, slots=True)
class Choice:
    """A multiple-choice question: its text, the texts of the options in their order, and which are right, from 0.

    The options stand below the question no more, unless it lists them in a form of its own.
    """

    question: str
    options: tuple[str, ...]
    right: tuple[int, ...]


def find_choice(case: Case) -> Choice | None:
    """The choice that :func:`add_options` made a case of; ``None`` where its gold answers are no options of it."""
    lines, stem = _split_last_lines(case.question)
    asked = [(stem, lines), (case.question, {mark.upper(): text for mark, text in read_options(case.question).items()})]
    for question, options in asked:
        written = [_fold(f"{mark}. {text}") for mark, text in options.items()]
        if len(options) > 1 and all(_fold(gold) in written for gold in case.golds):
            return Choice(question, tuple(options.values()), tuple(written.index(_fold(gold)) for gold in case.golds))
    return None


def lists_options(question: str, options: Mapping[str, str]) -> bool:
    """Whether a question lists just these options, text by mark, itself."""
    asked = read_options(question)
    return [_fold(asked.get(mark.lower(), "")) for mark in options] == [
        _fold(text.strip(" .,;:*(")) for text in options.values()
    ]


def _split_last_lines(question: str) -> tuple[dict[str, str], str]:
    """The options that the last lines are, text by mark, and what stands before; none without a question before."""
    stem, found = question.split("\n"), list[tuple[str, str]]()
    while len(stem) > 1 and (line := _LINE.fullmatch(stem[-1])):
        found.append((line[1], line[2]))
        stem.pop()
        if line[1] in ("A", "1"):
            return dict(reversed(found)), "\n".join(stem)
    return {}, question


def _gather_lettered(record: Mapping[str, Any]) -> list[dict[str, object]]:
    """The options under keys of their own (``option_a``, ``option_b``, …), as one mapping, if there are two or more."""
    given = [(mark, value) for key, value in record.items() if (mark := find_option_mark(key)) and not _is_blank(value)]
    found = dict(sorted(given, key=lambda one: (len(one[0]), one[0])))
    if any(found[mark] != value for mark, value in given):
        raise UnusableRecord("two options of one letter that differ, under several keys")
    if len(found) <= 1:
        return []
    # Tables of questions repeat the mark in the text: "B: Pneumonia".
    owns = [_OWN.match(value) if isinstance(value, str) else None for value in found.values()]
    if all(own and own[1].upper() == mark for own, mark in zip(owns, found, strict=True)):
        return [{mark: own.string[own.end() :] for mark, own in zip(found, owns, strict=True) if own}]
    return [found]


def _is_blank(value: object) -> bool:
    """Null, blank or NaN: what a table has where a question has fewer options than others."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _read_list(value: object) -> dict[str, str]:
    """Text by mark, in their order."""
    if isinstance(value, dict):
        # A struct of Parquet holds every key in every row.
        pairs = [(str(mark).strip(), text) for mark, text in value.items() if text is not None]
    elif isinstance(value, list):
        pairs = _letter_texts(value)
    else:
        raise UnusableRecord("options is neither a list nor a mapping")
    found = {mark.upper(): _clean_text(text) for mark, text in pairs}
    _check_options(found, len(pairs))
    return found


def _letter_texts(value: list[Any]) -> list[tuple[str, Any]]:
    if all(isinstance(one, dict) for one in value):
        return [(_take(one, _KEYS), _take(one, _TEXTS)) for one in value]
    texts = [str(one) if isinstance(one, int | float) and not isinstance(one, bool) else one for one in value]
    own = [_OWN.match(one) if isinstance(one, str) else None for one in texts]
    # Only where all of them are marked in order: "C. difficile" is a text.
    if all(mark and mark[1].upper() == letter for mark, letter in zip(own, _LETTERS, strict=False)):
        texts = [one[mark.end() :] if mark else one for one, mark in zip(texts, own, strict=True)]
    return (
        list(zip(_LETTERS, texts, strict=False)) if len(texts) <= MOST else [(str(at), "") for at in range(len(texts))]
    )


def _take(option: Mapping[str, Any], names: Sequence[str]) -> str:
    value = next((option[name] for name in names if option.get(name) is not None), None)
    if not isinstance(value, str):
        raise UnusableRecord("an option has no letter or no text")
    return value.strip()


def _clean_text(text: object) -> str:
    if not isinstance(text, str | int | float) or isinstance(text, bool):
        raise UnusableRecord("an option is not text")
    return " ".join(make_storable(str(text)).split())


def _check_options(found: Mapping[str, str], count: int) -> None:
    if not 2 <= count <= MOST:
        raise UnusableRecord(f"{count} options; 2 to {MOST} can be asked")
    rows = (_LETTERS, [str(number) for number in range(1, MOST + 1)])
    if all(list(found) != list(row[:count]) for row in rows):
        raise UnusableRecord("the options are not lettered A, B, C … or numbered 1, 2, 3 …")
    if len({_fold(text) for text in found.values()}) < count or "" in found.values():
        raise UnusableRecord("two options are the same, or one is empty")


def _find_option(answer: str, options: Mapping[str, str]) -> str:
    """The option that a gold answer is, by its mark, its text, or both."""
    by_text = [mark for mark, text in options.items() if _fold(text) == _fold(answer)]
    lone = answer.strip(" .()[]*").upper()
    by_mark = [lone] if lone in options else []
    if not by_text and not by_mark and (own := _OWN.match(answer)):
        mark = own[1].upper()
        by_mark = [mark] if _fold(options.get(mark, "")) == _fold(answer[own.end() :]) else []
    found = {*by_text, *by_mark}
    if len(found) == 1:
        mark = found.pop()
        return f"{mark}. {options[mark]}"
    raise UnusableRecord("the answer is one option by its mark and another by its text" if found else _NONE_OF_THEM)


_NONE_OF_THEM = "the answer is none of the options, neither by letter nor by text"


def _fold(text: str) -> str:
    return " ".join(text.split()).strip(" .").casefold()
