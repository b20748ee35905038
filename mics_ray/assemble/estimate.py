"""What a job will take, before anything is spent: calls, tokens and money for few, typical and the most rounds."""

from collections.abc import Sequence
from dataclasses import dataclass

from mics_ray.assemble.locations import JUDGE, list_endpoints
from mics_ray.config.context import read_context
from mics_ray.config.schema import Config, Price, StrategyKind
from mics_ray.core.context import show_context
from mics_ray.core.types import Case
from mics_ray.models.prompts import fill_intern_prompt, fill_judge_prompt, fill_leak_prompt, fill_mentor_prompt
from mics_ray.models.replies.pricing import CHARACTERS_PER_TOKEN, TYPICAL_PICTURE_TOKENS, cost_usd

MENTOR_TOKENS, INTERN_TOKENS, JUDGE_TOKENS = 600, 300, 3
"""Assumed completions, in tokens."""
TYPICAL_ROUNDS = 2
CLOSING_STEPS = 2
"""Assumed steps of a chain behind the chosen ones, which a leak judge is asked about too."""
STEP_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class CostLine:
    """One model's part: calls, prompt and completion tokens, US dollars."""

    entry: str
    calls: float
    prompt_tokens: float
    completion_tokens: float
    cost_usd: float


def count_rounds(config: Config) -> dict[str, int]:
    """The scenarios: name -> rounds per case. The most counts every restart to full depth."""
    if config.search.strategy is StrategyKind.best_of_n:
        return {"least": 1, "typical": 1, "most": 1 + config.search.restarts}
    most = config.search.max_rounds * (1 + config.search.restarts)
    return {"least": 1, "typical": min(TYPICAL_ROUNDS, most), "most": most}


def estimate_job(config: Config, sample: Sequence[Case], cases: int, rounds: int) -> list[CostLine]:
    """The job's lines for ``cases`` cases of ``rounds`` rounds, prompts as long as those of ``sample``."""
    mentors, votes = len(config.mentors), len(config.search.intern_temperatures)
    # Later rounds ask one mentor less: the rest of the chosen continuation is its mentor's next proposal.
    per_mentor = 1 + (rounds - 1) * (mentors - 1) / mentors
    pictures = TYPICAL_PICTURE_TOKENS * _average([len(case.images) for case in sample])
    prompts, shown = config.prompts, read_context(config.data.context)
    sample = [show_context(case, shown) for case in sample]
    mentor = _average([len(fill_mentor_prompt(prompts, case, ())) for case in sample])
    intern = _average([len(fill_intern_prompt(prompts, case, ())) for case in sample])
    judge = _average([len(fill_judge_prompt(prompts, case, case.answer)) for case in sample])
    asked = cases * rounds * mentors * votes
    judged, checked = asked * len(config.interns), cases * _count_checks(config, rounds)
    check = _average([len(fill_leak_prompt(prompts, case, "")) + STEP_CHARACTERS for case in sample])
    # Of two kinds of question, one line: the prompt as long as the average of both.
    judge = (judged * judge + checked * check) / (judged + checked) if checked else judge
    return [
        *(_estimate_line(config, name, cases * per_mentor, mentor, pictures, MENTOR_TOKENS) for name in config.mentors),
        *(_estimate_line(config, name, asked, intern, pictures, INTERN_TOKENS) for name in config.interns),
        _estimate_line(config, JUDGE, judged + checked, judge, 0, JUDGE_TOKENS),
    ]


def _count_checks(config: Config, rounds: int) -> int:
    """Steps of a case that a leak judge is asked about, where each case keeps a chain."""
    return rounds * len(config.mentors) * config.search.first_steps + CLOSING_STEPS if config.leaks.judge else 0


def _estimate_line(
    config: Config, name: str, calls: float, characters: float, pictures: float, completion: int
) -> CostLine:
    price = list_endpoints(config)[name].price if name in list_endpoints(config) else Price()
    prompt = calls * (characters / CHARACTERS_PER_TOKEN + pictures)
    cost = cost_usd(price, prompt, calls * completion)
    return CostLine(name, calls, prompt, calls * completion, cost)


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
