"""Whether a sentence denies what it mentions: "no evidence of pulmonary embolism" gives nothing away.

A negation reaches over its own clause: "no effusion, but a pulmonary embolism is present" mentions the latter. All
texts are folded (:func:`mics_ray.core.wording.fold_text`), places are characters.
"""

import re

REACH = 300
"""Characters before and behind a mention that are looked at; no clause is longer."""
_CLAUSE_END = re.compile(
    r"[.;:!?](?=\s|$)|\n|→|->|—|\s[–-]\s|\b(?:but|however|yet|although|though|whereas|while|instead|nevertheless|except|"
    r"so|thus|therefore|hence|because|since|then)\b"
)
_PART_END = re.compile(r",|\b(?:and|or|nor)\b")
# Words of negation that deny nothing; "the picture cannot rule it out" leaves it open, and so names it.
_NO_NEGATION = re.compile(
    r"\b(?:no|without|beyond|little)\s+(?:any\s+)?(?:doubt|question)\b|\bno\s+longer\b|\bnot\s+(?:only|just|merely|simply)\b"
    r"|(?:\bnot|n't|\bcannot)\s+(?:(?:be|been|yet|safely|fully|completely|entirely)\s+){0,2}"
    r"(?:exclud\w+|rul\w+\s+out|unlikely|without|improbable|implausible)\b"
    r"|\bno(?:thing|\s+(?:other|better|likelier|more\s+\w+))\b[^.;:!?\n]{0,40}?\bthan\b|\bno\s+alternative\s+to\b|\bnothing\s+but\b"
)
_DENIES = re.compile(
    r"\b(?:no|not|never|neither|nor|cannot|nothing|none|hardly)\b|n't\b|\brul(?:es?|ing)\s+out\b"
    r"|(?<!is )(?<!be )(?<!been )(?<!are )(?<!was )\b(?:ruled\s+out|exclud(?:es?|ed|ing))\b|\bden(?:y|ies|ied)\b"
    r"|\bnegative\s+for\b|\bagainst\b|\b(?:unlikely|improbable|implausible)\s+(?:that|to|for)\b|\bfail(?:s|ed)?\s+to\b"
)
# These deny a thing, not a statement: a verb behind it speaks of something else ("the absence of fluid suggests …").
_LACKS = re.compile(
    r"\b(?:without|absence\s+of|lack\s+of|lack(?:s|ing)|free\s+(?:of|from)|devoid\s+of|rather\s+than|instead\s+of|unlike)\b"
)
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|shows?|suggests?|indicates?|explains?|remains?|fits?|means?|finds?|found|sees?|"
    r"causes?|makes?|points?|supports?|confirms?|represents?|can|could|may|might|must|should|would|will|seems?|appears?|"
    r"looks?|lies|comes?|stands?|speaks?|gives?|leaves?|favou?rs?|thinks?|calls?|concludes?|does|do|did|proves?|"
    r"implies|matches|accounts?|becomes?|keeps?|rules?)\b"
)
_LEADS_ON = re.compile(
    r"\b(?:consistent|compatible|suggestive|typical|due|pointing|suggesting|indicating|leaving|making)\b"
)
_OWN_SUBJECT = re.compile(r"\s*(?:the|this|these|it|there|we|i|one)\b")
_OWN_ARTICLE = re.compile(r"\s*an?\b")
_ARTICLE_BEFORE = re.compile(r"\s*(?:an?|the)\b")
_ADVERBS = r"(?:(?:\w+ly|very|rather|thus|quite|far|also)\s+)*"
_DENIED = re.compile(
    rf"""\W*(?:unlikely|improbable|implausible|excluded|ruled\ out)\b
    |(?P<between>[^,;.:!?\n]{{0,40}}?)\b(?:
    (?:is|are|was|were|seems?|appears?|becomes?|can\ be|could\ be|may\ be|(?:has|have)\ been)\s+{_ADVERBS}(?:
        unlikely|improbable|implausible|excluded|ruled\ out|absent|missing|wrong|incorrect|less\ likely|
        out\ of\ the\ question|not\s+{_ADVERBS}(?:seen|present|visible|found|shown|likely|there|it|supported|suggested|
        possible|the|an?|evident|demonstrated|identified|detected|consistent|compatible|typical|plausible|correct|right))
    |(?:does|do|did|can|would)(?:\ not|n't|not)\s+{_ADVERBS}(?:fit|explain|match|account|look|apply)
    |(?:fails?|failed)\ to\ (?:explain|fit|match|account))\b""",
    re.X,
)


def is_denied(line: str, start: int, end: int, places: tuple[tuple[int, int], ...] = ()) -> bool:
    """Whether what stands in ``line`` from ``start`` to ``end`` is denied in its clause.

    ``places`` are its words: a negation that is one of them ("No acute fracture") is part of what is said.
    """
    shift = max(0, start - REACH)
    plain = _NO_NEGATION.sub(lambda found: " " * len(found[0]), line[shift : end + REACH])
    start, end, places = start - shift, end - shift, tuple((at - shift, stop - shift) for at, stop in places)
    begin = max((found.end() for found in _CLAUSE_END.finditer(plain, 0, start)), default=0)
    after = _CLAUSE_END.search(plain, end)
    rest = plain[end : after.start() if after else len(plain)]
    if (denied := _DENIED.match(rest)) and not _VERB.search(denied["between"] or ""):
        return True
    kinds = ((False, _DENIES), (True, _LACKS))
    cues = ((found, lacks) for lacks, pattern in kinds for found in pattern.finditer(plain, begin, start))
    return any(
        _reaches(plain[begin : cue.start()], plain[cue.end() : start], rest, lacks)
        for cue, lacks in cues
        if not any(at < cue.end() and cue.start() < stop for at, stop in places)
    )


def _reaches(before: str, between: str, rest: str, lacks: bool) -> bool:
    """Whether a negation reaches over ``between`` to a mention; ``rest`` of the clause follows that."""
    parts = _PART_END.split(between)
    if lacks and (_VERB.search(parts[0]) or _LEADS_ON.search(parts[0])):
        return False
    if len(parts) == 1:
        return True
    own, after = parts[-1], _PART_END.split(rest)[0]
    # Of "no effusion and a clot is seen" the second part stands by itself; "no effusion or clot is seen" is one list.
    if any(map(_VERB.search, parts[1:])) or _LEADS_ON.search(own) or _OWN_SUBJECT.match(own):
        return False
    if not lacks and _OWN_ARTICLE.match(own) and not _ARTICLE_BEFORE.match(parts[0]):
        return False
    spoken = lacks or _VERB.search(before) or _VERB.search(parts[0])
    return not (spoken and _VERB.search(after))
