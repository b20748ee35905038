"""Reading the judge's reply: strictly, so that a doubtful reply is asked again and never counted."""

import json
import re
from collections.abc import Mapping
from typing import Any

from mics_ray.core.types import Verdict

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_OPEN = r"[\s*_\"'`>(\[{#-]*"
_CLOSE = r"[*_\"'`)\]}]*"
_NAMES = r"""(?:verdict|judge?ment|decision|conclusion|assessment|evaluation|final\ answer|result|match|equivalent|
    equivalence|identical|same(?:[ _]meaning)?)"""
_NAME = rf"(?:(?:the|my|our|final|overall)\s+)*(?:{_NAMES}|(?<=my\ )answer|(?<=our\ )answer)"
_LABEL = re.compile(
    rf"(?:^{_OPEN}|[{{,]\s*[\"']){_NAME}[\s*_\"'`]*(?:(?:\bis\s*)?(?:[:=→–—]|-+>?)|\bis\b)", re.I | re.X
)
# "Answer: yes" is a verdict only at the start; further on it may quote one of the two answers compared.
_FIRST_LABEL = re.compile(rf"^{_OPEN}(?:the\s+)?answer[\s*_\"'`]*(?:\bis\s*)?[:=]", re.I)
_QUOTING = re.compile(r":[\s*_\"'`]*\Z")
_ANNOUNCING = re.compile(rf"\b{_NAMES}(?:\s+is)?[\s*_\"'`]*:[\s*_\"'`]*\Z", re.I | re.X)
_HEDGE = re.compile(
    r"""\W*(?:yes|no)\b\W*(?:(?:and|or|but|maybe|perhaps|possibly|probably|partly|partially|mostly|somewhat|although|
    though|however|except|unless|if|only\ if|assuming|provided|as\ long\ as|largely|loosely|roughly|more\ or\ less|
    sort\ of|kind\ of|in\ (?:part|principle|a\ way|a\ sense)|to\ (?:some|a\ certain|an?)\ (?:extent|degree)|
    with\ (?:an?|the|some|one)\ (?:caveat|reservation|condition)s?)\b|(?:yes|no)\W*$)""",
    re.I | re.X,
)
_SAID = re.compile(
    rf"{_OPEN}(yes|no)(?![^\W_]){_CLOSE}"
    r"(?=[\s.!]*$|\s*[,:;–—(\[}]|\s+-|\s+(?:they|the|it|both|these|this|that|because|since|as)\b)",
    re.I,
)
_BEGUN = re.compile(rf"{_OPEN}(?:yes|not?)(?![^\W_])", re.I)
_BARE = re.compile(
    rf"{_OPEN}(?:(?:so|thus|therefore|hence|overall|finally|in (?:short|conclusion|summary))\b[,:]?\s+{_OPEN})?"
    rf"(yes|no){_CLOSE}[\s.!]*",
    re.I,
)
_OF_SAMENESS = re.compile(r"\b(?:same|match|mean|equivalent|equal|identical|agree|synonym|correct)", re.I)
# What takes a verdict back, in a sentence behind it.
_TURN = re.compile(
    r"\W*(?:but|however|yet|nevertheless|nonetheless|that said|except|unless|wait|actually|hmm+|hold on|correction|"
    r"sorry|on (?:second thoughts?|reflection)|scratch that)\b",
    re.I,
)
_UNSURE = re.compile(r"\b(?:not\s|un)sure\b|\b(?:cannot|can['’]t) (?:tell|say|decide|judge)\b", re.I)
_DENIES = re.compile(
    r"""(?:\bnot|n['’]t)\s+(?:\w+\s+){0,2}?(?:same|equivalent|identical|synonym\w*|match\w*|agree|mean|correct)\b
    |\b(?:they|answers?|ones?|both|diagnos[ei]s|sides?|organs?|causes?|locations?|meanings?|findings?)\s+
        (?:(?!not\b|never\b)\w+\s+)?(?:differs?|(?:is|are)\s+(?:(?!not\b)\w+\s+)?(?:different|wrong|incorrect))\b
    |\b(?:is|are)\s+(?:(?!no\b|not\b)\w+\s+){0,2}?differences?\b
    |(?<!\bno\ )(?<!\bnot\ )\bdifferent\s+(?:diagnos|side|organ|cause|disease|condition|entit|finding|meaning|location)
    |\b(?:candidate|check)\s+(?:\w+\s+)?(?:is|are)\s+(?:wrong|incorrect)\b|\bmismatch|\bcontradict""",
    re.I | re.X,
)
_AFFIRMS = re.compile(
    r"""\b(?:they|these|both|answers)\s+(?:(?!not\b)\w+\s+)?(?:(?:are|mean|name|describe)\s+(?:(?!not\b)\w+\s+)?
        (?:the\ same(?=\s*(?:[.,;:!)]|$)|\s+(?:disease|diagnosis|thing|finding|condition))
        |equivalent\b|identical\b|synonym)|(?:match|agree)(?=\s*(?:[.;!]|$)))
    |\bno\s+(?:\w+\s+){0,2}?differences?\b|(?:\bnot|n['’]t)\s+differ""",
    re.I | re.X,
)
_PLAIN = str.maketrans("：，。！；“”«»✅❌✔✘☑\ufe0f", ':,.!;""""      ')
_BOX = re.compile(
    r"\$*\\boxed\s*\{(?:\s*\\text\w*\s*\{)?\s*(\w+)[\s.]*\}+\$*"
    r"|<(?:answer|verdict|judge?ment|decision|result|final_answer)>\s*(\w+)[\s.]*</\w+>",
    re.I,
)
_OBJECT = re.compile(r"(\{[^{}]*\})[\s`]*\Z")
_KEY = re.compile(rf"(?:is\ |answers?\ |final\ |overall\ )*(?:{_NAMES}|matche?s?|equal|correct)", re.I | re.X)
_REASONS = frozenset({"reason", "reasons", "reasoning", "explanation", "rationale", "why", "confidence"})
_WORDS = {"yes": Verdict.RIGHT, "no": Verdict.WRONG}


