"""B6: eight simulated nodes with eight times the cases of one, bound by the provider's latency."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness.figures import Figure, Goal, Setting
from benchmarks.harness.provider import serve_provider
from benchmarks.harness.runs import (
    Spent,
    generate_command,
    measure_spent,
    read_summary,
    run_watched,
    write_cases,
    write_groups,
)
from benchmarks.suite.speed import FigureMaker
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
    figures = FigureMaker("B6", [run[0] for run in many], SAID)
    shares = tuple(one[1] / all_of_them[1] for one, all_of_them in zip(single, many, strict=True))
    yield figures.of_values(f"seconds of 1 node over those of {nodes} nodes", "", shares, Goal(">=", 0.95))
    yield figures.of_values(f"seconds of search, {nodes} nodes", "s", tuple(run[1] for run in many))


def run_nodes(cluster: RayNodes, folder: Path, nodes: int) -> tuple[Spent, float]:
    """What was spent, and the seconds of its search."""
    with serve_provider(latency_s=LATENCY_S, jitter=0.0) as provider:
        write_groups(folder / "conf", provider.url)
        write_cases(folder / "cases.jsonl", CASES * nodes)
        options = ("search.max_rounds=1", "search.restarts=0", f"window={WINDOW * nodes}", f"ray.workers={nodes}")
        command = generate_command(folder, *options, f"ray.address={cluster.address}")
        watch = run_watched(command, provider, environment=cluster.environment)
        return measure_spent(watch, provider.read_stats()), read_summary(folder)["search_seconds"]
