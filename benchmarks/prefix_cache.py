"""What part of all prompt tokens a prefix cache can serve, by the order in which the templates tell things.

``python -m benchmarks.prefix_cache [--config-dir FOLDER] [OVERRIDES]``, from the project's folder.

The embedded cases, or those of ``data.cases=FILE``, are searched with the simulated mentors and judge and with interns
that are right by chance, in this process; a stand-in for the cache counts the prompts. The same searches are made with
the number of the next step at the beginning of a mentor's prompt. ``prompts=NAME`` measures templates of one's own.
"""

import argparse
import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mics_ray.assemble.case_search import load_pictures, run_case
from mics_ray.assemble.locations import JUDGE, locate_cases, locate_images
from mics_ray.assemble.panel import PanelBuilder, build_strategy
from mics_ray.config.compose import compose_config
from mics_ray.config.schema import Config
from mics_ray.core.types import Case, Note
from mics_ray.io.cases import Rejection, read_places, survey_cases
from mics_ray.local import judge, mentors
from mics_ray.models.roles import UsageMeter
from mics_ray.models.types import Pictures, Reply, Request
from tests.support.prefix_cache import PrefixCache, tokenise_prompt

ROOT = Path(__file__).resolve().parents[1]
RIGHT = (0.3, 0.4, 0.5, 0.6, 0.7)
"""Chance of an intern's right answer by number of steps in the prefix, on the average case."""
CACHES = {"OpenAI": (128, 1024), "vLLM": (16, 16)}
"""Block and least tokens."""
NEXT_STEP = "\n\n## Next step\n"
LONG_NOTES = "\n".join(
    f"Series {n % 7 + 1}, slice {n}: no change against the examination of the year before, level by level."
    for n in range(1, 101)
)
"""About 9,000 characters, as a long report has."""


@dataclass
class SimulatedModels:
    """All models of one case; they count what of their prompts a cache would serve."""

    case: Case
    roles: dict[str, str]
    caches: dict[str, dict[str, PrefixCache]]
    sent: Counter[str]
    served: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """Answer as the entry's role does."""
        prompt, role = tokenise_prompt(request, pictures), self.roles[request.entry]
        self.sent[role] += len(prompt)
        for name, cache in self.caches[request.entry].items():
            self.served[name, role] += cache.count_cached(prompt)
        return Reply(self._compose_reply(role, request))

    def _compose_reply(self, role: str, request: Request) -> str:
        rng = random.Random(f"{request.entry}{request.seed}{request.temperature}{request.text}")
        if role == "mentor":
            return mentors.write_reply(request.model, request.text, request.temperature, request.seed)
        if role == "judge":
            return judge.write_verdict(request.text, request.temperature, rng)
        steps = sum(f"### Step {n}:" in request.text for n in range(1, 9))
        hard = random.Random(self.case.id).uniform(0.5, 1.5)
        right = rng.random() < RIGHT[min(steps, len(RIGHT) - 1)] * hard
        return f"### The final answer is: {self.case.answer if right else f'another cause, {rng.random():.9f}'}"


def read_cases(config: Config) -> Iterator[tuple[Case, Pictures | None, Pictures | None]]:
    """The usable cases with their pictures for mentors and interns."""
    for span in survey_cases(locate_cases(config)).spans:
        for place, found in read_places(span):
            seen = found if isinstance(found, Rejection) else load_pictures(config, locate_images(config), place, found)
            if isinstance(found, Case) and not isinstance(seen, Rejection):
                yield seen.case, seen.mentor, seen.intern


async def count_shares(config: Config, lengthy: bool) -> dict[str, dict[str, float]]:
    """Share of prompt tokens that each kind of cache serves, by role; ``lengthy`` adds a long report to the notes."""
    roles = {JUDGE: "judge"} | dict.fromkeys(config.mentors, "mentor") | dict.fromkeys(config.interns, "intern")
    caches = {entry: {name: PrefixCache(*rule) for name, rule in CACHES.items()} for entry in roles}
    sent: Counter[str] = Counter()
    served: Counter[tuple[str, str]] = Counter()
    for case, shown, seen in read_cases(config):
        case = replace(case, notes=(*case.notes, Note("Report", LONG_NOTES))) if lengthy else case
        models = SimulatedModels(case, roles, caches, sent, served)
        panel = PanelBuilder(config, dict.fromkeys(roles, models)).build_panel(shown, seen, UsageMeter())
        await run_case(config, build_strategy(config.search, tuple(config.mentors)), case, panel)
    return {name: {role: served[name, role] / sent[role] for role in sent} for name in CACHES}


def tell_next_step_first(config: Config) -> Config:
    """The same wording, with the number of the next step at the beginning of a mentor's prompt."""
    head, _, tail = config.prompts.mentor.partition(NEXT_STEP)
    return replace(config, prompts=replace(config.prompts, mentor=f"{tail}\n\n{head}"))


def measure_orders(config: Config) -> list[dict[str, object]]:
    """One line for each set of cases, kind of cache and order."""
    found: list[dict[str, object]] = []
    for label, lengthy in (("as they are", False), ("with long notes", True)):
        for order, asked in (("next step first", tell_next_step_first(config)), ("as shipped", config)):
            for cache, shares in asyncio.run(count_shares(asked, lengthy)).items():
                found.append({"cases": label, "cache": cache, "order": order, **shares})
    return found


def main() -> None:
    """Measure, print the table, write it as JSON beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config-dir", type=Path)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    found = measure_orders(compose_config(["experiment=demo", *options.overrides], options.config_dir))
    roles = ("mentor", "intern", "judge")
    table = Table("cases", "cache", "order", *roles)
    for line in found:
        table.add_row(*(str(line[name]) for name in ("cases", "cache", "order")), *(f"{line[r]:.0%}" for r in roles))
    Console().print(table)
    (ROOT / "benchmarks/prefix_cache.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
