"""MICS-Score of a model's own chains: how often interns get to the right answer from its steps."""

from dataclasses import dataclass, replace

from eval.scoring.reading import read_words
from eval.scoring.rules import check_by_rule, list_gold_texts, make_judge_case
from eval.types import ChainState, Item, OwnChain
from mics_ray.core.best_of_n import BestOfN
from mics_ray.core.leaks import Leak, LeakGuard
from mics_ray.core.ports import Judge, Panel
from mics_ray.core.reading.text import neutralise_placeholders, parse_continuation
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


async def score_own_chain(item: Item, case: Case, said: str, panel: Panel, seed: int) -> OwnChain:
    """What the panel's interns make of the chain in ``said``; ``panel.judge`` is the judge of answers to the item."""
    chain = parse_continuation(neutralise_placeholders(said))
    if chain is None or not chain.steps:
        return OwnChain(ChainState.NO_FORM)
    score = await compute_mics_score(case, chain, replace(panel, judge=ItemJudge(item, panel.judge)), seed)
    return OwnChain(ChainState.LOST if score is None else ChainState.SCORED, score, find_leaks(item, case, chain))


def find_leaks(item: Item, case: Case, chain: Continuation) -> tuple[str, ...]:
    """Kinds of leaks in a chain's steps: the gold answer, or a final-answer block. A model has no captions to cite."""
    shown = make_judge_case(item, case)
    # The letter alone tells nothing: of a choice the gold answer has the option's text.
    guards = [LeakGuard(replace(shown, answer=gold)) for gold in list_gold_texts(item)]
    found = {kind for guard in guards for _, kind in guard.find_in_chain(chain.steps)}
    return tuple(sorted(kind.value for kind in found if kind is not Leak.CAPTION))


async def compute_mics_score(case: Case, chain: Continuation, panel: Panel, seed: int) -> float | None:
    """Right votes / known votes of the panel's interns that finish from all of the chain's steps, its answer left out.

    ``None`` where too many calls were lost. It is the search's own score of one complete chain.
    """
    # As a search of one complete candidate, so that the score is the search's own and not a second formula.
    alone = replace(panel, mentors={OWN: FixedChain(chain)})
    tree, _ = await run_search(case, BestOfN((OWN,)), alone, SearchTree(case.id, seed))
    return tree.nodes[0].score
