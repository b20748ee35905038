"""The answer that a reply gives: in the form that was asked for, or in any other that leaves no doubt.

What marks an answer is read as for every role (:mod:`mics_ray.core.reading.text`); a reply that marks none may be an
answer itself (``B``, ``Yes, it is.``, ``Pneumothorax``), or begin or end with one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from eval.scoring.letters import LETTERS, find_letters
from eval.types import Item, Kind
from mics_ray.core.reading.answers import clean_answer, find_marked_answers
from mics_ray.core.reading.text import parse_answer, parse_form
from mics_ray.core.reading.words import normalise_words, strip_lead

YES_NO = ("yes", "no")
AMBIGUOUS = "ambiguous: "
"""How the reason begins where a reply names several answers."""
MOST_WORDS = 60
"""Words of a reply that is taken as an answer although nothing marks it as one."""
MOST_QUESTIONS = 3
"""Questions that a reply may end with."""

_BOXED = re.compile(r"\\boxed\s*\{\s*(?:\\text\s*\{)?([^{}]*)\}+")
_SAID = re.compile(
    r"(yes|no)(?=[\s.!]*$|\s*[,.:;!–—(]|\s+-|\s+(?:there|it|this|these|that|the|they|he|she|because|since|as)\b)"
)
_BOTH = re.compile(
    r"(yes|no)\b[\s,/;:.!?–—-]*(?:(?:and|or|but|also|partly)\b[\s,]*)*(?!\1)(yes|no)\b(?=[\s.!]*(?:$|[,;(]))"
)
_DENIES = re.compile(r"\b(?:no|not|without|never|absent|absence|negative)\b|n['’]t\b")
_CHAIN = re.compile(r"^[ \t*#]*step[ \t]*\d", re.I | re.M)
_QUESTION = re.compile(r"(?:\A|(?<=[.!?])\s+|\n)[^.!?\n]*\?[\s*_]*\Z")
_BULLET = re.compile(r"^[-•–]\s+")
_SENTENCE = re.compile(r"(?<=[.!?])[*_)\"”]*[ \t]+(?=[A-Z*(\"“])")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reply answers. ``answer`` is a letter of the options, ``yes`` or ``no``, or words for the judge; ``""``
    where there is none, and then ``unread`` says why. ``kept_form``: it stands behind the marker that was asked for."""

    answer: str = ""
    kept_form: bool = False
    unread: str = ""


def read_reply(item: Item, text: str) -> Reading:
    """The answer of a reply without its thoughts."""
    if not text.strip():
        return Reading(unread="empty")
    if form := parse_form(text):
        return _read_marked(item, [form], kept=True)
    # A marker without an answer behind it: the reply did not come to one.
    if form is not None:
        return Reading(unread="no answer")
    if said := parse_answer(text):
        # The last one counts, as for every role, and no other may speak against it.
        others = (one.answer for one in find_marked_answers(text))
        return _read_marked(item, [said, *others], kept=False)
    return _read_unmarked(item, text)


def read_words(item: Item, answer: str) -> Reading:
    """The same of words that are known to be an answer, such as an intern's."""
    return _read_marked(item, [answer], kept=True)


def is_decided(item: Item, answer: str) -> bool:
    """Whether an answer is a letter of the options, or yes or no, so that a rule can compare it."""
    letters = LETTERS[: len(item.options)]
    return len(answer) == 1 and answer in letters if item.kind is Kind.CHOICE else is_yes_no(item) and answer in YES_NO


def is_yes_no(item: Item) -> bool:
    """Whether a closed question is answered yes or no."""
    return item.kind is Kind.CLOSED and all(normalise_words(gold) in YES_NO for gold in item.golds)


def _settle(item: Item, said: list[str], kept: bool, marked: bool) -> Reading:
    """The one answer of what was said; where rules find several, none."""
    said = [_open_box(one) for one in said]
    bare = [_BULLET.sub("", one) for one in said]
    if item.kind is Kind.CHOICE:
        named = sorted(set("".join(find_letters(one, item.options, marked) for one in bare)))
    elif is_yes_no(item):
        named = sorted({word for one in bare for word in _find_yes_no(one)}, reverse=True)
    else:
        named = []
    if len(named) > 1:
        return Reading(kept_form=kept, unread=f"{AMBIGUOUS}{' and '.join(named)}")
    answer = named[0] if named else said[0]
    return Reading(answer, kept) if answer else Reading(kept_form=kept, unread="no answer")


def _read_marked(item: Item, said: list[str], kept: bool) -> Reading:
    found = _settle(item, said, kept, marked=True)
    if found.unread or is_decided(item, found.answer):
        return found
    return _read_edges(item, said[0], kept, _is_short(said[0])) or found


def _read_unmarked(item: Item, text: str) -> Reading:
    plain = _drop_question(clean_answer(text) or text.strip())
    if not plain:
        return Reading(unread="no answer")
    if _is_short(plain):
        found = _settle(item, [plain], kept=False, marked=False)
        return (
            found if found.unread or is_decided(item, found.answer) else _read_edges(item, plain, False, True) or found
        )
    if told := _read_edges(item, plain, kept=False, short=False):
        return told
    # For the judge: what a long reply begins and ends with. Steps that came to no end conclude nothing.
    said = " … ".join(dict.fromkeys(_take_edges(plain)))
    return Reading(said) if said and _is_short(said) and not _CHAIN.search(plain) else Reading(unread="no answer")


def _drop_question(text: str) -> str:
    """A reply without the questions that it ends with, such as an offer of more detail; of many nothing is left."""
    for _ in range(MOST_QUESTIONS):
        text = _QUESTION.sub("", text).strip()
    return "" if text.endswith("?") else text


def _is_short(text: str) -> bool:
    return len(text.split()) <= MOST_WORDS and not _CHAIN.search(text)


def _read_edges(item: Item, text: str, kept: bool, short: bool) -> Reading | None:
    """What the first and the last sentence say, where a rule can tell. A short text was read from its beginning as a
    whole, so its first sentence alone would hide what takes it back."""
    edges = list(_take_edges(text))[short:]
    found = _settle(item, edges, kept, marked=False) if edges else Reading()
    return found if found.unread or is_decided(item, found.answer) else None


def _take_edges(text: str) -> Iterable[str]:
    """The first and the last sentence: where a long reply says its answer."""
    lines = [line.strip(" \t>#") for line in text.splitlines() if line.strip(" \t>#-*=")]
    if lines:
        yield from (_SENTENCE.split(lines[0])[0], _SENTENCE.split(lines[-1])[-1])


def _open_box(answer: str) -> str:
    box = _BOXED.search(answer)
    return box[1].strip() if box else answer


def _find_yes_no(answer: str) -> tuple[str, ...]:
    """The yes or no that an answer begins with, or both. ``No evidence of …`` may mean either and is none; so is a yes
    that goes on with a denial."""
    text = strip_lead(answer).lower()
    if both := _BOTH.match(text):
        return both[1], both[2]
    said = _SAID.match(text)
    if not said or (said[1] == "yes" and _DENIES.search(text, said.end())):
        return ()
    return (said[1],)
