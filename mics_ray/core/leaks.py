"""Steps that give away what interns are not to see: the gold answer, a mentor's captions, a final-answer block.

The guard reads words, not meaning: a synonym ("enlarged heart" for "Cardiomegaly") passes, and a differential that
names the gold answer among others does not.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mics_ray.core.types import Case
from mics_ray.core.wording import extract_words, fold_text, is_telling, mentions_wording, split_words

CAPTIONS = "Findings"
"""The label of the notes that hold the captions. Complaint, age and sex are no secret: steps may tell them."""
QUOTED_WORDS = 20
"""A run of so many words of a caption is a quotation; one finding, even in the caption's own words, is shorter."""

_FINAL = re.compile(
    r"^[^a-z0-9\n]*(?:(?:the|my|our)\s+)?(?:final\s+)?answer\b[\s*_\"'`]*(?:[:=]|is\s*:)|\bfinal\s+answer\b|\\boxed\s*\{|<answer>",
    re.I | re.M,
)
# A caption is cited by what it is ("the report"), not by its words: no comparison of words finds that.
_SOURCE = r"""(?:(?:picture|image|imaging|radiology|official|provided|given|accompanying|figure)\s+)*(?:
    captions?|image\s+analys[ie]s|image\s+descriptions?|case\s+notes|report|
    (?:reference|gold|gold\s+standard|correct|provided|given)\s+answer)"""
_CITED = re.compile(
    rf"""\b(?:according\s+to|based\s+on|as\s+(?:stated|said|described|noted|reported|mentioned|given|shown|written)\s+
    (?:in|by)|as\s+per|per|from|in|matches|matching)\s+(?:the|its|this|that|our)\s+(?P<by>{_SOURCE})\b
    |\bthe\s+(?P<says>{_SOURCE})\s+(?:(?:also|clearly|already)\s+)?(?:says?|states?|describes?|mentions?|notes?|
    reports?|reads?|tells?|indicates?|shows?|reveals?|confirms?|suggests?)\b""",
    re.I | re.X,
)
_CALLED = re.compile(
    r"""\b(?:answer|diagnosis|option|choice)(?:\ (?:is|was|must\ be|would\ be|should\ be)\b|[\ *_"']*[:=])[\s"'*(]*
    (?:(?:an?|the|option|choice|clearly|thus|therefore)\ )?["'*(]*""",
    re.X,
)
# What may follow the answer; without it "is effusion" would be found in "is effusions" or "is effusion volume".
_CLOSED = re.compile(r" ?(?:[.,;:!?)*\"'\]–—-]|$)| (?:because|since|as|and|which|with|here)\b")
_CHOSEN = re.compile(
    r"\b(?:option|choice|answer) \(?([^()]{1,300}?)\)? (?:is|as) (?:the )?(?:correct|right|best|answer)\b"
)


class Leak(StrEnum):
    """What a step gives away."""

    ANSWER = "answer"
    """The gold answer, word for word or nearly so."""
    CAPTION = "caption"
    """A caption, report or reference answer is cited, or a caption copied at length."""
    FINAL_ANSWER = "final_answer"
    """The step is, or holds, a final-answer block, whatever it answers."""


@dataclass(frozen=True, slots=True)
class _AnswerWording:
    """One way to write the answer; ``tells``: to mention it is to give it away.

    An answer of words that any description uses ("Left", "B", "Yes", "3 cm"), or that the question itself names, is
    given away only where a step calls it the answer: mentioned alone it would be found in every step.
    """

    text: str
    words: tuple[str, ...]
    tells: bool


class LeakGuard:
    """The guard of one case. What the question says is no secret: interns see it."""

    def __init__(self, case: Case) -> None:
        self._question = _to_line(case.question)
        asked, asked_words = split_words(case.question), extract_words(case.question)
        self._wordings = [_make_wording(text, asked_words) for text in _list_variants(case.answer)]
        # A question may quote its caption, and interns see the question: such runs betray nothing.
        captions = (split_words(note.text) for note in case.notes if note.label == CAPTIONS)
        self._quotable = {run for caption in captions for run in _word_runs(caption)} - set(_word_runs(asked))

    def find_in_step(self, step: str) -> tuple[Leak, ...]:
        """What ``step`` gives away, each kind once."""
        tests = (
            (Leak.ANSWER, self._tells_answer),
            (Leak.CAPTION, self._quotes_caption),
            (Leak.FINAL_ANSWER, _FINAL.search),
        )
        return tuple(kind for kind, test in tests if test(step))

    def find_in_chain(self, steps: Sequence[str]) -> tuple[tuple[int, Leak], ...]:
        """The leaks of a chain as (number of the step from 1, kind), in the order of the steps."""
        return tuple((number, kind) for number, step in enumerate(steps, 1) for kind in self.find_in_step(step))

    def _tells_answer(self, step: str) -> bool:
        said = extract_words(step)
        if any(wording.tells and mentions_wording(said, wording.words) for wording in self._wordings):
            return True
        line = _to_line(step)
        return any(_is_called(line, wording.text) for wording in self._wordings)

    def _quotes_caption(self, step: str) -> bool:
        sources = (found["by"] or found["says"] for found in _CITED.finditer(step))
        # "According to the report" is fair where the question itself speaks of a report.
        if any(_to_line(source) not in self._question for source in sources):
            return True
        return bool(self._quotable) and not self._quotable.isdisjoint(_word_runs(split_words(step)))


def _list_variants(answer: str) -> list[str]:
    """The answer without the letter of its option, with and without what stands in brackets."""
    whole = _to_line(answer)
    # Multiple-choice answers come as "B. Pneumonia" or "(b) Pneumonia"; a step names one without its letter.
    bare = re.sub(r"^\(?[a-h][.):] ", "", whole)
    texts = (whole, bare, _to_line(re.sub(r"\([^)]*\)", " ", bare)))
    return [text for text in dict.fromkeys(text.strip(" .,;:*") for text in texts) if text]


def _make_wording(text: str, asked: Sequence[str]) -> _AnswerWording:
    spoken = tuple(extract_words(text))
    return _AnswerWording(text, spoken, any(map(is_telling, spoken)) and not mentions_wording(asked, spoken))


def _is_called(line: str, answer: str) -> bool:
    """Whether a line calls ``answer`` the answer, the diagnosis or the option to choose."""
    said = (found.end() for found in _CALLED.finditer(line))
    if any(line.startswith(answer, at) and _CLOSED.match(line, at + len(answer)) for at in said):
        return True
    return any(found[1] == answer for found in _CHOSEN.finditer(line))


def _to_line(text: str) -> str:
    """Plain text on one line, single blanks."""
    return " ".join(fold_text(text).split())


def _word_runs(said: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(said[at : at + QUOTED_WORDS]) for at in range(len(said) - QUOTED_WORDS + 1))
