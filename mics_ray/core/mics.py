"""Mentor-Intern Collaborative Search: the policy of the paper and of its reference program."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mics_ray.core.ports import Complete, Expand, Move, Stop
from mics_ray.core.seeds import draw_one
from mics_ray.core.tree import Node, SearchTree
from mics_ray.core.types import Outcome

NO_STEP = "no_step"
"""Failure kind of a mentor that had nothing to add before its final answer; not an infrastructure failure."""


def break_tie(tree: SearchTree, equals: Sequence[Node]) -> Node:
    """One of equally good candidates: of a mentor not chosen before where there is one, else a seeded draw."""
    seen = {node.mentor for node in tree.path_to(tree.last_parent())}
    fresh = [node for node in equals if node.mentor not in seen] or list(equals)
    if len(fresh) == 1:
        return fresh[0]
    # Drawn from the candidates' own text, so that a rerun with the same replies chooses the same.
    return draw_one(fresh, tree.seed, tree.case_id, tuple((node.mentor, node.steps) for node in fresh))


def choose_best(tree: SearchTree, scored: Sequence[tuple[float, Node]]) -> Node:
    """The candidate of the highest value; equals by :func:`break_tie`."""
    top = max(value for value, _ in scored)
    return break_tie(tree, [node for value, node in scored if value == top])


def _list_unasked(tree: SearchTree, winners: Sequence[Node]) -> tuple[int, ...]:
    """Candidates of the winners' mentors with unasked votes, where there is something to tell apart by their scores."""
    mentors = {winner.mentor for winner in winners}
    return tuple(node.id for node in tree.nodes if node.mentor in mentors and node.unasked) if len(winners) > 1 else ()


def stop_at_zeros(level: Sequence[Node], leaf: int | None, candidate: str) -> Stop:
    """The end of a round whose scored candidates scored 0: a dead end, unless a lost one might have done better."""
    lost = [node.failure.kind if node.failure else "quorum" for node in level if node.score is None]
    if missed := [kind for kind in lost if kind != NO_STEP]:
        return Stop(Outcome.FAILED, leaf, f"every scored {candidate} scored 0, others were lost: {', '.join(missed)}")
    return Stop(Outcome.DEAD_END, leaf, f"every {candidate} scored 0")


@dataclass(frozen=True, slots=True)
class Mics:
    """The policy. ``first_steps`` is the size of a candidate in round one; every later candidate is one step.

    ``competitiveness`` tells mentors apart whose candidates solve a case in the same round: by the geometric mean of
    their scores (the order of the paper's product) or by the reference program's sum.
    """

    mentors: tuple[str, ...]
    max_rounds: int = 4
    first_steps: int = 1
    competitiveness: Literal["product", "sum"] = "product"

    def next_move(self, tree: SearchTree) -> Move:
        """Expand the best candidate of the last round, or stop."""
        if not tree.nodes:
            return Expand(None, self.mentors, self.first_steps)
        level = tree.round_nodes(tree.rounds)
        scored = [node for node in level if node.score is not None]
        if not scored:
            return self._stop_without_scores(tree, level)
        # Before the depth check: a full score in the last round is solved, not merely as deep as allowed.
        winners = [node for node in scored if node.solved]
        if winners:
            if unasked := _list_unasked(tree, winners):
                return Complete(unasked)
            winner = choose_best(tree, [(self._rate_mentor(tree, node.mentor), node) for node in winners])
            return Stop(Outcome.SOLVED, winner.id, f"every known vote right in round {tree.rounds}")
        if not any(node.score for node in scored):
            return stop_at_zeros(level, tree.last_parent(), f"candidate of round {tree.rounds}")
        leaf = choose_best(tree, [(node.rank, node) for node in scored])
        if tree.rounds >= self.max_rounds:
            return Stop(Outcome.DEPTH, leaf.id, f"maximum depth of {self.max_rounds} rounds")
        return Expand(leaf.id, self.mentors, 1)

    def _stop_without_scores(self, tree: SearchTree, level: Sequence[Node]) -> Stop:
        """A round without any score: a chain that nobody could lengthen is kept, lost calls fail the case."""
        lost = [node.failure.kind if node.failure else "quorum" for node in level]
        parent = tree.last_parent()
        # In round one there is no chain to keep, and one lost call among them leaves open what was missed.
        if parent is not None and set(lost) == {NO_STEP}:
            return Stop(Outcome.DEPTH, parent, f"no mentor had a further step in round {tree.rounds}")
        return Stop(Outcome.FAILED, parent, f"no candidate of round {tree.rounds} could be scored: {', '.join(lost)}")

    def _rate_mentor(self, tree: SearchTree, mentor: str) -> float:
        """What the mentor's scores so far amount to; rounds without a score do not count."""
        scores = [score for score in tree.scores_of(mentor) if score is not None]
        # A mean, for a product would favour the mentor that has lost a round.
        rate = math.prod(scores) ** (1 / len(scores)) if self.competitiveness == "product" else 1 + sum(scores)
        # Rounded, so that the order of the rounds does not tell equals apart by a float's last digit.
        return round(rate, 9)
