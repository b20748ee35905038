"""MICS-Score of a model's own chains: how often interns get to the right answer from its steps."""

from dataclasses import dataclass, replace

from eval.scoring.reading import read_words
from eval.scoring.rules import check_by_rule, make_judge_case
from eval.types import Item
from mics_ray.core.best_of_n import BestOfN
from mics_ray.core.ports import Judge, Panel
from mics_ray.core.search import run_search
from mics_ray.core.tree import SearchTree
from mics_ray.core.types import Case, Continuation, Judgement

OWN = "own"


@dataclass(frozen=True, slots=True)
class FixedChain:
    """A mentor that hands in a chain which is there already."""

    chain: Continuation

    async def propose(self, case: Case, prefix: tuple[str, ...], seed: int) -> Continuation:
        """See :class:`mics_ray.core.ports.Mentor`."""
        return self.chain


@dataclass(frozen=True, slots=True)
class ItemJudge:
    """The judge of one item: by the item's rule where it has one, else the model's, which reads the question without
    how to answer it."""

    item: Item
    judge: Judge

    async def compare(self, case: Case, answer: str, seed: int) -> Judgement:
        """See :class:`mics_ray.core.ports.Judge`; ``answer`` is free text, as interns give it."""
        found = read_words(self.item, answer)
        said = check_by_rule(self.item, found)
        if said is not None:
            return Judgement(said, "")
        return await self.judge.compare(make_judge_case(self.item, case), found.answer, seed)


async def compute_mics_score(case: Case, chain: Continuation, panel: Panel, seed: int) -> float | None:
    """Right votes / known votes of the panel's interns that finish from all of the chain's steps, its answer left out.

    ``None`` without steps, and where too many calls were lost. It is the search's own score of one complete chain.
    """
    if not chain.steps:
        return None
    # As a search of one complete candidate, so that the score is the search's own and not a second formula.
    alone = replace(panel, mentors={OWN: FixedChain(chain)})
    tree, _ = await run_search(case, BestOfN((OWN,)), alone, SearchTree(case.id, seed))
    return tree.nodes[0].score