def parse_verdict(reply: str) -> Verdict:
    """``RIGHT`` for yes, ``WRONG`` for no, ``UNKNOWN`` for anything that is not clearly one of them.

    The verdict is the word that the reply begins with, a sentence that is one word, a labelled word (``Verdict: yes``),
    or a field of a JSON object (``{"match": true}``); what the reply says of other answers ("the reference answer is
    yes") and what it asks is none. A reply whose places disagree, that hedges (``Yes and no``), or that goes on to say
    the opposite, is unknown.
    """
    text = _BOX.sub(lambda box: f"\nVerdict: {box[1] or box[2]}\n", reply.translate(_PLAIN))
    said: set[str] | None = set()
    if (found := _OBJECT.search(text)) and (fields := _load_object(found[1])) is not None:
        said, text = _read_fields(fields), text[: found.start()].rstrip(" `\n")
        text = text.removesuffix("```json").rstrip()
    spoken = _read_sentences(text)
    if said is None or spoken is None or len(said | spoken) != 1:
        return Verdict.UNKNOWN
    return _WORDS[(said | spoken).pop()]


def _read_sentences(text: str) -> set[str] | None:
    """The verdicts of a text in words; ``None`` where one of them is in doubt."""
    said: set[str] = set()
    sentences = [text for found in _SENTENCE.findall(text) if (text := found.strip())]
    first = next((number for number, one in enumerate(sentences) if not _is_question(one)), 0)
    for number, sentence in enumerate(sentences):
        before = sentences[number - 1] if number else ""
        if _is_question(sentence) or _is_quoted(sentence, before):
            continue
        for claim, leads in _find_claims(sentence, number == first):
            word = (_SAID.match(claim) if leads else None) or _BARE.fullmatch(claim)
            # A begun "yes" or "no" that is not followed as a verdict is doubtful: asked again rather than guessed.
            if _HEDGE.match(claim) or (leads and not word and _BEGUN.match(claim)):
                return None
            if word and _is_taken_back(word[1].lower(), [claim, *sentences[number + 1 :]]):
                return None
            said |= {word[1].lower()} if word else set()
    return said


def _is_question(sentence: str) -> bool:
    return sentence.endswith("?") and not _BEGUN.match(sentence)


def _is_quoted(sentence: str, before: str) -> bool:
    """Whether a sentence is the value of a label that is no verdict's (``Answer to check:``), or answers a question
    that is not the judge's (``Are both diseases?``)."""
    if _is_question(before):
        return not _OF_SAMENESS.search(before)
    return bool(_QUOTING.search(before)) and not _ANNOUNCING.search(before) and not _FIRST_LABEL.match(before)


def _find_claims(sentence: str, first: bool) -> list[tuple[str, bool]]:
    """Where a sentence may say the verdict, and whether more words may follow it there."""
    label = _LABEL.search(sentence) or (_FIRST_LABEL.match(sentence) if first else None)
    return [(sentence, first), *([(sentence[label.end() :], True)] if label else [])]


def _is_taken_back(word: str, spoken: list[str]) -> bool:
    """Whether what is said with a verdict, and behind it, contradicts it."""
    opposite = _DENIES if word == "yes" else _AFFIRMS
    return any(opposite.search(one) or _UNSURE.search(one) for one in spoken) or any(map(_TURN.match, spoken[1:]))


def _load_object(text: str) -> dict[str, Any] | None:
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _read_fields(fields: Mapping[str, Any]) -> set[str] | None:
    """The verdicts of a JSON object; ``None`` where one of them is in doubt."""
    plain = {name.lower().replace("_", " ").strip(): value for name, value in fields.items()}
    named = [value for name, value in plain.items() if _KEY.fullmatch(name)]
    # "answer" may be the verdict or one of the answers compared.
    if not named and set(plain) - _REASONS == {"answer"}:
        named = [plain["answer"]]
    said = {_read_value(value) for value in named}
    reasons = [str(plain[name]) for name in plain.keys() & _REASONS]
    if None in said or any(_is_taken_back(word, reasons) for word in said if word):
        return None
    return {word for word in said if word}


def _read_value(value: object) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    said = value.strip(" .*").lower() if isinstance(value, str) else ""
    return {"true": "yes", "false": "no", "yes": "yes", "no": "no"}.get(said)
