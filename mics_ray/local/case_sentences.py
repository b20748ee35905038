"""What a simulated mentor can say about one case, sentence by sentence, and what has been said already.

Two kinds of case: a phantom (its notes hold the evidence sentence of one of the eight findings) and any other case,
whose captions are told in portions. One object serves one reply and keeps track of it.
"""

import random
from enum import StrEnum
from typing import Protocol

from mics_ray.local import phrases
from mics_ray.local.findings import FINDINGS, REGIONS, Finding
from mics_ray.local.judge import gives_away, same_meaning
from mics_ray.local.reading import CaseNotes


class StepKind(StrEnum):
    """How much a step reveals to an intern."""

    NEUTRAL = "neutral"
    NARROWING = "narrowing"
    NAMING = "naming"
    MISLEADING = "misleading"


class CaseSentences(Protocol):
    """The sentences of one case, for one reply."""

    @property
    def answer(self) -> str:
        """What the chain ends with."""
        ...

    @property
    def narrowed(self) -> bool:
        """Whether the chain says where to look."""
        ...

    @property
    def named(self) -> bool:
        """Whether the chain says what is seen there."""
        ...

    @property
    def mistaken(self) -> bool:
        """Whether the last thing said of the pictures is wrong."""
        ...

    def say_sentence(self, kind: StepKind, rng: random.Random) -> str:
        """One or two sentences of ``kind`` that are not in the chain yet; they count as said from then on."""
        ...


class PhantomSentences:
    """Tells of one of the eight findings; ``seen`` is what the notes say of it."""

    def __init__(self, notes: CaseNotes, finding: Finding, seen: str) -> None:
        self._finding, self._seen = finding, seen
        self._said = _SaidSoFar(notes, finding)
        self._belief: Finding | None = None
        self.answer = notes.answer or finding.answer
        self.narrowed = self.named = False
        for step in notes.steps:
            # A prefix may hold other mentors' steps: what they revealed is read back from their sentences.
            self._note_step(step.casefold())

    @property
    def mistaken(self) -> bool:
        """See ``CaseSentences``."""
        return self._belief is not None

    def say_sentence(self, kind: StepKind, rng: random.Random) -> str:
        """See ``CaseSentences``."""
        if kind is StepKind.NEUTRAL:
            pool = phrases.CLOSINGS if self.named and not self.mistaken else self._said.openings + phrases.SURVEY_FILM
            return self._said.pick_unsaid(pool, rng)
        if kind is StepKind.MISLEADING:
            text = self._say_misleading(rng)
        else:
            leads = phrases.CORRECTION_LEADS if self.mistaken else phrases.EVIDENCE_LEADS
            truth = self._seen if kind is StepKind.NAMING else rng.choice(REGIONS[self._finding.region])
            text = phrases.join_lead(rng.choice(leads) if kind is StepKind.NAMING or self.mistaken else "", truth)
        self._note_step(text.casefold())
        return self._said.add_said(text)

    def _say_misleading(self, rng: random.Random) -> str:
        """Evidence or region of the finding that the mentor takes it for; a region only where it is the wrong one."""
        # A mentor that holds a mistaken belief keeps to it: steps that contradict each other would mislead nobody.
        wrong = self._belief or rng.choice([f for f in FINDINGS if self._could_be_mistaken(f)])
        pool = [*wrong.evidence, *(REGIONS[wrong.region] if wrong.region != self._finding.region else ())]
        return phrases.join_lead(rng.choice(phrases.MISTAKEN_LEADS), self._said.pick_unsaid(tuple(pool), rng))

    def _could_be_mistaken(self, other: Finding) -> bool:
        return other is not self._finding and (not self.narrowed or other.region == self._finding.region)

    def _note_step(self, text: str) -> None:
        """Takes in one step, ``text`` in lower case: what it reveals, and whether it goes astray or sets right."""
        for finding in FINDINGS:
            shown = any(sentence.casefold() in text for sentence in finding.evidence)
            if finding is self._finding and shown:
                self.named, self._belief = True, None
            elif shown:
                self._belief = finding
        for region, lines in REGIONS.items():
            if any(line.casefold() in text for line in lines):
                right = region == self._finding.region
                self.narrowed = self.narrowed or right
                # A wrong region stands for either of its two findings; the first keeps it reproducible without a draw.
                self._belief = None if right else next(f for f in FINDINGS if f.region == region)


