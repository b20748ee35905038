"""Mentor, intern and judge on top of one call to a model: prompts in, parsed replies out, usage counted."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mics_ray.config.schema import PromptsConfig
from mics_ray.core.seeds import derive_seed
from mics_ray.core.text import neutralise_placeholders, parse_answer, parse_continuation
from mics_ray.core.types import Case, Continuation, Failure, Finish, Judgement, LostCall, Usage, Verdict
from mics_ray.core.verdict import parse_verdict
from mics_ray.models.prompts import fill_intern_prompt, fill_judge_prompt, fill_mentor_prompt
from mics_ray.models.types import Model, Pictures, Refused, Reply, Request

MENTOR_TRIES = 3
INTERN_TRIES = 2
JUDGE_TRIES = 2


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

    def draw_requests(self, text: str, seed: int, tries: int, temperature: float | None = None) -> Iterator[Request]:
        """The same question up to ``tries`` times, each with a draw of its own."""
        for number in range(tries):
            yield replace(
                self.template,
                text=text,
                # With the same seed the reply store would return the reply that was of no use.
                seed=seed if number == 0 else derive_seed(seed, number),
                temperature=self.template.temperature if temperature is None else temperature,
            )


@dataclass(frozen=True, slots=True)
class ModelMentor:
    """A mentor: a reply without a final answer is asked again, a cut one with twice the room."""

    model: BoundModel

    async def propose(self, case: Case, prefix: tuple[str, ...], seed: int) -> Continuation:
        """See :class:`mics_ray.core.ports.Mentor`."""
        room, reply = self.model.template.max_tokens, Reply("")
        for request in self.model.draw_requests(
            fill_mentor_prompt(self.model.prompts, case, prefix), seed, MENTOR_TRIES
        ):
            reply = await self.model.request_reply(replace(request, max_tokens=room))
            if reply.finish == "length":
                room = 2 * self.model.template.max_tokens
                continue
            # An `<image>` that a mentor writes would pass for a picture in prompts and training data.
            if written := parse_continuation(neutralise_placeholders(reply.text), prefix):
                return written
        kind, message = ("cut", "hit max_tokens") if reply.finish == "length" else ("no_answer", "no final answer")
        raise LostCall(Failure(kind, f"{message} in {MENTOR_TRIES} replies"), reply.text)


@dataclass(frozen=True, slots=True)
class ModelIntern:
    """An intern: a text without a final answer is drawn once more, then the vote is unknown."""

    model: BoundModel

    async def finish(self, case: Case, prefix: tuple[str, ...], temperature: float, seed: int) -> Finish:
        """See :class:`mics_ray.core.ports.Intern`."""
        text, reply = fill_intern_prompt(self.model.prompts, case, prefix), Reply("")
        for request in self.model.draw_requests(text, seed, INTERN_TRIES, temperature):
            reply = await self.model.request_reply(request)
            if answer := parse_answer(reply.text):
                return Finish(reply.text, answer)
        raise LostCall(Failure("no_answer", f"no final answer in {INTERN_TRIES} texts"), reply.text)


@dataclass(frozen=True, slots=True)
class ModelJudge:
    """The judge: a doubtful reply is asked again once, then the verdict is unknown."""

    model: BoundModel

    async def compare(self, case: Case, answer: str, seed: int) -> Judgement:
        """See :class:`mics_ray.core.ports.Judge`."""
        # Without sampling the same answer gets the same verdict, so one seed lets the cache judge it once per case.
        draw = derive_seed(case.id) if self.model.template.temperature == 0 else seed
        reply = Reply("")
        for request in self.model.draw_requests(fill_judge_prompt(self.model.prompts, case, answer), draw, JUDGE_TRIES):
            reply = await self.model.request_reply(request)
            verdict = parse_verdict(reply.text)
            if verdict is not Verdict.UNKNOWN:
                return Judgement(verdict, reply.text)
        raise LostCall(Failure("no_verdict", f"neither yes nor no in {JUDGE_TRIES} replies"), reply.text)
