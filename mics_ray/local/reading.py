"""What the simulated mentors and judge read in a prompt: its sections, the case notes, the steps already there.

Tolerant: a user's own prompt may lack every heading, and nothing here raises on any text.
"""

import re
from dataclasses import dataclass

QUESTION, NOTES, REFERENCE, PREFIX, NEXT_STEP, CANDIDATE, STEP = (
    "question",
    "case notes",
    "reference answer",
    "reasoning so far",
    "next step",
    "answer to check",
    "step to check",
)
HEADINGS = (QUESTION, NOTES, REFERENCE, PREFIX, NEXT_STEP, CANDIDATE, STEP)
MAX_SENTENCES = 60  # bounds the work on captions of any length
_HEADING = re.compile(rf"^[ \t]*##[ \t]+({'|'.join(HEADINGS)})[ \t]*:?[ \t]*$", re.I | re.M)
_STEP = re.compile(r"^[ \t]*###[ \t]*Step[ \t]+(\d{1,4})[ \t]*:", re.I | re.M)
_ANSWER_LINE = re.compile(r"^[ \t*#]*(?:reference|correct|gold)[ \t]+answer[ \t*]*:[ \t*]*(\S.*)$", re.I | re.M)
_FIELD = re.compile(r"^[ \t\-*]*(complaint|age|gender|findings)[ \t]*:[ \t]*(.*)$", re.I)
_MARKUP = re.compile(r"<[^<>\n]{0,40}>|#+|\*\*")
_LEAD = re.compile(r"^according to the\s*[,:]?\s*", re.I)
# A capital or digit must follow: "approx. 3 cm" is split, "e.g. the hilum" is not.
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9(])|\n+")


@dataclass(frozen=True, slots=True)
class CaseNotes:
    """A mentor's prompt as read; every field is empty where the prompt does not give it."""

    complaint: str
    age: str
    gender: str
    findings: tuple[str, ...]
    answer: str
    steps: tuple[str, ...]
    next_step: int


def split_sections(prompt: str) -> dict[str, str]:
    """Text under each known ``## Heading``, keyed by the lower-cased heading; the first of a name counts."""
    found: dict[str, str] = {}
    marks = list(_HEADING.finditer(prompt))
    ends = [*(mark.start() for mark in marks[1:]), len(prompt)][: len(marks)]
    for mark, end in zip(marks, ends, strict=True):
        found.setdefault(mark.group(1).casefold(), prompt[mark.end() : end].strip())
    return found


def make_plain(text: str) -> str:
    """``text`` without markers, picture placeholders and line breaks, so that it cannot pass for a step of its own."""
    return " ".join(_MARKUP.sub(" ", text).split())


def split_sentences(text: str) -> tuple[str, ...]:
    """``text`` as at most 60 sentences of two words or more, capitalised and closed; headings (``…:``) are left out."""
    pieces = (_LEAD.sub("", make_plain(piece)) for piece in _SENTENCE_END.split(text))
    whole = (piece.strip(" ,;:-•") for piece in pieces if not piece.endswith(":"))
    return tuple(p[0].upper() + p[1:] + ("" if p[-1] in ".!?" else ".") for p in whole if " " in p)[:MAX_SENTENCES]


def read_case(prompt: str) -> CaseNotes:
    """The case that a mentor's prompt describes."""
    parts = split_sections(prompt)
    fields: dict[str, list[str]] = {"complaint": [], "age": [], "gender": [], "findings": []}
    name = "findings" if NOTES in parts else ""
    for line in parts.get(NOTES, prompt).splitlines():
        field = _FIELD.match(line)
        if field:
            name = field.group(1).casefold()
        if name:
            fields[name].append(field.group(2) if field else line)
            name = "findings" if NOTES in parts or name == "findings" else ""
    past = parts.get(PREFIX, "" if PREFIX in parts else prompt)
    numbers, steps = _read_steps(past)
    return CaseNotes(
        complaint=make_plain(" ".join(fields["complaint"]))[:300],
        age=make_plain(" ".join(fields["age"]))[:40],
        gender=make_plain(" ".join(fields["gender"]))[:40],
        findings=tuple(s for line in fields["findings"] for s in split_sentences(line))[:MAX_SENTENCES],
        answer=_read_answer(prompt, parts),
        steps=steps,
        next_step=max(numbers, default=0) + 1,
    )


def _read_steps(text: str) -> tuple[list[int], tuple[str, ...]]:
    marks = list(_STEP.finditer(text))
    ends = [*(m.start() for m in marks[1:]), len(text)][: len(marks)]
    bodies = tuple(make_plain(text[m.end() : end]) for m, end in zip(marks, ends, strict=True))
    return [int(m.group(1)) for m in marks], bodies


def _read_answer(prompt: str, parts: dict[str, str]) -> str:
    given = parts.get(REFERENCE, "")
    if not given and (line := _ANSWER_LINE.search(prompt)):
        given = line.group(1)
    return make_plain(given)[:500]