class CaptionSentences:
    """Tells of a case that is no phantom: its captions in portions, or generic steps where it has none."""

    def __init__(self, notes: CaseNotes) -> None:
        self.answer = notes.answer or "undetermined"
        self._said = _SaidSoFar(notes, None)
        self._left = [s for s in notes.findings if not self._said.has_said(s) and not gives_away(s, notes.answer)]
        self.narrowed = any(self._said.has_said(s) for s in notes.findings)
        self.named = not self._left
        self.mistaken = False

    def say_sentence(self, kind: StepKind, rng: random.Random) -> str:
        """See ``CaseSentences``; narrowing is one sentence of the captions, naming two; all are out once named."""
        # Generic doubts about the pictures mislead only before anything of them has been told.
        if kind is StepKind.MISLEADING and not self.narrowed:
            self.mistaken = True
            return self._said.pick_unsaid(phrases.MISTAKEN_PICTURES, rng)
        if kind in (StepKind.NEUTRAL, StepKind.MISLEADING) or not self._left:
            pool = phrases.CLOSINGS if self.named else self._said.openings + phrases.SURVEY_PICTURES
            return self._said.pick_unsaid(pool, rng)
        count = 2 if kind is StepKind.NAMING else 1
        portion, self._left = self._left[:count], self._left[count:]
        self.narrowed, self.named = True, not self._left
        lead, self.mistaken = (rng.choice(phrases.CORRECTION_LEADS) if self.mistaken else ""), False
        return self._said.add_said(phrases.join_lead(lead, " ".join(portion)))


def choose_sentences(notes: CaseNotes) -> CaseSentences:
    """The source for a case: a phantom where the notes hold the evidence of a finding (of several, the one that the
    reference answer names), otherwise one that goes by the captions."""
    text = " ".join(notes.findings).casefold()
    shown = [(f, s) for f in FINDINGS for s in f.evidence if s.casefold() in text]
    if not shown:
        return CaptionSentences(notes)
    # A caption may mention a second finding; the reference answer says which one the case is about.
    finding, seen = next((pair for pair in shown if same_meaning(notes.answer, pair[0].answer)), shown[0])
    return PhantomSentences(notes, finding, seen)


class _SaidSoFar:
    """Everything said in the chain so far, and the neutral sentences that the notes give."""

    def __init__(self, notes: CaseNotes, finding: Finding | None) -> None:
        self._text = " ".join(notes.steps).casefold()
        self._answer, self._finding = notes.answer, finding
        self._openings = phrases.make_openings(notes.age, notes.gender, notes.complaint)

    @property
    def openings(self) -> tuple[str, ...]:
        """Ways to restate who comes with what; none once that has been said."""
        return () if any(self.has_said(s) for s in self._openings) else self._openings

    def has_said(self, sentence: str) -> bool:
        return sentence.casefold() in self._text

    def add_said(self, text: str) -> str:
        self._text += " " + text.casefold()
        return text

    def pick_unsaid(self, pool: tuple[str, ...], rng: random.Random) -> str:
        """One of ``pool`` that was not said and does not give the answer away; a pause where none is left."""
        left = [s for s in pool if not self.has_said(s) and not gives_away(s, self._answer, self._finding)]
        pauses = [s for s in phrases.PAUSES if not self.has_said(s)] or phrases.PAUSES
        return self.add_said(rng.choice(left) if left else pauses[0])
