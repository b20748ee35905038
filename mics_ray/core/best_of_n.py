"""The control: no search by steps, the best of the mentors' complete chains."""

from dataclasses import dataclass

from mics_ray.core.mics import choose_best, stop_at_zeros
from mics_ray.core.ports import Expand, Move, Stop
from mics_ray.core.tree import SearchTree
from mics_ray.core.types import Outcome


@dataclass(frozen=True, slots=True)
class BestOfN:
    """One round whose candidates are whole chains without their final answers."""

    mentors: tuple[str, ...]

    def next_move(self, tree: SearchTree) -> Move:
        """Ask every mentor once, then keep the chain of the highest score."""
        if not tree.nodes:
            return Expand(None, self.mentors, None)
        scored = [node for node in tree.nodes if node.score is not None]
        if not scored:
            return Stop(Outcome.FAILED, None, "no chain could be scored")
        if not any(node.score for node in scored):
            return stop_at_zeros(tree.nodes, None, "chain")
        solved = [node for node in scored if node.solved]
        leaf = choose_best(tree, [(node.rank, node) for node in solved or scored])
        if solved:
            return Stop(Outcome.SOLVED, leaf.id, "every known vote right from the whole chain")
        return Stop(Outcome.DEPTH, leaf.id, "best of the complete chains")
