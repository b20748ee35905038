"""Which votes of a round to take next, so that few decide it, and which candidate's votes are left out. Pure.

A candidate is left out once no outcome of its unasked votes changes what the policies of :mod:`mics_ray.core.mics` and
:mod:`mics_ray.core.best_of_n` make of the round: solved candidates come before others, then most right votes, then
mentors that are not in the chain yet. Whoever is chosen has all of its votes, and so a score.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mics_ray.core.tree import PROOF, QUORUM, Node
from mics_ray.core.types import Verdict

FIRST_SHARE = 3
"""One of so many votes of each candidate is taken before any is left out: they tell who may be best."""


def list_first_votes(votes: int) -> range:
    """The numbers of the votes that each of a round's candidates gets, of ``votes`` in all."""
    return range(-(-votes // FIRST_SHARE))


def plan_votes(level: Sequence[Node], in_chain: Collection[str]) -> Mapping[int, Sequence[int]]:
    """The votes to take next, by the candidate's place in ``level``; empty where no more are needed.

    ``in_chain`` are the mentors whose steps the chain so far consists of. The same votes always give the same plan.
    """
    found = _Round(level, in_chain)
    open_places = [place for place, node in enumerate(level) if node.unasked and not found.is_settled(node)]
    if not open_places:
        return {}
    # The most promising first: the others are held against all of its votes.
    if not any(node.right and not node.unasked for node in level):
        best = max(open_places, key=lambda place: 2 * level[place].right - level[place].known)
        return {best: _list_unasked(level[best])}
    return {place: _list_unasked(level[place])[: found.count_least(level[place])] for place in open_places}


def _list_unasked(node: Node) -> list[int]:
    return [number for number, vote in enumerate(node.votes) if vote.verdict is Verdict.UNASKED]


@dataclass(frozen=True, slots=True)
class _Round:
    """A round with some of its votes taken."""

    level: Sequence[Node]
    in_chain: Collection[str]

    def is_settled(self, node: Node) -> bool:
        """Whether no outcome of the candidate's unasked votes changes what is made of the round."""
        if len(node.votes) - node.count_votes(Verdict.UNKNOWN) < QUORUM * len(node.votes):
            return True  # failed, whatever comes
        return not _may_solve(node) and (self._is_solved() or self._count_missing(node) <= 0)

    def count_least(self, node: Node) -> int:
        """How many of its votes have to be taken at least before the candidate may be settled."""
        return 1 if self._is_solved() else max(1, self._count_missing(node))

    def _is_solved(self) -> bool:
        return any(node.solved for node in self.level)

    def _count_missing(self, node: Node) -> int:
        """How many of its unasked votes have to be not right for another to be chosen before it."""
        most = node.right + node.unasked
        return min(
            (most - other.right + (not self._loses_draw(node, other)) for other in self.level
             # One that may yet lose its quorum keeps nobody out.
             if other is not node and other.has_quorum),
            default=node.unasked,
        )  # fmt: skip

    def _loses_draw(self, node: Node, other: Node) -> bool:
        """Whether ``other`` goes before ``node`` where both have as many right votes."""
        # With a lost vote its score would be the higher one of the two, and the round's best score another.
        return (
            node.mentor in self.in_chain and other.mentor not in self.in_chain and not node.count_votes(Verdict.UNKNOWN)
        )


def _may_solve(node: Node) -> bool:
    """Whether all known votes are right and enough may yet be known for a proof."""
    known = len(node.votes) - node.count_votes(Verdict.UNKNOWN)
    return node.right == node.known and known >= PROOF * len(node.votes)
