"""Reading the judge's reply: strictly, so that a doubtful reply is asked again and never counted."""

import re

from mics_ray.core.types import Verdict

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_OPEN = r"[\s*_\"'`>(\[{#-]*"
_CLOSE = r"[*_\"'`)\]}]*"
_NAME = r"(?:(?:the|my|our|final|overall)\s+)*(?:verdict|judge?ment|final answer|result|same|match)"
_LABEL = re.compile(rf"(?:^{_OPEN}|[{{,]\s*[\"']){_NAME}[\s*_\"'`]*(?:[:=]|\bis\b)", re.I)
# "Answer: yes" is a verdict only at the start; further on it may quote one of the two answers compared.
_FIRST_LABEL = re.compile(rf"^{_OPEN}(?:the\s+)?answer[\s*_\"'`]*[:=]", re.I)
_HEDGE = re.compile(
    r"\W*(?:yes|no)\b\W*(?:(?:and|or|but|maybe|perhaps|possibly|probably|partly|partially|mostly|somewhat|although|though|"
    r"however|except|unless|if)\b|(?:yes|no)\W*$)",
    re.I,
)
_SAID = re.compile(
    rf"{_OPEN}(yes|no)(?![^\W_]){_CLOSE}"
    r"(?=[\s.!]*$|\s*[,:;–—(}]|\s+-|\s+(?:they|the|it|both|these|this|that|because|since|as)\b)",
    re.I,
)
_BEGUN = re.compile(rf"{_OPEN}(?:yes|not?)(?![^\W_])", re.I)
_BARE = re.compile(rf"{_OPEN}(yes|no){_CLOSE}[\s.!]*", re.I)


def parse_verdict(reply: str) -> Verdict:
    """``RIGHT`` for yes, ``WRONG`` for no, ``UNKNOWN`` for anything that is not clearly one of them.

    The verdict is the word that the reply begins with, a sentence that is one word, or a labelled word (``Verdict:
    yes``); what the reply says of other answers ("the reference answer is yes") and what it asks is none. A reply whose
    places disagree, or that hedges (``Yes and no``), is unknown.
    """
    said: set[str] = set()
    sentences = [text for found in _SENTENCE.findall(reply) if (text := found.strip()) and not _is_question(text)]
    for number, sentence in enumerate(sentences):
        for claim, leads in _find_claims(sentence, number == 0):
            word = _SAID.match(claim) if leads else _BARE.fullmatch(claim)
            # A begun "yes" or "no" that is not followed as a verdict is doubtful: asked again rather than guessed.
            if _HEDGE.match(claim) or (leads and not word and _BEGUN.match(claim)):
                return Verdict.UNKNOWN
            said |= {word[1].lower()} if word else set()
    if len(said) != 1:
        return Verdict.UNKNOWN
    return Verdict.RIGHT if said == {"yes"} else Verdict.WRONG


def _is_question(sentence: str) -> bool:
    return sentence.endswith("?") and not _BEGUN.match(sentence)


def _find_claims(sentence: str, first: bool) -> list[tuple[str, bool]]:
    """Where a sentence may say the verdict, and whether more words may follow it there."""
    label = _LABEL.search(sentence) or (_FIRST_LABEL.match(sentence) if first else None)
    return [(sentence, first), *([(sentence[label.end() :], True)] if label else [])]
