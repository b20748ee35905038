"""One verdict for each different answer of a case, for a judge that does not sample."""

import asyncio
from dataclasses import dataclass, field

from mics_ray.core.ports import Judge
from mics_ray.core.types import Case, Judgement


@dataclass(frozen=True, slots=True)
class SharedVerdicts:
    """The judge of one case, who is asked about an answer once and whose word every vote with this answer has.

    The judge must say the same of an answer whatever the seed, so that it does not matter which vote comes first. Only
    verdicts are shared: where a call is lost, each other vote makes its own, or one lost call would take all votes of
    one answer out of a score.
    """

    judge: Judge
    _first: dict[tuple[Case, str], asyncio.Future[Judgement | None]] = field(default_factory=dict)
    """By case, as the judge is shown it, and answer: the first verdict; ``None`` where its call was lost."""

    async def compare(self, case: Case, answer: str, seed: int) -> Judgement:
        """See :class:`mics_ray.core.ports.Judge`."""
        if (first := self._first.get((case, answer))) is None:
            return await self._ask_first(case, answer, seed)
        # Not awaited itself: a vote that is cancelled would cancel it for the others.
        await asyncio.wait([first])
        return first.result() or await self.judge.compare(case, answer, seed)

    async def _ask_first(self, case: Case, answer: str, seed: int) -> Judgement:
        first = self._first[case, answer] = asyncio.get_running_loop().create_future()
        judged = None
        try:
            judged = await self.judge.compare(case, answer, seed)
        finally:
            first.set_result(judged)
        return judged
