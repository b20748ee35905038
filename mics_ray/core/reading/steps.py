"""Where the steps of a chain begin, in the usual forms: ``### Step 1:`` as prompts ask for, ``**Step 1:**``,
``Step one -``, ``第1步``, and a numbered list where nothing else marks a step. Running prose marks none."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_HAN = ("一", "二", "三", "四", "五", "六", "七", "八", "九", "十")
_NUMBERS = {word: number for words in (_WORDS, _ORDINALS, _ROMAN, _HAN) for number, word in enumerate(words, 1)}
_STEP = "(?:reasoning[ \t]+)?(?:step|schritt|étape|etape|paso|passo|stap|шаг)"
_LEAD = (
    r"^(?P<lead>(?:[ \t>•+*_`\[(<#-]|\d{1,2}[.)][ \t])*+)"  # possessive: a line of nothing else costs no backtracking
)
_NAMED = rf"""(?:{_STEP}(?:[ \t]*+(?:no\.?[ \t]*+|number[ \t]++|\#[ \t]*+|[-_:][ \t]*+)?(?P<n>\d{{1,4}})
        |[ \t]++(?P<word>{"|".join(_WORDS)}|{"|".join(reversed(_ROMAN))}))\b(?:[ \t]*+(?:/|of)[ \t]*+\d+)?
    |(?:the[ \t]++)?(?P<ordinal>{"|".join(_ORDINALS)})[ \t]++{_STEP}\b
    |第[ \t]*+(?P<counted>\d{{1,2}}|[{"".join(_HAN)}])[ \t]*+步
    |步[骤驟][ \t]*+(?P<han>\d{{1,2}}|[{"".join(_HAN)}]))"""
_SIGN = r"""(?P<sign>(?=[ \t]*+\([^()\n]{1,80}\)[ \t*_]*+(?:[:：]|$))
    |[ \t]*+[*_`\])>]*+[ \t]*+[:：.．)\-–—、|][*_`]*+(?=[ \t]|$|[^\s\d])
    |[ \t]*+[*_`\])>]++(?=[ \t]|$)
    |[ \t]*+$)"""
_MARK = re.compile(rf"{_LEAD}{_NAMED}(?:{_SIGN})?[ \t]*+", re.I | re.M | re.X)
_BOLD = re.compile(r"(?:\*\*|__)[ \t]*\Z")
# Within a line only as a sentence of its own, with the very next number.
_INLINE = re.compile(r"(?<=[.!?])[ \t]+\**Step[ \t]+(?P<n>\d{1,2})\**[ \t]*:\**[ \t]*")
_NUMBERED = re.compile(
    r"^(?P<lead>[ \t]{0,8})(?:\#{1,6}[ \t]++|[>•*+-][ \t]++)?(?:\*\*|__)?[(\[]?(?P<n>\d{1,2})"
    r"(?:(?:[.:)\]、．：]\)?|\ufe0f?\u20e3)(?:\*\*|__)?(?:[ \t]+|(?=[^\s\d])))(?=\S)",
    re.M,
)
_OTHER_LIST = re.compile(r"differential|diagnos[ei]s|option|choice|possib|candidate|cause", re.I)
MOST_LEAD_IN = 200
"""Characters before a numbered list of steps; behind a longer text it is a list of something else."""


@dataclass(frozen=True, slots=True)
class StepMark:
    """A marker: where it begins, where the step's text begins, and the number that it gives the step."""

    start: int
    end: int
    number: int


def find_steps(text: str, first: int = 1) -> list[StepMark]:
    """The markers in ``text``, in their order; ``first`` is the number that the next step of the chain has.

    The form that stands highest counts alone: what looks like a lower one is part of a step. Headings and bold markers
    are of equal rank.
    """
    marks = list(_MARK.finditer(text))
    signed = [mark for mark in marks if mark["sign"] is not None]
    if any("#" in mark["lead"] for mark in marks):
        ranked = (
            mark for mark in marks if "#" in mark["lead"] or (mark["sign"] is not None and _BOLD.search(mark["lead"]))
        )
        return [_read_mark(mark) for mark in ranked]
    return list(_find_plain(text, signed)) or _find_numbered(text, first)


def _find_plain(text: str, signed: Sequence[re.Match[str]]) -> Iterator[StepMark]:
    """Markers without a heading: those of lines, and within a line the numbers that go on."""
    lines = [_read_mark(mark) for mark in signed]
    ends = [*(mark.start for mark in lines), len(text)][1:]
    for mark, end in zip(lines, ends, strict=True):
        yield mark
        number = mark.number
        for inline in _INLINE.finditer(text, mark.end, end):
            if int(inline["n"]) == number + 1:
                number += 1
                yield StepMark(inline.start(), inline.end(), number)


def _find_numbered(text: str, first: int) -> list[StepMark]:
    """The items of the outermost list, where a list is all that the text holds."""
    items = list(_NUMBERED.finditer(text))
    while items and int(items[0]["n"]) not in (1, first):
        del items[0]
    if not items or _is_other_list(text[: items[0].start()]):
        return []
    outer = [item for item in items if item["lead"] == items[0]["lead"]]
    found = [outer[0]]
    for item in outer[1:]:
        if int(item["n"]) == int(found[-1]["n"]) + 1:
            found.append(item)
    # Markdown takes a list whose items are all numbered 1.
    if len(found) == 1 and len({item["n"] for item in outer}) == 1:
        found = outer
    return [StepMark(item.start(), item.end(), int(item["n"])) for item in found]


def _is_other_list(before: str) -> bool:
    lead_in = before.strip()
    last = lead_in.rpartition("\n")[2]
    return len(lead_in) > MOST_LEAD_IN or (last.rstrip("*_ ").endswith(":") and bool(_OTHER_LIST.search(last)))


def _read_mark(mark: re.Match[str]) -> StepMark:
    told = next(filter(None, (mark[name] for name in ("n", "word", "ordinal", "counted", "han"))))
    return StepMark(mark.start(), mark.end(), int(told) if told.isdecimal() else _NUMBERS[told.lower()])
