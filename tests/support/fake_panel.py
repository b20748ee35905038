"""Panels and trees for tests of the search, on top of :mod:`mics_ray.testing`."""

from collections.abc import Mapping

from mics_ray.core.mics import NO_STEP
from mics_ray.core.seeds import derive_seed
from mics_ray.core.tree import Node, SearchTree
from mics_ray.core.types import Continuation, Failure, Verdict, Vote
from mics_ray.testing import MENTORS, MentorScript, ScriptedPanel, make_lost_call

VERDICTS = {"r": Verdict.RIGHT, "w": Verdict.WRONG, "?": Verdict.UNKNOWN, ".": Verdict.UNASKED}


def chancy(seed: int, loss: float = 0.0) -> ScriptedPanel:
    """A panel that looks random and is a pure function of ``seed`` and what it is asked; a share ``loss`` is lost."""

    def chance(*parts: object) -> float:
        return derive_seed(seed, *map(str, parts)) / 2**31

    def mentor(name: str) -> MentorScript:
        def write(prefix: tuple[str, ...], draw: int) -> Continuation:
            if chance("lost", name, prefix, draw) < loss:
                raise make_lost_call()
            length = int(4 * chance("length", name, prefix, draw))
            mark = derive_seed(draw) % 1000
            return Continuation(tuple(f"{name}-{mark}-{k}" for k in range(length)), f"answer {mark}")

        return write

    def answer(prefix: tuple[str, ...], intern: str, temperature: float, draw: int) -> str:
        if chance("lost", prefix, intern, draw) < loss:
            raise make_lost_call()
        if chance("unclear", prefix, intern, draw) < loss:
            return "unclear"
        return "gold" if chance("right", prefix, intern, draw) < chance("good", prefix) else "other"

    return ScriptedPanel({name: mentor(name) for name in MENTORS}, answer)


def votes(pattern: str) -> tuple[Vote, ...]:
    """Votes from letters: r right, w wrong, ? unknown, a point unasked."""
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
        return Node(-1, parent, number, mentor, failure=make_lost_call().failure)
    if pattern == NO_STEP:
        return Node(-1, parent, number, mentor, failure=Failure(NO_STEP, "nothing left"))
    return Node(-1, parent, number, mentor, (f"{mentor}{number}",), Continuation((), "end"), votes(pattern))
