"""B6: eight simulated nodes with eight times the cases of one, bound by the provider's latency."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.harness.figures import Figure, Goal, Setting
from benchmarks.harness.runs import FigureMaker, SearchedRun, search_cases
from tests.support.ray_nodes import RayNodes, ray_nodes

NODES = 8
WINDOW, CASES = 4, 24
"""Open searches and cases for each node."""
LATENCY_S = {"mentor": 4.0, "intern": 1.0, "judge": 1.0}
PARTS = 5
SAID = (
    "Nodes of a Ray cluster on this machine, a search worker for each; each case is one round of 39 calls, and every"
    " call takes 4 or 1 seconds, always the same. One run with one node and one with eight, each in five parts of the"
    " stretch in which as many cases are open as may be: before it workers load, which eight do on the two cores of"
    " this machine where each node would have its own; after it no case is left. A case counts by the share of its"
    " seconds that are in a part."
)

Span = tuple[float, float]
"""From when to when, in seconds."""


def measure_figures(setting: Setting) -> Iterator[Figure]:
    """One node, then all of them."""
    nodes, cases = setting.choose(NODES, 2), setting.choose(CASES, 12)
    with ray_nodes() as cluster:
        cluster.start_head(cpus=2)
        cluster.add(cpus=2)
        single = run_nodes(cluster, setting.folder / "1", 1, cases)
        for _ in range(nodes - 1):
            cluster.add(cpus=2)
        many = run_nodes(cluster, setting.folder / f"{nodes}", nodes, cases)
    rates = [measure_rates(list_spans(run), WINDOW * count) for run, count in ((single, 1), (many, nodes))]
    figures = FigureMaker("B6", [many.spent], SAID)
    shares = tuple(all_of_them / one / nodes for one, all_of_them in zip(*rates, strict=True))
    yield figures.of_values(
        f"cases a second of {nodes} nodes over {nodes} times those of 1", "", shares, Goal(">=", 0.95)
    )
    yield figures.of_values(f"cases a second, {nodes} nodes", "cases/s", tuple(rates[1]))
    loading = find_full(list_spans(many), WINDOW * nodes)[0] - many.stats["first"]
    yield figures.of_values(f"seconds from the first call until {nodes} workers search", "s", (loading,))
    yield figures.of_values(f"seconds of search, {nodes} nodes", "s", (many.seconds,))


def run_nodes(cluster: RayNodes, folder: Path, nodes: int, cases: int) -> SearchedRun:
    """A run on so many nodes, a search worker for each; ``cases`` a node."""
    options = ("search.max_rounds=1", "search.restarts=0", f"ray.workers={nodes}", f"ray.address={cluster.address}")
    return search_cases(
        folder, cases * nodes, *options, window=WINDOW * nodes, environment=cluster.environment,
        latency_s=LATENCY_S, jitter=0.0,
    )  # fmt: skip


def list_spans(run: SearchedRun) -> list[Span]:
    """From the first call of each case to its last answer."""
    return [(first, last) for first, last in run.stats["cases"].values()]


def find_full(spans: Sequence[Span], places: int) -> Span:
    """The first moment at which all places are taken, and the last."""
    changes = sorted([(last, -1) for _, last in spans] + [(first, 1) for first, _ in spans])
    full, open_now = list[float](), 0
    for at, change in changes:
        open_now += change
        if open_now == places:
            full.append(at)
    if len(full) < 2 or full[0] == full[-1]:
        raise RuntimeError(f"{places} cases were never open at a time")
    return full[0], full[-1]


def measure_rates(spans: Sequence[Span], places: int) -> list[float]:
    """Cases a second in each part of the stretch that :func:`find_full` finds."""
    begin, end = find_full(spans, places)
    length = (end - begin) / PARTS
    return [count_done(spans, begin + n * length, begin + (n + 1) * length) / length for n in range(PARTS)]


def count_done(spans: Sequence[Span], begin: float, end: float) -> float:
    """Cases by the share of their seconds between two moments."""
    inside = ((max(begin, first), min(end, last), last - first) for first, last in spans)
    return sum(max(0.0, until - since) / whole for since, until, whole in inside)
