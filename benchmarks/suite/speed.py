"""B3 and B2 over Ray: 100 cases without quotas against the reference's one call in flight and a bare asyncio loop."""

import sys
from collections.abc import Iterator, Sequence
from tempfile import TemporaryDirectory

from benchmarks.harness.figures import Figure, Goal, Setting
from benchmarks.harness.provider import ROOT, serve_provider
from benchmarks.harness.runs import FigureMaker, SearchedRun, Spent, measure_spent, run_watched, search_cases

REFERENCE_S = 16.5
"""The sequential reference, seconds a case at the provider's latencies (what its calls take one after another)."""
PROCESSES = ("endpoint actor", "search worker", "writer", "driver", "Ray's own", "other Ray workers", "provider")
PLAIN_LOOP = str(ROOT / "benchmarks/peers/plain_loop.py")
SAID = (
    "Speed-ups count from the first call to the last, of this project and of the loop alike. The seconds of search"
    " begin when the endpoints are there: a search worker is still loading then."
)


def measure_figures(setting: Setting) -> Iterator[Figure]:
    """This project, then the loops that bound it from both sides."""
    cases = setting.choose(100, 16)
    ours = [search_cases(setting.folder / f"ours-{seed}", cases, f"seed={seed}") for seed in range(setting.runs)]
    yield from tell_search(ours, cases)
    # The loop that has nothing but the calls: what the machine and the client allow.
    bare = [run_loop(cases, ["--client", "aiohttp"]) for _ in range(setting.runs)]
    figures = FigureMaker("B3", bare)
    yield figures.make("bare aiohttp loop: speed-up over the reference", "x", lambda s: REFERENCE_S * cases / s.seconds)
    yield figures.make("bare aiohttp loop: calls a second", "calls/s", lambda s: s.calls / s.seconds)
    yield figures.make("bare aiohttp loop: CPU a call", "ms", lambda s: 1000 * s.own_cpu_s / s.calls)
    figures = FigureMaker("B3", [run_loop(1, ["--in-flight", "1"])])
    yield figures.make("one call in flight, as the reference: calls a second", "calls/s", lambda s: s.calls / s.seconds)


def tell_search(runs: Sequence[SearchedRun], cases: int) -> Iterator[Figure]:
    """The figures of the runs of this project."""
    spent, seconds = [run.spent for run in runs], tuple(run.seconds for run in runs)
    figures = FigureMaker("B3", spent, SAID)
    yield figures.of_values("seconds of search", "s", seconds)
    yield figures.make("seconds from the first call to the last", "s", lambda s: s.seconds)
    yield figures.make("speed-up over the reference", "x", lambda s: REFERENCE_S * cases / s.seconds, Goal(">=", 100))
    whole = tuple(REFERENCE_S * cases / one for one in seconds)
    yield figures.of_values("speed-up over the reference by the seconds of search", "x", whole)
    yield figures.of_values("seconds a case", "s", tuple(one / cases for one in seconds))
    yield figures.make("model calls a case", "calls", lambda s: s.calls / cases)
    yield figures.make("calls a second", "calls/s", lambda s: s.calls / s.seconds)
    yield figures.make("CPU a call, all our processes", "ms", lambda s: 1000 * s.own_cpu_s / s.calls, Goal("<=", 1.5))
    for role in PROCESSES:
        used = [one.cpu_s.get(role, 0.0) for one in spent]
        a_call = tuple(1000 * cpu_s / one.calls for cpu_s, one in zip(used, spent, strict=True))
        yield figures.of_values(f"CPU a call: {role}", "ms", a_call)
        if role in PROCESSES[:2]:
            share = tuple(cpu_s / one.seconds for cpu_s, one in zip(used, spent, strict=True))
            yield figures.of_values(f"share of a core: {role}", "", share)
    # A vote is two calls, so of all the CPU its share is by calls.
    votes = tuple(1000 * one.own_cpu_s / one.calls * 2 for one in spent)
    yield FigureMaker("B2", spent).of_values("CPU for one evaluation, with Ray", "ms", votes, Goal("<=", 4))


def run_loop(cases: int, options: Sequence[str]) -> Spent:
    """A plain loop's search of so many cases."""
    with serve_provider() as provider, TemporaryDirectory():
        command = [sys.executable, PLAIN_LOOP, provider.url, "search", str(cases), *options]
        return measure_spent(run_watched(command, provider), provider.read_stats())
