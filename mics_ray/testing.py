"""A scripted panel for tests: mentors, interns and a judge driven by tables, which record how they were called.

No model, no network, no randomness::

    scripted = script_panel({"a1": "rrwwrr"}, a=write_steps("a"), b=write_steps("b"))
    result = asyncio.run(search_case(CASE, Mics(("a", "b")), scripted.panel(), seed=7, restarts=0))
    assert scripted.count("judge") == 12
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from mics_ray.core.ports import Panel
from mics_ray.core.types import Case, Continuation, Failure, Finish, Judgement, LostCall, Verdict

CASE = Case("case-1", "What is shown?", "gold")
"""A case whose gold answer is the one that scripted interns give for ``r``."""
TEMPERATURES = (0.3, 1.2)
MENTORS = ("a", "b", "c")
INTERNS = ("x", "y", "z")

MentorScript = Callable[[tuple[str, ...], int], Continuation]
"""A scripted mentor: from prefix and seed to what it writes; may raise :class:`LostCall`."""
InternScript = Callable[[tuple[str, ...], str, float, int], str]
"""A scripted intern: from prefix, intern, temperature and seed to an answer that the scripted judge understands."""


@dataclass(frozen=True)
class Call:
    """One call that a scripted model got."""

    role: str
    name: str
    prefix: tuple[str, ...] = ()
    temperature: float = 0.0
    seed: int = 0
    answer: str = ""


def make_lost_call() -> LostCall:
    """What a model raises whose reply did not come."""
    return LostCall(Failure("timeout", "no reply in time"))


@dataclass
class ScriptedPanel:
    """Who takes part. ``hold`` is awaited at the beginning of every call, so that a test can keep calls waiting."""

    mentors: Mapping[str, MentorScript]
    answers: InternScript
    interns: tuple[str, ...] = INTERNS
    temperatures: tuple[float, ...] = TEMPERATURES
    hold: Callable[[Call], Awaitable[None]] | None = None
    calls: list[Call] = field(default_factory=list)

    def panel(self) -> Panel:
        """The panel to search with; its calls are recorded here."""
        return Panel(
            {name: _ScriptedMentor(self, name) for name in self.mentors},
            {name: _ScriptedIntern(self, name) for name in self.interns},
            _ScriptedJudge(self),
            self.temperatures,
        )

    async def record_call(self, call: Call) -> None:
        """Note a call, then wait where ``hold`` says so."""
        # Noted before the wait: a test that holds calls looks at those that have begun.
        self.calls.append(call)
        if self.hold:
            await self.hold(call)

    def count(self, role: str) -> int:
        """How many calls the models of ``role`` got: ``mentor``, ``intern`` or ``judge``."""
        return sum(call.role == role for call in self.calls)


@dataclass
class _ScriptedMentor:
    of: ScriptedPanel
    name: str

    async def propose(self, case: Case, prefix: tuple[str, ...], seed: int) -> Continuation:
        await self.of.record_call(Call("mentor", self.name, prefix, seed=seed))
        return self.of.mentors[self.name](prefix, seed)


@dataclass
class _ScriptedIntern:
    of: ScriptedPanel
    name: str

    async def finish(self, case: Case, prefix: tuple[str, ...], temperature: float, seed: int) -> Finish:
        await self.of.record_call(Call("intern", self.name, prefix, temperature, seed))
        answer = self.of.answers(prefix, self.name, temperature, seed)
        return Finish(f"text of {self.name} {temperature}: {answer}", answer)


@dataclass
class _ScriptedJudge:
    """Right for ``gold``, lost for ``unclear``, else wrong."""

    of: ScriptedPanel

    async def compare(self, case: Case, answer: str, seed: int) -> Judgement:
        await self.of.record_call(Call("judge", "judge", seed=seed, answer=answer))
        if answer == "unclear":
            raise LostCall(Failure("no_verdict", "neither yes nor no"), "Hm.")
        return Judgement(Verdict.RIGHT if answer == case.answer else Verdict.WRONG, answer)


def write_steps(name: str, length: int = 6) -> MentorScript:
    """A scripted mentor whose chain has ``length`` steps; its step at place k is ``{name}{k}``."""

    def write(prefix: tuple[str, ...], seed: int) -> Continuation:
        steps = tuple(f"{name}{k}" for k in range(len(prefix) + 1, length + 1))
        return Continuation(steps, f"answer of {name}")

    return write


def lose_call(prefix: tuple[str, ...], seed: int) -> Continuation:
    """A scripted mentor whose calls are lost."""
    raise make_lost_call()


def votes_by_table(table: Mapping[str, str], interns: tuple[str, ...] = INTERNS) -> InternScript:
    """Interns that vote on a prefix as ``table["a1 b2"] = "rrw?!w"`` says, a letter for each vote in panel order.

    r right, w wrong, ? the intern's call is lost, ! the judge's call is lost; a prefix not in the table is all wrong.
    """
    # The order in which a search collects votes: interns outside, temperatures inside.
    places = [(intern, temperature) for intern in interns for temperature in TEMPERATURES]

    def answer(prefix: tuple[str, ...], intern: str, temperature: float, seed: int) -> str:
        pattern = table.get(" ".join(prefix), "w" * len(places))
        letter = pattern[places.index((intern, temperature))]
        if letter == "?":
            raise make_lost_call()
        return {"r": "gold", "w": "other", "!": "unclear"}[letter]

    return answer


def script_panel(table: Mapping[str, str], **mentors: MentorScript) -> ScriptedPanel:
    """Three scripted mentors of six steps each (others by name), three interns, votes by ``table``."""
    return ScriptedPanel({name: write_steps(name) for name in MENTORS} | mentors, votes_by_table(table))
