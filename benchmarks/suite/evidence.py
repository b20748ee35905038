"""B9 and B2 without Ray: one process searches with and without stored replies and committed rows, in turn."""

import sys
from collections.abc import Iterator

from benchmarks.harness.direct import Block, read_blocks
from benchmarks.harness.figures import Figure, Goal, Setting
from benchmarks.harness.provider import serve_provider
from benchmarks.harness.runs import FigureMaker, Spent, measure_spent, run_watched

SAID = (
    "The whole search in one process, without Ray but on the event loop of Ray's actors (uvloop): so many cases at a"
    " time that it is bound by that process's CPU, and nothing hides what is added. Each run is a process that searches"
    " the same cases with the evidence and without, each first in turn, until all calls are answered and all rows on"
    " the disk."
)


def measure_figures(setting: Setting) -> Iterator[Figure]:
    """Pairs of blocks of cases, one right after the other."""
    cases = setting.choose(100, 10)
    spent: list[Spent] = []
    runs: list[tuple[Block, Block]] = []
    for number in range(setting.runs):
        first = ("with", "without")[number % 2]
        spent.append(search_directly(setting, f"{number}", cases, first))
        runs.append(read_blocks(setting.folder / f"{number}"))
    figures = FigureMaker("B9", spent, SAID)
    seconds = tuple(kept.seconds / kept.calls / (plain.seconds / plain.calls) for kept, plain in runs)
    yield figures.of_values("seconds with the evidence over those without", "", seconds, Goal("<=", 1.03))
    cpu = tuple(kept.cpu_s / kept.calls / (plain.cpu_s / plain.calls) for kept, plain in runs)
    yield figures.of_values("CPU with the evidence over that without", "", cpu)
    in_ms = tuple(1000 * kept.cpu_s / kept.calls for kept, _ in runs)
    yield figures.of_values("CPU a call: one process, with the evidence", "ms", in_ms)
    # Two calls a vote: what an intern answers, and the verdict.
    votes = tuple(2 * one for one in in_ms)
    yield FigureMaker("B2", spent).of_values("CPU for one evaluation, without Ray", "ms", votes, Goal("<=", 2))


def search_directly(setting: Setting, name: str, cases: int, first: str) -> Spent:
    """One process, with a provider of its own."""
    with serve_provider() as provider:
        command = [sys.executable, "-m", "benchmarks.harness.direct", provider.url, str(cases)]
        command += [str(setting.folder / name), first]
        return measure_spent(run_watched(command, provider), provider.read_stats())
