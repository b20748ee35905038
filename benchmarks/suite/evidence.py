"""B9 and B2 without Ray: one process searches with and without stored replies and committed rows, in turn."""

import sys
from collections.abc import Iterator

from benchmarks.harness.figures import Figure, Goal, Setting
from benchmarks.harness.provider import serve_provider
from benchmarks.harness.runs import FigureMaker, Spent, measure_spent, run_watched

SAID = (
    "The whole search in one process, without Ray but on the event loop of Ray's actors (uvloop): it is bound by that"
    " process's CPU, so nothing hides what is added."
)


def measure_figures(setting: Setting) -> Iterator[Figure]:
    """Pairs of runs, one right after the other."""
    cases = setting.choose(40, 10)
    kept: list[Spent] = []
    plain: list[Spent] = []
    for number in range(setting.runs):
        # Each first in turn: what the machine does meanwhile falls on both.
        for evidence in (True, False) if number % 2 else (False, True):
            (kept if evidence else plain).append(search_directly(setting, f"{number}-{evidence}", cases, evidence))
    figures = FigureMaker("B9", kept, SAID)
    pairs = list(zip(kept, plain, strict=True))
    seconds = tuple((a.seconds / a.calls) / (b.seconds / b.calls) for a, b in pairs)
    yield figures.of_values("seconds with the evidence over those without", "", seconds, Goal("<=", 1.03))
    spent = tuple((a.own_cpu_s / a.calls) / (b.own_cpu_s / b.calls) for a, b in pairs)
    yield figures.of_values("CPU with the evidence over that without", "", spent)
    yield figures.make("CPU a call: one process, with the evidence", "ms", lambda s: 1000 * s.own_cpu_s / s.calls)
    # Two calls a vote: what an intern answers, and the verdict.
    votes = tuple(2000 * one.own_cpu_s / one.calls for one in kept)
    yield FigureMaker("B2", kept).of_values("CPU for one evaluation, without Ray", "ms", votes, Goal("<=", 2))


def search_directly(setting: Setting, name: str, cases: int, evidence: bool) -> Spent:
    """One run, with a provider of its own."""
    with serve_provider() as provider:
        command = [
            sys.executable,
            "-m",
            "benchmarks.harness.direct",
            provider.url,
            str(cases),
            str(setting.folder / name),
        ]
        command += [] if evidence else ["--no-evidence"]
        return measure_spent(run_watched(command, provider), provider.read_stats())
