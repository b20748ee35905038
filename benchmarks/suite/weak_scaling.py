"""B6: eight simulated nodes with eight times the cases of one, bound by the provider's latency."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness.figures import Figure, Goal, Setting
from benchmarks.harness.runs import FigureMaker, SearchedRun, search_cases
from tests.support.ray_nodes import RayNodes, ray_nodes

NODES = 8
WINDOW, CASES = 4, 8
"""Open searches and cases for each node."""
LATENCY_S = {"mentor": 4.0, "intern": 1.0, "judge": 1.0}
RUNS = 3
SAID = (
    "Nodes of a Ray cluster on this machine, a search worker for each; each case is one round of 39 calls, and every"
    " call takes 4 or 1 seconds, always the same. Three runs of each: a run takes half a minute."
)


def measure_figures(setting: Setting) -> Iterator[Figure]:
    """One node, then all of them."""
    nodes, runs = setting.choose(NODES, 2), setting.choose(RUNS, 1)
    with ray_nodes() as cluster:
        cluster.start_head(cpus=2)
        cluster.add(cpus=2)
        single = [run_nodes(cluster, setting.folder / f"1-{number}", 1) for number in range(runs)]
        for _ in range(nodes - 1):
            cluster.add(cpus=2)
        many = [run_nodes(cluster, setting.folder / f"{nodes}-{number}", nodes) for number in range(runs)]
    figures = FigureMaker("B6", [run.spent for run in many], SAID)
    shares = tuple(one.seconds / all_of_them.seconds for one, all_of_them in zip(single, many, strict=True))
    yield figures.of_values(f"seconds of 1 node over those of {nodes} nodes", "", shares, Goal(">=", 0.95))
    yield figures.of_values(f"seconds of search, {nodes} nodes", "s", tuple(run.seconds for run in many))


def run_nodes(cluster: RayNodes, folder: Path, nodes: int) -> SearchedRun:
    """A run on so many nodes, a search worker for each."""
    options = ("search.max_rounds=1", "search.restarts=0", f"ray.workers={nodes}", f"ray.address={cluster.address}")
    return search_cases(
        folder, CASES * nodes, *options, window=WINDOW * nodes, environment=cluster.environment,
        latency_s=LATENCY_S, jitter=0.0,
    )  # fmt: skip
