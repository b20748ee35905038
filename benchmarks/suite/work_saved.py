"""B10: calls and tokens that a search spares: matched answers, shared verdicts, votes that cannot change the choice."""

import asyncio
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.harness.figures import Figure, Goal, Setting, current_load
from benchmarks.harness.provider import compose_reply
from benchmarks.harness.simulation import make_case, make_config
from mics_ray.assemble.case_search import run_case
from mics_ray.assemble.panel import PanelBuilder, build_strategy
from mics_ray.config.schema import Config
from mics_ray.core.search import SearchResult
from mics_ray.core.types import Usage
from mics_ray.models.replies.pricing import CHARACTERS_PER_TOKEN
from mics_ray.models.roles import UsageMeter
from mics_ray.models.shared_verdicts import SharedVerdicts
from mics_ray.models.types import Model, Pictures, Reply, Request

GOLD = "Left pneumothorax"
RIGHT = ("left pneumothorax", "Left pneumothorax.", "The left pneumothorax", "Pneumothorax on the left",
         "Left-sided pneumothorax", "Collapsed left lung with a pneumothorax")  # fmt: skip
"""Wordings of right answers, equally likely; the first half is the gold answer but for case, article and full stop."""
WRONG = ("Pneumonia", "Pleural effusion", "Atelectasis", "Heart failure", "No finding")
STRENGTH = (-0.8, 0.0, 0.8)
"""Of the three interns, in the logit of a right answer."""
SAID = (
    "The real search with simulated models, in one process; without the three, every vote asks an intern and the"
    " judge. Half of the right answers are the gold answer word for word; there are six wordings of right answers"
    " and five wrong ones. Of long answers no two are alike. Steps differ in how much they help. Tokens are of"
    " texts alone, without pictures. A repeated question to the judge was answered from the reply store before:"
    " sharing spares the way there and no money."
)


@dataclass(frozen=True, slots=True)
class Way:
    """Which of the three a search has."""

    label: str
    match: bool = False
    share: bool = False
    adaptive: bool = False


NONE = Way("none")
WAYS = (
    Way("match with the gold answer", match=True),
    Way("one verdict an answer", share=True),
    Way("search.adaptive", adaptive=True),
    Way("all three", True, True, True),
)
SETS = {"short answers": WAYS, "long answers": WAYS[-1:]}
"""Of long answers, no two of which are alike, only votes that cannot change the choice can be spared."""


@dataclass(frozen=True, slots=True)
class Searched:
    """The results of all cases, and what each role used."""

    results: list[SearchResult]
    usage: Mapping[str, Usage]


def measure_figures(setting: Setting) -> Iterator[Figure]:
    """Each way against none of the three, on the same cases."""
    cases, seeds = setting.choose(30, 6), range(setting.runs)
    for answers, ways in SETS.items():
        plain = [search_cases(seed, cases, NONE, answers) for seed in seeds]
        for way in ways:
            found = [search_cases(seed, cases, way, answers) for seed in seeds]
            yield from compare_ways(f"{way.label}, {answers}", plain, found)


def compare_ways(name: str, plain: Sequence[Searched], found: Sequence[Searched]) -> Iterator[Figure]:
    """What is saved, and that every choice is the same."""
    pairs = list(zip(plain, found, strict=True))
    for what in ("judge calls", "intern calls", "tokens"):
        saved = tuple(1 - count(other, what) / count(one, what) for one, other in pairs)
        yield _make_figure(f"{what} saved: {name}", saved)
    differing = tuple(float(count_differing(one, other)) for one, other in pairs)
    yield _make_figure(f"cases that choose or end otherwise: {name}", differing, Goal("<=", 0))


def _make_figure(name: str, values: tuple[float, ...], goal: Goal | None = None) -> Figure:
    # Counts: no load of the machine changes them.
    return Figure("B10", name, "", values, goal, SAID, load=(current_load(),), others=(0.0,))


def count(searched: Searched, what: str) -> float:
    """Calls of a role, or the tokens of all."""
    if what == "tokens":
        return sum(used.prompt_tokens + used.completion_tokens for used in searched.usage.values())
    return searched.usage[what.partition(" ")[0]].calls


def count_differing(one: Searched, other: Searched) -> int:
    """Cases of which anything that a search decides is another."""
    return sum(show_choices(a) != show_choices(b) for a, b in zip(one.results, other.results, strict=True))


def show_choices(result: SearchResult) -> tuple[object, ...]:
    """How a search ends, and the step that each round of each attempt went on from."""
    parents = [[(node.parent, node.mentor, node.steps) for node in tree.nodes] for tree in result.attempts]
    return result.outcome, result.reason, result.quality, result.chain, result.leaf, parents


def search_cases(seed: int, cases: int, way: Way, answers: str) -> Searched:
    """Search all cases one way."""
    config = make_config({}, seed)
    config = replace(config, search=replace(config.search, match_gold=way.match, adaptive=way.adaptive))
    return asyncio.run(_search_all(config, cases, way, SimulatedModel(answers == "long answers")))


async def _search_all(config: Config, cases: int, way: Way, model: Model) -> Searched:
    names, meter = (*config.mentors, *config.interns, "judge"), UsageMeter()
    panels, strategy = (
        PanelBuilder(config, dict.fromkeys(names, model)),
        build_strategy(config.search, tuple(config.mentors)),
    )
    results = []
    for number in range(cases):
        panel = panels.build_panel(None, None, meter)
        if not way.share and isinstance(panel.judge, SharedVerdicts):
            panel = replace(panel, judge=panel.judge.judge)
        results.append(await run_case(config, strategy, make_case(number, gold=GOLD), panel))
    used: dict[str, Usage] = {}
    for name, one in meter.usage.items():
        used[name.split("_")[0]] = used.get(name.split("_")[0], Usage()) + one
    return Searched(results, used)


@dataclass(slots=True)
class SimulatedModel:
    """All roles; what it answers follows from the request alone. ``long``: no two answers are worded alike."""

    long: bool

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """See :class:`mics_ray.models.types.Model`."""
        rng = random.Random(f"{request.model}{request.seed}{request.temperature}{request.text}")
        role = request.model.split("-")[0]
        text = self._answer(request, rng) if role == "intern" else compose_reply(role, request.text, rng)
        if role == "judge":
            candidate = request.text.rpartition("## Answer to check")[2]
            text = "Yes" if "pneumothorax" in candidate.lower() else "No"
        prompt, completion = (int(len(one) / CHARACTERS_PER_TOKEN) for one in (request.text, text))
        return Reply(text, "stop", prompt, completion)

    def _answer(self, request: Request, rng: random.Random) -> str:
        """The better the steps, the more often right; cases differ in how hard they are."""
        asked, _, chain = request.text.rpartition("## Reasoning so far")
        steps = re.findall(r"### Step \d+: (.+)", chain)
        help_of_steps = sum(0.4 + 0.8 * random.Random(step).gauss(0, 1) for step in steps)
        logit = random.Random(asked).gauss(-0.5, 1.5) + STRENGTH[int(request.model[-1])] + help_of_steps
        answer = rng.choice(RIGHT if rng.random() < 1 / (1 + math.exp(-logit)) else WRONG)
        return f"### The final answer is: {answer}{f', said in {rng.randrange(10**9)} words' if self.long else ''}"
