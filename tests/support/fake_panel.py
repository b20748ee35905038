"""A scripted panel: fake mentors, interns and judge driven by tables, which count how they were called."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from mics_ray.core.mics import NO_STEP
from mics_ray.core.ports import Panel
from mics_ray.core.seeds import derive_seed
from mics_ray.core.tree import Node, SearchTree
from mics_ray.core.types import Case, Continuation, Failure, Finish, Judgement, LostCall, Verdict, Vote

CASE = Case("case-1", "What is shown?", "gold")
LOST = LostCall(Failure("timeout", "no reply in time"))
TEMPERATURES = (0.3, 1.2)
MENTORS = ("a", "b", "c")
INTERNS = ("x", "y", "z")
VERDICTS = {"r": Verdict.RIGHT, "w": Verdict.WRONG, "?": Verdict.UNKNOWN}

Writes = Callable[[tuple[str, ...], int], Continuation]
"""A fake mentor: from prefix and seed to what it writes; may raise :class:`LostCall`."""
Answers = Callable[[tuple[str, ...], str, float, int], str]
"""A fake intern: from prefix, intern, temperature and seed to an answer that the fake judge understands."""


@dataclass(frozen=True)
class Call:
    """One call that a fake model got."""

    role: str
    name: str
    prefix: tuple[str, ...] = ()
    temperature: float = 0.0
    seed: int = 0
    answer: str = ""


@dataclass
class FakePanel:
    """Who takes part. ``hold`` is awaited at the beginning of every call, so that a test can keep calls waiting."""

    mentors: Mapping[str, Writes]
    answers: Answers
    interns: tuple[str, ...] = INTERNS
    temperatures: tuple[float, ...] = TEMPERATURES
    hold: Callable[[Call], Awaitable[None]] | None = None
    calls: list[Call] = field(default_factory=list)

    def panel(self) -> Panel:
        return Panel(
            {name: FakeMentor(self, name) for name in self.mentors},
            {name: FakeIntern(self, name) for name in self.interns},
            FakeJudge(self),
            self.temperatures,
        )

    async def called(self, call: Call) -> None:
        self.calls.append(call)
        if self.hold:
            await self.hold(call)

    def count(self, role: str) -> int:
        return sum(call.role == role for call in self.calls)


@dataclass
class FakeMentor:
    of: FakePanel
    name: str

    async def propose(self, case: Case, prefix: tuple[str, ...], seed: int) -> Continuation:
        await self.of.called(Call("mentor", self.name, prefix, seed=seed))
        return self.of.mentors[self.name](prefix, seed)


@dataclass
class FakeIntern:
    of: FakePanel
    name: str

    async def finish(self, case: Case, prefix: tuple[str, ...], temperature: float, seed: int) -> Finish:
        await self.of.called(Call("intern", self.name, prefix, temperature, seed))
        answer = self.of.answers(prefix, self.name, temperature, seed)
        return Finish(f"text of {self.name} {temperature}: {answer}", answer)


@dataclass
class FakeJudge:
    """Right for ``gold``, lost for ``unclear``, else wrong."""

    of: FakePanel

    async def compare(self, case: Case, answer: str, seed: int) -> Judgement:
        await self.of.called(Call("judge", "judge", seed=seed, answer=answer))
        if answer == "unclear":
            raise LostCall(Failure("no_verdict", "neither yes nor no"), "Hm.")
        return Judgement(Verdict.RIGHT if answer == case.answer else Verdict.WRONG, answer)


def writer(name: str, length: int = 6) -> Writes:
    """A fake mentor whose chain has ``length`` steps; its step at place k is ``{name}{k}``."""

    def write(prefix: tuple[str, ...], seed: int) -> Continuation:
        steps = tuple(f"{name}{k}" for k in range(len(prefix) + 1, length + 1))
        return Continuation(steps, f"answer of {name}")

    return write


def lost(prefix: tuple[str, ...], seed: int) -> Continuation:
    """A fake mentor whose calls are lost."""
    raise LOST


def votes_by_table(table: Mapping[str, str], interns: tuple[str, ...] = INTERNS) -> Answers:
    """Fake interns that vote on a prefix as ``table["a1 b2"] = "rrw?!w"`` says, a letter for each vote in panel order.

    r right, w wrong, ? the intern's call is lost, ! the judge's call is lost; a prefix not in the table is all wrong.
    """
    seats = [(intern, temperature) for intern in interns for temperature in TEMPERATURES]

    def answer(prefix: tuple[str, ...], intern: str, temperature: float, seed: int) -> str:
        pattern = table.get(" ".join(prefix), "w" * len(seats))
        letter = pattern[seats.index((intern, temperature))]
        if letter == "?":
            raise LOST
        return {"r": "gold", "w": "other", "!": "unclear"}[letter]

    return answer


def scripted(table: Mapping[str, str], **mentors: Writes) -> FakePanel:
    """Three fake mentors of six steps each (others by name), three interns, votes by ``table``."""
    return FakePanel({name: writer(name) for name in MENTORS} | mentors, votes_by_table(table))


def chancy(seed: int, loss: float = 0.0) -> FakePanel:
    """A panel that looks random and is a pure function of ``seed`` and what it is asked; a share ``loss`` is lost."""

    def chance(*parts: object) -> float:
        return derive_seed(seed, *map(str, parts)) / 2**31

    def mentor(name: str) -> Writes:
        def write(prefix: tuple[str, ...], draw: int) -> Continuation:
            if chance("lost", name, prefix, draw) < loss:
                raise LOST
            length = int(4 * chance("length", name, prefix, draw))
            mark = derive_seed(draw) % 1000
            return Continuation(tuple(f"{name}-{mark}-{k}" for k in range(length)), f"answer {mark}")

        return write

    def answer(prefix: tuple[str, ...], intern: str, temperature: float, draw: int) -> str:
        if chance("lost", prefix, intern, draw) < loss:
            raise LOST
        if chance("unclear", prefix, intern, draw) < loss:
            return "unclear"
        return "gold" if chance("right", prefix, intern, draw) < chance("good", prefix) else "other"

    return FakePanel({name: mentor(name) for name in MENTORS}, answer)


def votes(pattern: str) -> tuple[Vote, ...]:
    """Votes from letters: r right, w wrong, ? unknown."""
    return tuple(Vote(f"intern{i}", 0.3, verdict=VERDICTS[letter]) for i, letter in enumerate(pattern))


def tree_of(*rounds: Mapping[str, str], chosen: str = "", seed: int = 0, case_id: str = "case-1") -> SearchTree:
    """A tree from one table a round: mentor to votes (``"rrw"``), to ``"lost"`` or to ``"no_step"``.

    ``chosen`` names the mentor that each round but the last was won by, a letter each.
    """
    tree, parent = SearchTree(case_id, seed), None
    for number, level in enumerate(rounds, 1):
        tree = tree.add_round(_node(parent, number, mentor, pattern) for mentor, pattern in level.items())
        if number < len(rounds):
            parent = next(node.id for node in tree.round_nodes(number) if node.mentor == chosen[number - 1])
    return tree


def _node(parent: int | None, number: int, mentor: str, pattern: str) -> Node:
    if pattern == "lost":
        return Node(-1, parent, number, mentor, failure=LOST.failure)
    if pattern == NO_STEP:
        return Node(-1, parent, number, mentor, failure=Failure(NO_STEP, "nothing left"))
    return Node(-1, parent, number, mentor, (f"{mentor}{number}",), Continuation((), "end"), votes(pattern))
