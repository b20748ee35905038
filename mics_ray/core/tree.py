"""The search tree: a flat, immutable tuple of candidates. It is the checkpoint of a search; its scores are graded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from mics_ray.core.types import Continuation, Failure, Quality, Verdict, Vote

EMPTY = Continuation((), "")

QUORUM = 0.5
"""Share of a candidate's votes that must be known; below it the candidate failed."""
PROOF = Fraction(5, 6)
"""Share of a candidate's votes that must be known before right ones alone solve a case."""


@dataclass(frozen=True, slots=True)
class Node:
    """One candidate: ``steps`` to append to the chain of ``parent`` (``None``: the empty chain).

    ``rest`` is what its mentor wrote after them; ``failure`` is set when the mentor gave no candidate.
    """

    id: int
    parent: int | None
    round: int
    mentor: str
    steps: tuple[str, ...] = ()
    rest: Continuation = EMPTY
    votes: tuple[Vote, ...] = ()
    failure: Failure | None = None

    @property
    def score(self) -> float | None:
        """MICS-Score: right votes / known votes, in [0, 1].

        ``None`` for a failed candidate, and for one with unasked votes: of a part of the votes there is no score.
        """
        if not self.known or not self.has_quorum or self.unasked:
            return None
        return self.right / self.known

    @property
    def rank(self) -> float:
        """What candidates are compared by: right votes / all votes, so that an unknown vote counts as not right."""
        return self.right / len(self.votes) if self.votes else 0.0

    @property
    def solved(self) -> bool:
        """Whether every known vote is right and nearly all are known: three right of three known are no proof."""
        return self.score == 1 and self.known >= PROOF * len(self.votes)

    @property
    def has_quorum(self) -> bool:
        """Whether enough votes are known for a score."""
        return self.known >= QUORUM * len(self.votes)

    @property
    def known(self) -> int:
        """Votes with a verdict."""
        return self.right + self.count_votes(Verdict.WRONG)

    @property
    def right(self) -> int:
        """Right votes."""
        return self.count_votes(Verdict.RIGHT)

    @property
    def unasked(self) -> int:
        """Votes that nobody was asked for."""
        return self.count_votes(Verdict.UNASKED)

    def count_votes(self, verdict: Verdict) -> int:
        """How many votes have this verdict."""
        return [vote.verdict for vote in self.votes].count(verdict)


@dataclass(frozen=True, slots=True)
class SearchTree:
    """All candidates of one search, round after round. ``seed`` and ``case_id`` seed the draws."""

    case_id: str
    seed: int
    nodes: tuple[Node, ...] = ()

    def add_round(self, nodes: Iterable[Node]) -> "SearchTree":
        """The tree with one more closed round; ids are given here, in the order of ``nodes``."""
        numbered = tuple(replace(node, id=len(self.nodes) + i) for i, node in enumerate(nodes))
        return replace(self, nodes=self.nodes + numbered)

    def replace_nodes(self, nodes: Iterable[Node]) -> "SearchTree":
        """The tree with ``nodes`` in the places of those that have their ids."""
        new = {node.id: node for node in nodes}
        return replace(self, nodes=tuple(new.get(node.id, node) for node in self.nodes))

    @property
    def rounds(self) -> int:
        """How many rounds are closed."""
        return self.nodes[-1].round if self.nodes else 0

    def round_nodes(self, number: int) -> tuple[Node, ...]:
        """The siblings of round ``number`` (from 1)."""
        return tuple(node for node in self.nodes if node.round == number)

    def path_to(self, leaf: int | None) -> tuple[Node, ...]:
        """The nodes from the first round down to ``leaf``; empty for ``None``."""
        nodes: list[Node] = []
        while leaf is not None:
            nodes.append(self.nodes[leaf])
            leaf = self.nodes[leaf].parent
        return tuple(reversed(nodes))

    def prefix_to(self, leaf: int | None) -> tuple[str, ...]:
        """The steps of the chain that ends at ``leaf``."""
        return tuple(step for node in self.path_to(leaf) for step in node.steps)

    def last_parent(self) -> int | None:
        """The prefix that the last closed round was expanded from."""
        return self.nodes[-1].parent if self.nodes else None

    def scores_of(self, mentor: str) -> list[float | None]:
        """The mentor's score in each closed round; ``None`` where it had no candidate or the candidate failed."""
        by_round = {node.round: node.score for node in self.nodes if node.mentor == mentor}
        return [by_round.get(number) for number in range(1, self.rounds + 1)]

    def best_scores(self) -> list[float]:
        """The score of the best candidate (by :attr:`Node.rank`) of each closed round that has one."""
        levels = (
            [(node.rank, node.score) for node in self.round_nodes(number) if node.score is not None]
            for number in range(1, self.rounds + 1)
        )
        return [max(scored)[1] for scored in levels if scored]


def grade_quality(best_scores: Sequence[float], solved: bool = False) -> Quality:
    """Grade the best score of each round, in order.

    Solved, or risen above the first round and not below its peak at the end, is ``KEEP``; risen and fallen again is
    ``RISE_FALL``; never above the first round is ``FLAT``; a search without a right vote is ``ZERO``.
    """
    if not any(best_scores):
        return Quality.ZERO
    first, peak, last = best_scores[0], max(best_scores), best_scores[-1]
    if solved or last == peak > first:
        return Quality.KEEP
    return Quality.RISE_FALL if peak > first else Quality.FLAT
