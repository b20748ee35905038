"""Final answers that are not marked as the prompt asks: ``**Answer:** X``, ``\\boxed{X}``, ``<answer>X</answer>`` and
others of the kind. A marker begins a line or a sentence; what running prose says of an answer is none."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# What may stand before a marker on its line: quotation, bullet, number, heading, bold, bracket. Possessive, so that a
# line of nothing else costs no backtracking.
_LEAD = (
    r"^(?P<lead>(?:[ \t>*+•·‣▪●○–—→➤⇒=#_`\"“‘'\[(✅👉🎯💡📌-]|\ufe0f|\d{1,2}[.)][ \t]|<answer>|"
    r"step[ \t]*(?:\d{1,3}|one|two|three|four|five|six|seven|eight|nine|ten)[ \t*]*[:.)–-])*+)"
)
_JOINED = r"""(?:(?:(?:and\ )?(?:so|thus|therefore|hence|accordingly|consequently|finally|overall|conclusion|
    in\ (?:conclusion|summary|short)|to\ (?:conclude|summari[sz]e|sum\ up))\b|
    (?:based\ on|given|considering|from)\ [^,.:?!\n]{1,150}(?=,))[ \t]*[,:]?[ \t*_]*)?"""
_LABEL = r"""(?:(?:the|my|our)[ \t]+)?(?:(?P<what>(?:(?:single|most\ likely|final|correct|best|right|and)[ \t_]+){1,3}
    (?:answer|option|choice)|final[ \t_]+diagnosis)|answer|ans\b|最终答案|答案)
    (?:[ \t]+(?:to|for)[ \t]+(?:the|this)[ \t]+question)?"""
_IS = r"(?:[ \t*_]+(?:is|was|would[ \t]be|should[ \t]be|must[ \t]be)\b(?:[ \t]+(?:thus|therefore|hence)\b)?|是|为)"
_SHUT = r"[ \t*_`\])]*+"
_COLON = r"(?:[:：=]|→|⇒|->|=>|(?<=[ \t])[-–—](?=[ \t]))"
_END = r"(?=[ \t]*(?:[.,;:!)]|$))"
_LINE = re.compile(
    rf"""{_LEAD}{_JOINED}{_LABEL}(?:
    (?:[ \t]*\([^()\n]{{1,40}}\))?{_IS}?{_SHUT}(?P<colon>{_COLON})
    |(?P<title>{_SHUT}$)
    |{_IS}[ \t]+(?=(?P<marked>[*_`"“‘']|\\boxed|\$|\(?(?-i:[A-J])\)?{_END}|(?:yes|no)\b{_END}))
    |{_IS}[ \t]+(?=(?P<plain>\S(?:[^\n]*\S)?)\s*\Z))""",
    re.I | re.M | re.X,
)
_SENTENCE = re.compile(
    r"(?<=[.!?*)][ \t])(?:(?:The|My)[ \t]+(?:(?:final|correct)[ \t]+)?answer|(?:Final|Correct)[ \t]+[Aa]nswer|Answer)"
    r"(?:[ \t]+is)?[*_]*[ \t]*[:：]"
)
_JSON = re.compile(r'"(?:final[ _]?)?answer"\s*:\s*"(?P<in>(?:[^"\\\n]|\\.){1,1000})"', re.I)
_TAGGED = re.compile(
    r"<((?:final_)?answer|conclusion)>(?P<in>.{1,1000}?)</\1>|<\|begin_of_box\|>(?P<box>.{1,1000}?)<\|end_of_box\|>",
    re.I | re.S,
)
_BOXED = re.compile(r"\\boxed[ \t]*\{")
MOST_LETTERS = 1000
"""Characters of an answer; where more stand behind a marker, they are none."""

_STOP = re.compile(
    r"""\n[ \t]*\n|\n[ \t*]*\#|\n[ \t]*(?:-{3,}|={3,}|\*{3,})[ \t]*(?:\n|\Z)
    |\n[ \t>]*\*\*[^*\n]{1,60}(?::\*\*|\*\*[ \t]*:)
    |\n[ \t>*_-]*(?:explanations?|reason(?:ing|s)?|rationale|justification|notes?|confidence|why|analysis|step[ \t]*\d+|
    question|(?:final[ ])?answer)\b[^\n:：]{0,30}[:：]""",
    re.I | re.X,
)
_NOT_YET = re.compile(
    r"""(?:not|never|yet|still|unknown|unclear|uncertain|undetermined|unavailable|pending|to\ be|based|given|provided|
    shown|found|written|stated|described|as\ follows|below|above|after|before|hard|difficult|impossible|beyond|
    the\ following|one\ of|that\ we|that\ I|what|which|how|here|therefore|explained|discussed)\b""",
    re.I | re.X,
)
MOST_WORDS = 15
"""Words of an answer that nothing but its place at the end of the text marks."""

_PLACEHOLDER = re.compile(
    r"""(?:[<\[{(«]+[ \t]*(?:(?:your|the|an?|my|insert|write|put|give|state|final|short|brief|correct|concise)[ \t]+)*
        (?:answer|text|letter|option|choice|response|value|result|diagnosis|here|…|\.{3})
        (?:[ \t]+(?:here|text|goes|in|a|few|words|only|letter|choice|option))*[ \t]*[>\]})»]+
    |[<\[{]+[ \t]*[xX][ \t]*[>\]}]+|…|\.{2,}|_{2,}
    |(?:your|insert|write|put)\b[\w ]{0,40}\banswer\b[\w ]{0,20}|(?:the[ ])?(?:final[ ])?answer
    )[.\s]*""",
    re.I | re.X,
)
_ECHOED = re.compile(
    r"[\"'”’`]+[ \t]*(?:$|(?:and|followed|then|with)\b|[.,])|(?:and|followed by|then)\b.*\banswer\b", re.I
)
_PAIRS = ('""', "''", "“”", "‘’", "``", "__", "$$", "「」")
_FONT = re.compile(r"\\(?:text|mathrm|textbf|mathbf|textit)[ \t]*\{([^{}]*)\}")
_WRAPPERS = (("<answer>", "</answer>"), ("<|begin_of_box|>", "<|end_of_box|>"))
_BRACE = re.compile(r"[{}]")
HEADING = re.compile(r"\n[ \t*]*#")
_GAP = re.compile(r"[ \t*_]*(?:\n[ \t]*)*")


@dataclass(frozen=True, slots=True)
class MarkedAnswer:
    """An answer and the place where its marker begins; of one within a line, the line's beginning."""

    start: int
    answer: str


def find_marked_answers(text: str) -> list[MarkedAnswer]:
    """The answers that ``text`` marks, in their order."""
    found = sorted((*_find_labelled(text), *_find_enclosed(text)), key=lambda one: one[0])
    return [MarkedAnswer(start, answer) for _, start, answer in found]


def clean_answer(text: str) -> str:
    """An answer without emphasis and without the tags or the box around it; ``""`` for none, or a placeholder."""
    # Until nothing is left to take away: a chain that is written and read again is the same.
    while (plain := _take_away(text)) != text:
        text = plain
    return "" if is_placeholder(text) else text


def _take_away(text: str) -> str:
    plain = text.strip()
    for begin, end in _WRAPPERS:
        plain = plain[len(begin) :] if plain[: len(begin)].lower() == begin else plain
        plain = plain[: -len(end)] if plain[-len(end) :].lower() == end else plain
    bare = plain.lstrip("$* ")
    if (box := _BOXED.match(bare)) and (inner := _read_box(bare, box, whole=True)):
        plain = inner
    return plain.replace("**", "").strip().strip("*").strip()


def is_placeholder(text: str) -> bool:
    """Whether a text begins with what stands where an answer is to be written: a prompt's instructions, given back."""
    line = text.strip().partition("\n")[0]
    return bool(_ECHOED.match(line)) or _PLACEHOLDER.fullmatch(line.strip(" \t\"'“”‘’`*")) is not None


def _find_labelled(text: str) -> Iterator[tuple[int, int, str]]:
    """(where the answer begins, where its marker begins, the answer) of markers in words."""
    for mark in _LINE.finditer(text):
        if answer := _read_line(text, mark):
            yield mark.end(), mark.start(), answer
    for mark in _SENTENCE.finditer(text):
        if answer := _read_paragraph(text, mark.end()):
            yield mark.end(), mark.start(), answer


def _read_line(text: str, mark: re.Match[str]) -> str:
    if said := mark["plain"]:
        return "" if len(said.split()) > MOST_WORDS or said.endswith("?") or _NOT_YET.match(said) else _trim(said)
    # A bare line "Answer" is a word of the text; one that is set off, or says which answer, is a title.
    if mark["title"] is not None and not (mark["what"] or set("#*_") & set(mark["lead"])):
        return ""
    answer = _read_paragraph(text, mark.end())
    return "" if mark["marked"] and _NOT_YET.match(answer) else answer


def _read_paragraph(text: str, at: int) -> str:
    """The paragraph that begins at ``at`` or further down, up to a heading or another label; ``""`` for a question."""
    gap = _GAP.match(text, at)
    begin = gap.end() if gap else at
    # What begins on a line of its own may be a heading or a label itself.
    said = ("\n" if "\n" in text[at:begin] else "") + text[begin : begin + MOST_LETTERS]
    if stop := _STOP.search(said):
        said = said[: stop.start()]
    elif begin + MOST_LETTERS < len(text):
        return ""
    return "" if said.strip().partition("\n")[0].endswith("?") else _trim(said)


def _find_enclosed(text: str) -> Iterator[tuple[int, int, str]]:
    """The same of answers within braces, tags or a JSON field; their marker begins with its line."""
    for box in _BOXED.finditer(text):
        if answer := _trim(_read_box(text, box)):
            yield box.end(), _find_line(text, box), answer
    for pattern in (_TAGGED, _JSON):
        for mark in pattern.finditer(text):
            if answer := _trim(next(filter(None, (mark.groupdict().get(name) for name in ("in", "box"))), "")):
                yield mark.start(), _find_line(text, mark), answer


def _find_line(text: str, mark: re.Match[str]) -> int:
    return text.rfind("\n", 0, mark.start()) + 1


def _read_box(text: str, box: re.Match[str], whole: bool = False) -> str:
    """What stands in a box, fonts dropped; ``""`` where it is not closed or, for ``whole``, more follows it."""
    depth = 1
    for brace in _BRACE.finditer(text, box.end(), box.end() + MOST_LETTERS):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            after = text[brace.end() :] if whole else ""
            return (
                "" if after.strip("$.* \n") else _FONT.sub(r"\1", text[box.end() : brace.start()]).replace("\\ ", " ")
            )
    return ""


def _trim(said: str) -> str:
    """An answer up to a heading, without a pair of quotation marks around it."""
    answer = clean_answer(HEADING.split(said, maxsplit=1)[0])
    while inner := _read_quoted(answer.rstrip(". ")):
        answer = clean_answer(inner)
    for sign in '"`”':
        # The other one of the pair stands before the marker.
        if answer.endswith(sign) and answer.count(sign) % 2 and "“" not in answer:
            answer = clean_answer(answer[:-1])
    return answer


def _read_quoted(text: str) -> str:
    """What stands between one pair of quotation marks around the whole; ``""`` where there is none."""
    inner = text[1:-1]
    return inner if text[:1] + text[-1:] in _PAIRS and not {text[0], text[-1]} & set(inner) else ""
