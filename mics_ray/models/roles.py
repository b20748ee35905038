"""Mentor, intern and judge on top of one call to a model: prompts in, parsed replies out, usage counted."""

from dataclasses import dataclass, field, replace
from typing import Any

from mics_ray.config.schema import PromptsConfig
from mics_ray.core.reading.text import adds_nothing, neutralise_placeholders, parse_answer, parse_continuation
from mics_ray.core.reading.thoughts import drop_thoughts
from mics_ray.core.reading.verdict import parse_verdict
from mics_ray.core.seeds import derive_seed
from mics_ray.core.types import (
    Case,
    Continuation,
    Failure,
    Finish,
    Judgement,
    LeakCheck,
    LeakVerdict,
    LostCall,
    Usage,
    Verdict,
)
from mics_ray.models.prompts import fill_intern_prompt, fill_judge_prompt, fill_leak_prompt, fill_mentor_prompt
from mics_ray.models.types import Model, Pictures, Refused, Reply, Request, decode_options, encode_options

MENTOR_TRIES = 3
BARE_TRIES = 2
"""Replies of nothing but a final answer after which a mentor has no further step."""
NO_STEPS = "no_steps"
"""Failure kind of a mentor whose replies hold reasoning, and none of it in a form of steps that is read."""
INTERN_TRIES = 2
JUDGE_TRIES = 2
TOO_MUCH_ROOM = "too_much_room"
"""Failure kind of a call that asks for more tokens than its model has room for."""
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""What providers call the most tokens of a reply."""


@dataclass(slots=True)
class UsageMeter:
    """What one case used, per model of the configuration."""

    usage: dict[str, Usage] = field(default_factory=dict)

    def count_reply(self, entry: str, reply: Reply) -> None:
        """Count one reply; a cached one costs nothing."""
        cost = 0.0 if reply.cached else reply.cost_usd
        tokens = reply.prompt_tokens, reply.completion_tokens
        used = Usage(1, int(reply.cached), *tokens, cost, reply.cached_tokens, reply.reasoning_tokens)
        self.usage[entry] = self.usage.get(entry, Usage()) + used


@dataclass(frozen=True, slots=True)
class BoundModel:
    """A model bound to one case: its request template, the pictures that go along, the meter that counts its calls."""

    model: Model
    template: Request
    pictures: Pictures | None
    prompts: PromptsConfig
    meter: UsageMeter

    async def request_reply(self, request: Request) -> Reply:
        """One call, counted. Raises :class:`Refused` with the entry's name."""
        try:
            reply = await self.model.complete(request, self.pictures)
        except Refused as refused:
            raise Refused(refused.failure, request.entry) from None
        self.meter.count_reply(request.entry, reply)
        return reply

    def ask(self, text: str, seed: int, temperature: float | None = None, *, more_room: bool = False) -> "Question":
        """A question that can be asked several times; ``more_room``: a cut reply is asked again with twice the room."""
        warmth = self.template.temperature if temperature is None else temperature
        return Question(self, replace(self.template, text=text, seed=seed, temperature=warmth), more_room)


@dataclass(slots=True)
class Question:
    """The same asked again: each try with a draw of its own, after a cut reply with more room where there is any."""

    model: BoundModel
    request: Request
    more_room: bool
    tries: int = 0
    _doubled: bool = False

    async def draw_reply(self) -> tuple[Reply, str | None]:
        """One more reply, and what it says that counts. Raises :class:`LostCall`."""
        request = self.request
        if self.tries:
            # With the same seed the reply store would return the reply that was of no use.
            request = replace(request, seed=derive_seed(request.seed, self.tries))
        self.tries += 1
        try:
            reply = await self.model.request_reply(double_room(request) if self._doubled else request)
        except LostCall as lost:
            if lost.failure.kind != TOO_MUCH_ROOM or not self._doubled:
                raise
            self.more_room = self._doubled = False
            reply = await self.model.request_reply(request)
        said = read_said(reply)
        self._doubled = self._doubled or (said is None and self.more_room)
        return reply, said


def double_room(request: Request) -> Request:
    """The same request for a reply of twice the length, whatever the entry calls its limit."""
    options = decode_options(request.options)
    body: dict[str, Any] = options.get("extra_body", {})
    limits = {name: 2 * value for name, value in body.items() if name in LIMITS and isinstance(value, int)}
    widened = encode_options(**options | {"extra_body": body | limits}) if limits else request.options
    return replace(request, max_tokens=2 * request.max_tokens, options=widened)


