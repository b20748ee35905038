"""Reading the judge's reply: strictly, so that a doubtful reply is asked again and never counted."""

import re

from mics_ray.core.types import Verdict

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_OPEN = r"[\s*_\"'`>(\[{#-]*"
_CLOSE = r"[*_\"'`)\]}]*"
_NAME = r"(?:(?:the|my|our|final|overall)\s+)*(?:verdict|judge?ment|final answer|result|same|match)"
_LABEL = re.compile(rf"(?:^{_OPEN}|[{{,]\s*[\"']){_NAME}[\s*_\"'`]*(?:[:=]|\bis\b)", re.I)
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
_BARE = re.compile(rf"{_OPEN}(yes|no){_CLOSE}[\s.!]*", re.I)


def parse_verdict(reply: str) -> Verdict:
    """``RIGHT`` for yes, ``WRONG`` for no, ``UNKNOWN`` for anything that is not clearly one of them.

    The verdict is the word that the reply begins with, a sentence that is one word, or a labelled word (``Verdict: yes``);
    what the reply says of other answers ("the reference answer is yes") and what it asks is none. A reply whose places
    disagree, or that hedges (``Yes and no``), is unknown.
    """
    said: set[str] = set()
    sentences = [found.strip() for found in _SENTENCE.findall(reply) if not found.endswith("?") and found.strip()]
    for number, sentence in enumerate(sentences):
        label = _LABEL.search(sentence) or (_FIRST_LABEL.match(sentence) if number == 0 else None)
        claim = sentence[label.end() :] if label else sentence
        if _HEDGE.match(claim):
            return Verdict.UNKNOWN
        if word := (_SAID.match(claim) if label or number == 0 else _BARE.fullmatch(claim)):
            said.add(word[1].lower())
    if len(said) != 1:
        return Verdict.UNKNOWN
    return Verdict.RIGHT if said == {"yes"} else Verdict.WRONG
