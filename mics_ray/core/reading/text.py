"""The written form of a chain: `### Step k:` blocks closed by `### The final answer is:`."""

import re
from collections.abc import Sequence

from mics_ray.core.reading.answers import HEADING, MarkedAnswer, clean_answer, find_marked_answers, is_placeholder
from mics_ray.core.reading.steps import find_steps
from mics_ray.core.types import Continuation

NO_STEPS_YET = "(nothing yet)"
_FINAL = re.compile(r"^[ \t*]*#{1,6}[ \t*]*(?:the )?final answer\b(?: is\b)?[ \t*]*:?\**[ \t]*", re.I | re.M)
_NOTHING_LEFT = re.compile(
    r"(?=.{0,120}\b(?:nothing|no (?:further|more|other|additional|new)|already|complete))[^\n]{1,120}", re.I | re.S
)
_PLACEHOLDER = re.compile(
    r"<(/?)(\|[\w./-]{1,64}\||\|?(?:image|img|video|audio|vision|box|quad|ref|im_start|im_end|endoftext|object_ref)\w*\|?)>",
    re.I,
)


def neutralise_placeholders(text: str) -> str:
    """Make control tokens of vision-language models (``<image>``, ``<|image_pad|>``, …) plain words.

    So no reply of a model can add or remove a picture of the prompt that it is put into.
    """
    return _PLACEHOLDER.sub(lambda match: f"({match[1]}{match[2].strip('|').lower()})", text)


def format_steps(steps: Sequence[str], first: int = 1) -> str:
    """Steps with their markers, numbered from ``first``, one blank line apart."""
    return "\n\n".join(f"### Step {number}: {step}" for number, step in enumerate(steps, first))


def format_prefix(steps: Sequence[str]) -> str:
    """A prefix as prompts show it."""
    return format_steps(steps) or NO_STEPS_YET


def format_chain(chain: Continuation, first: int = 1) -> str:
    """A whole chain as text, its steps numbered from ``first``."""
    return "\n\n".join(
        part for part in (format_steps(chain.steps, first), f"### The final answer is: {chain.answer}") if part
    )


def parse_answer(text: str) -> str | None:
    """What stands behind the last final-answer marker, up to a next heading; ``None`` without marker or answer.

    Where there is no marker of the written form, another usual one is read; see :mod:`mics_ray.core.reading.answers`.
    """
    found = _find_answer(_drop_echoes(text))
    return found.answer if found else None


def parse_form(text: str) -> str | None:
    """The answer behind the last marker of the written form: ``""`` where none follows it, ``None`` without marker."""
    text = _drop_echoes(text)
    marks = list(_FINAL.finditer(text))
    return clean_answer(_read_marked(text, marks[-1])) if marks else None


def parse_continuation(text: str, prefix: Sequence[str] = ()) -> Continuation | None:
    """Read a mentor's reply that continues ``prefix``; ``None`` when it does not reach a final answer.

    Steps that only repeat the prefix, by number and words, are dropped; text before the first marker is no step. The
    usual forms of markers are read; see :mod:`mics_ray.core.reading.steps`.
    """
    text = _drop_echoes(text)
    found = _find_answer(text, len(prefix) + 1)
    if found is None:
        return None
    body = text[: found.start]
    marks = find_steps(body, len(prefix) + 1)
    ends = [*(mark.start for mark in marks), len(body)][1:]
    blocks = ((mark.number, _close_bold(body[mark.end : end])) for mark, end in zip(marks, ends, strict=True))
    # By number and words: a step that agrees with an earlier one under another number is a step of its own.
    steps = tuple(block for number, block in blocks if block and not _repeats_prefix(number, block, prefix))
    return Continuation(steps, found.answer)


def adds_nothing(text: str) -> bool:
    """Whether a reply whose steps are none has nothing beside its final answer: no words, words that say so, or steps
    that were there before. Any other is in a form that is not read."""
    text = _drop_echoes(text)
    found = _find_answer(text)
    body = text[: found.start] if found else text
    return not _split_text(body) or bool(_NOTHING_LEFT.fullmatch(body.strip()) or find_steps(body))


def _drop_echoes(text: str) -> str:
    """The text without final-answer markers that a placeholder follows: models repeat the format of the instructions
    before they answer."""
    for mark in reversed(list(_FINAL.finditer(text))):
        value = _read_marked(text, mark)
        if is_placeholder(value):
            blank = len(value) - len(value.lstrip())
            end = text.find("\n", mark.end() + blank)
            text = text[: mark.start()] + (text[end:] if end >= 0 else "")
    return text


def _find_answer(text: str, first: int = 1) -> MarkedAnswer | None:
    """The final answer, and where the steps end: at the first marker, whereas the answer stands behind the last."""
    if marks := list(_FINAL.finditer(text)):
        answer = clean_answer(_read_marked(text, marks[-1]))
        return MarkedAnswer(marks[0].start(), answer) if answer else None
    if not (found := find_marked_answers(text)):
        return None
    # A marker of another form may stand within a step ("Answer: C is ruled out") that more steps follow.
    last_step = max((mark.start for mark in find_steps(text, first)), default=-1)
    start = next((one.start for one in found if one.start >= last_step), found[0].start)
    return MarkedAnswer(start, found[-1].answer)


def _read_marked(text: str, mark: re.Match[str]) -> str:
    return HEADING.split(text[mark.end() :], maxsplit=1)[0]


def _repeats_prefix(number: int, step: str, prefix: Sequence[str]) -> bool:
    """Whether a block is the prefix's own step of that number, written again."""
    return 1 <= number <= len(prefix) and _split_text(step) == _split_text(prefix[number - 1])


def _close_bold(text: str) -> str:
    """A step without the one half of a pair of ``**`` that its marker leaves behind (``### **Step 1: Look.** …``)."""
    first, line_break, rest = text.strip().partition("\n")
    # In the first line alone: further down, taking stars away could make a marker of what is none.
    first = first.replace("**", "", 1) if text.count("**") % 2 else first
    return (first + line_break + rest).strip()


def _split_text(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
