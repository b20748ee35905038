"""Where a step calls something the answer: "the answer is B", "the lesion is a giant cell tumor", "option B fits best".

All texts are folded (:func:`mics_ray.core.wording.fold_text`), places are characters.
"""

import re
from collections.abc import Iterator

REACH = 300
"""Characters before and behind a place that are looked at."""
_FILL = r"""(?:(?:an?|the|then|thus|therefore|hence|clearly|indeed|only|just|surely|most\s+likely|probably|probable|
    likely|typical|classic|of|number|no\.)\s+)*"""
_OPEN = r"[\s\"'*_(\[]*"
_ANSWER = r"(?:answer|diagnosis|option|choice|pick|conclusion)"
# Before any answer, "yes" and "left" too.
_CALLED_BEFORE = re.compile(
    rf"""\b{_ANSWER}(?:\s+(?:is|was|must\s+be|would\s+be|should\s+be|has\s+to\s+be|remains)\b|[\s*_"']*[:=—–-])\s*
    {_OPEN}{_FILL}(?:(?:option|choice|answer)\s+)?(?:number\s+)?{_OPEN}\Z""",
    re.X,
)
# Before a name of the answer: what is said to be it.
_ASSERTED_BEFORE = re.compile(
    rf"""\b(?:is|are|was|(?:must|has\s+to)\s+be|represents?|confirms?|shows?|has|means?|suggests?|indicates?|proves?|
    establish(?:es)?|favou?rs?|favou?ring|supports?|supporting|points?\s+(?:to|towards?)|pointing\s+(?:to|towards?)|
    speaks?\s+for|argues?\s+for|(?:diagnostic|consistent|compatible|typical|characteristic|suggestive|pathognomonic|
    indicative|in\s+keeping|in\s+line)\s+(?:of|with|for)|diagnosis\s+of|fits?(?:\s+with)?|matches|
    conclude(?:\s+that\s+(?:it|this)\s+is)?|leaves?|leaving|choose|select|pick|due\s+to|(?:caused|explained)\s+by)
    \s+{_OPEN}{_FILL}{_OPEN}\Z""",
    re.X,
)
_PICKED_BEFORE = re.compile(rf"\b(?:choose|select|pick)\s*[,:]?\s*{_OPEN}{_FILL}{_OPEN}\Z", re.X)
_CHOSEN_BEFORE = re.compile(
    rf"""\b(?:choose|select|pick|take|go\s+(?:with|for)|opt\s+for|favou?rs?|prefer|leav(?:es?|ing)|settle\s+on|
    end\s+up\s+with|supports?|supporting|points?\s+to|pointing\s+to|speaks?\s+for|argues?\s+for|indicates?|
    therefore|thus|hence|so)\s*[,:]?\s*{_OPEN}{_FILL}{_OPEN}\Z""",
    re.X,
)
_CALLED_AFTER = re.compile(
    r"""[\s)\]"'*_.]{0,4}\s(?:
    (?:is|seems|remains|must\s+be|stands\s+out\s+as)\s+
        (?:(?:the|our|my|by\s+far|clearly|thus|therefore|indeed|only|single)\s+)*
        (?:correct|right|best|answer|one|choice|diagnosis|most\s+(?:likely|probable|consistent|plausible)|likeliest|
        confirmed)\b
    |(?:best\s+)?(?:fits?|matches|explains?|accounts?\s+for|is\s+consistent\s+with)\s+
        (?:best|it\s+all|everything|all|every|these|the\s+(?:findings|picture)|most)\b
    |(?:best|alone|only)\s+(?:fits?|matches|explains?)\b|as\s+the\s+(?:answer|diagnosis|correct))""",
    re.X,
)
# What may follow an answer of common words; without it "is left" would be found in "is left of the midline".
_CLOSED = re.compile(r"[\s*_]?(?:[.,;:!?)*\"'\]–—-]|$)|\s(?:because|since|as|and|which|with|here)\b")
_OPEN_QUESTION = re.compile(
    r"\b(?:if|whether|unless|suppose|assuming|were|either|between|versus|vs|options|choices|differential)\b"
)
_ALTERNATIVE = re.compile(r"[\s)*\"']*(?:or|versus|vs)\b|[^.!?\n]{0,300}\?")
_SENTENCE = re.compile(r"[.;!?](?=\s|$)|\n")
_LEADS_TO = re.compile(r"\b(?:so|thus|hence|therefore|only|that|and)[\s,]*\Z")


def is_claimed(line: str, start: int, end: int) -> bool:
    """Whether a name of the answer from ``start`` to ``end`` is asserted or chosen; one among others is not."""
    before, after = _around(line, start, end)
    if _ALTERNATIVE.match(line, end):
        return False
    if _CALLED_BEFORE.search(before) or (_CALLED_AFTER.match(after) and not _OPEN_QUESTION.search(before)):
        return True
    return bool(_ASSERTED_BEFORE.search(before)) and not _OPEN_QUESTION.search(before)


def is_called_answer(line: str, start: int, end: int) -> bool:
    """Whether an answer of common words ("yes", "left") from ``start`` to ``end`` is called the answer."""
    before, _ = _around(line, start, end)
    return bool(_CALLED_BEFORE.search(before)) and _CLOSED.match(line, end) is not None


def find_chosen_marks(line: str, mark: str) -> Iterator[tuple[int, int]]:
    """Where an option's mark (``b``, ``2``, ``ii``) is called the answer or chosen."""
    letter = rf"(?P<open>[(\[\"'*]{{0,4}}){re.escape(mark)}(?![\w'’-])[)\]\"'*]{{0,4}}"
    for found in re.finditer(rf"(?<![\w'’])(?P<named>(?:option|choice|answer|number|letter)\s+)?{letter}", line):
        if not _ALTERNATIVE.match(line, found.end()) and _is_chosen(line, found):
            yield found.span()


def _is_chosen(line: str, found: re.Match[str]) -> bool:
    before, after = _around(line, *found.span())
    if _OPEN_QUESTION.search(before):
        return False
    closed = _CLOSED.match(line, found.end()) is not None
    picked = _PICKED_BEFORE.search(before) or (found["named"] and _CHOSEN_BEFORE.search(before))
    if closed and (picked or _CALLED_BEFORE.search(before)):
        return True
    # A bare letter is an article or a part of a name ("hepatitis b") but for a few places.
    told = found["named"] or "(" in found["open"] or not before.strip(" ,(*\"'") or _LEADS_TO.search(before)
    return bool(told) and _CALLED_AFTER.match(after) is not None


def _around(line: str, start: int, end: int) -> tuple[str, str]:
    """The sentence before and behind a place, at most :data:`REACH` characters of each."""
    first = max(0, start - REACH)
    begin = max((found.end() for found in _SENTENCE.finditer(line, first, start)), default=first)
    stop = _SENTENCE.search(line, end, end + REACH)
    return line[begin:start], line[end : stop.start() if stop else end + REACH]
