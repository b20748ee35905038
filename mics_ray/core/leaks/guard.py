"""The leak guard of one case: its gold answer in every form, its captions, and what its question says anyway."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum

from mics_ray.core.context import ask_question
from mics_ray.core.leaks.claims import find_chosen_marks, is_called_answer, is_claimed
from mics_ray.core.leaks.negation import is_denied
from mics_ray.core.leaks.sources import list_cited, states_final_answer
from mics_ray.core.leaks.variants import AnswerVariants, Wording
from mics_ray.core.types import Case
from mics_ray.core.wording import Word, find_mentions, fold_text, locate_words, split_words

CAPTIONS = "Findings"
"""The label of the notes that hold the captions. Complaint, age and sex are no secret: steps may tell them."""
QUOTED_WORDS = 20
"""A run of so many words of a caption is a quotation; one finding, even in the caption's own words, is shorter."""


class Leak(StrEnum):
    """What a step gives away."""

    ANSWER = "answer"
    """The gold answer, word for word or nearly so, or the option that it is."""
    CAPTION = "caption"
    """A caption, report or reference answer is cited, or a caption copied at length."""
    FINAL_ANSWER = "final_answer"
    """The step is, or holds, a final-answer block, whatever it answers."""


class LeakGuard:
    """The guard of one case. What the question and the context say is no secret: interns see them."""

    def __init__(self, case: Case) -> None:
        seen = ask_question(case)
        self._question = _to_lines(seen)
        self._variants = [AnswerVariants(replace(case, answer=gold)) for gold in case.golds]
        # A question may quote its caption, and interns see the question: such runs betray nothing.
        captions = (split_words(note.text) for note in case.notes if note.label == CAPTIONS)
        quotable = {run for caption in captions for run in _word_runs(caption)}
        self._quotable = quotable - set(_word_runs(split_words(seen)))

    def find_in_step(self, step: str) -> tuple[Leak, ...]:
        """What ``step`` gives away, each kind once."""
        line = _to_lines(step)
        tests = (
            (Leak.ANSWER, any(self._tells_answer(_to_lines(one.expand(step)), one) for one in self._variants)),
            (Leak.CAPTION, self._quotes_caption(line)),
            (Leak.FINAL_ANSWER, states_final_answer(line)),
        )
        return tuple(kind for kind, found in tests if found)

    def find_in_chain(self, steps: Sequence[str]) -> tuple[tuple[int, Leak], ...]:
        """The leaks of a chain as (number of the step from 1, kind), in the order of the steps."""
        return tuple((number, kind) for number, step in enumerate(steps, 1) for kind in self.find_in_step(step))

    def _tells_answer(self, line: str, variants: AnswerVariants) -> bool:
        # A step may repeat the question's own words, whatever they call the answer.
        if line and line in self._question:
            return False
        said = locate_words(line)
        return any(_tells_wording(line, said, wording) for wording in variants.wordings) or any(
            not is_denied(line, *place) for mark in variants.marks for place in find_chosen_marks(line, mark)
        )

    def _quotes_caption(self, line: str) -> bool:
        # "According to the report" is fair where the question itself speaks of a report.
        if any(source not in self._question for source in list_cited(line)):
            return True
        return bool(self._quotable) and not self._quotable.isdisjoint(_word_runs(split_words(line)))


def _tells_wording(line: str, said: Sequence[Word], wording: Wording) -> bool:
    """Whether a step mentions a wording so that it is given away, and does not deny it."""
    if not wording.names:
        places = _find_text(line, wording.text)
        return any(is_called_answer(line, *place) and not is_denied(line, *place) for place in places)
    for held in find_mentions([word.text for word in said], wording.words):
        words = [said[place] for place in held]
        start, end = words[0].start, words[-1].end
        if not wording.tells and not is_claimed(line, start, end):
            continue
        # From its last word: "the rib shows no fracture" denies a rib fracture.
        if not is_denied(line, words[-1].start, end, tuple((word.start, word.end) for word in words)):
            return True
    return False


def _find_text(line: str, text: str) -> Iterator[tuple[int, int]]:
    """Where a text of few letters stands as words of its own."""
    at = line.find(text)
    while at >= 0:
        end = at + len(text)
        if not (line[at - 1 : at].isalnum() or line[end : end + 1].isalnum()):
            yield at, end
        at = line.find(text, at + 1)


def _to_lines(text: str) -> str:
    """Folded text, single blanks within each line."""
    return "\n".join(" ".join(line.split()) for line in fold_text(text).splitlines() if line.strip())


def _word_runs(said: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(said[at : at + QUOTED_WORDS]) for at in range(len(said) - QUOTED_WORDS + 1))