def read_said(reply: Reply) -> str | None:
    """What a reply says beside its thoughts; ``None`` for a cut one, which says nothing that counts."""
    return None if reply.finish == "length" else drop_thoughts(reply.text)


def describe_cut(reply: Reply) -> Failure:
    """Why a reply of which :func:`read_said` gives ``None`` does not count."""
    return Failure("cut", "hit max_tokens" if reply.finish == "length" else "a thought without an end")


@dataclass(frozen=True, slots=True)
class ModelMentor:
    """A mentor: a reply without a final answer or without a step is asked again, a cut one with twice the room."""

    model: BoundModel

    async def propose(self, case: Case, prefix: tuple[str, ...], seed: int) -> Continuation:
        """See :class:`mics_ray.core.ports.Mentor`."""
        question = self.model.ask(fill_mentor_prompt(self.model.prompts, case, prefix), seed, more_room=True)
        bare = 0
        for _ in range(MENTOR_TRIES):
            reply, said = await question.draw_reply()
            if said is None:
                failure = describe_cut(reply)
                continue
            # An `<image>` that a mentor writes would pass for a picture in prompts and training data.
            plain = neutralise_placeholders(said)
            if (written := parse_continuation(plain, prefix)) is None:
                failure = Failure("no_answer", f"no final answer in {MENTOR_TRIES} replies")
                continue
            # A form of steps that is not read must not pass for a chain that is at its end.
            bare += adds_nothing(plain)
            if written.steps or bare == BARE_TRIES:
                return written
            failure = Failure(NO_STEPS, f"no step in {MENTOR_TRIES} replies")
        raise LostCall(failure, reply.text)


@dataclass(frozen=True, slots=True)
class ModelIntern:
    """An intern: a text without a final answer is drawn once more with the same limit, then there is no answer."""

    model: BoundModel

    async def finish(self, case: Case, prefix: tuple[str, ...], temperature: float, seed: int) -> Finish:
        """See :class:`mics_ray.core.ports.Intern`. An empty reply is a lost call."""
        question, empty = self.model.ask(fill_intern_prompt(self.model.prompts, case, prefix), seed, temperature), False
        for _ in range(INTERN_TRIES):
            reply, said = await question.draw_reply()
            if said is not None and (answer := parse_answer(said)):
                return Finish(reply.text, answer)
            # Nothing at all is no text that came to no answer: one such draw leaves the vote open.
            empty = empty or not (reply.text if said is None else said).strip()
        if empty:
            raise LostCall(describe_cut(reply) if said is None else Failure("empty", "an empty reply"), reply.text)
        nothing = Failure("no_answer", f"no final answer in {INTERN_TRIES} texts")
        return Finish(reply.text, "", nothing if said is not None else describe_cut(reply))


@dataclass(frozen=True, slots=True)
class ModelJudge:
    """The judge: a doubtful reply is asked again once, a cut one with twice the room, then the verdict is unknown."""

    model: BoundModel

    async def compare(self, case: Case, answer: str, seed: int) -> Judgement:
        """See :class:`mics_ray.core.ports.Judge`."""
        return await self._ask(case, fill_judge_prompt(self.model.prompts, case, answer), seed)

    async def check_step(self, case: Case, step: str, seed: int) -> LeakCheck:
        """See :class:`mics_ray.core.ports.LeakJudge`."""
        judged = await self._ask(case, fill_leak_prompt(self.model.prompts, case, step), seed)
        return LeakCheck(LeakVerdict.LEAK if judged.verdict is Verdict.RIGHT else LeakVerdict.CLEAN, judged.reply)

    async def _ask(self, case: Case, text: str, seed: int) -> Judgement:
        """Yes (``RIGHT``) or no. Raises :class:`LostCall`."""
        # Without sampling the same question gets the same verdict: with one seed a case, whichever vote asks first.
        draw = derive_seed(case.id) if self.model.template.temperature == 0 else seed
        question = self.model.ask(text, draw, more_room=True)
        for _ in range(JUDGE_TRIES):
            reply, said = await question.draw_reply()
            if said is not None and (verdict := parse_verdict(said)) is not Verdict.UNKNOWN:
                return Judgement(verdict, reply.text)
        nothing = Failure("no_verdict", f"neither yes nor no in {JUDGE_TRIES} replies")
        raise LostCall(nothing if said is not None else describe_cut(reply), reply.text)
