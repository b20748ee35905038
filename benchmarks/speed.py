"""B3 without quotas: the search phase of 100 cases against what the sequential reference needs for the same calls."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
REFERENCE_S = 16.5
"""The sequential reference, seconds a case at these latencies (BENCHMARKS)."""
SECONDS = {"mentor": 0.4, "intern": 0.1, "judge": 0.1}


def write_groups(folder: Path, url: str) -> None:
    """Group files for three mentors, three endpoint interns and a judge at ``url``."""
    blocks = {
        "mentors": {f"mentor_{i}": {"model": f"mentor-{i}", "base_url": url} for i in range(3)},
        "interns": {f"intern_{i}": {"engine": "endpoint", "model": f"intern-{i}", "base_url": url} for i in range(3)},
        "judge": {"model": "judge-0", "base_url": url},
    }
    for name, block in blocks.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "bench.yaml").write_text(json.dumps(block))


def write_cases(path: Path, count: int) -> None:
    """Cases without pictures."""
    with path.open("w") as file:
        for number in range(count):
            question = {"role": "user", "content": f"**Question:** What does case {number} show?"}
            answer = {"role": "assistant", "content": "**Correct Answer:** right"}
            file.write(json.dumps({"rid": f"case-{number:05}", "messages": [question, answer], "images": []}) + "\n")


def run_once(folder: Path, count: int, window: int, seed: int, extra: list[str]) -> dict[str, float]:
    """One run in a fresh folder; the figures of its summary."""
    with subprocess.Popen(
        [sys.executable, str(ROOT / "benchmarks/latency_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        write_groups(folder / "conf", json.loads(server.stdout.readline())["url"])
        write_cases(folder / "cases.jsonl", count)
        command = [
            sys.executable, str(ROOT / "scripts/generate.py"), "--config-dir", str(folder / "conf"), "mentors=bench",
            "interns=bench", "judge=bench", f"data.cases={folder}/cases.jsonl", f"run.dir={folder}/run",
            f"window={window}", f"seed={seed}", *extra,
        ]  # fmt: skip
        # In a process of its own: what a run costs includes neither our imports nor our memory.
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        server.stdin.close()
    summary = json.loads((folder / "run/summary.json").read_text())
    calls = {kind: sum(u["calls"] for n, u in summary["usage"].items() if n.startswith(kind)) for kind in SECONDS}
    seconds = summary["search_seconds"] / count
    # What the very same calls take one after another: the reference makes fewer calls a case.
    sequential = sum(SECONDS[kind] * calls[kind] for kind in SECONDS) / count
    return {"seconds": seconds, "calls": sum(calls.values()) / count, "same_calls": sequential / seconds}


def main() -> None:
    """Run, print the table, write it as JSON beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--window", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    runs = []
    for number in range(options.runs):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(run_once(Path(folder), options.cases, options.window, number, options.overrides))
    median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    result = median | {"speed_up": REFERENCE_S / median["seconds"], "runs": options.runs, "load": os.getloadavg()[0]}
    table = Table("figure", "median")
    table.add_row("search seconds a case", f"{result['seconds']:.3f}")
    table.add_row("model calls a case", f"{result['calls']:.0f}")
    table.add_row(f"speed-up over {REFERENCE_S} s a case", f"{result['speed_up']:.0f}x")
    table.add_row("speed-up over the same calls one by one", f"{result['same_calls']:.0f}x")
    table.add_row("load average at the end", f"{result['load']:.1f}")
    Console().print(table)
    (ROOT / "benchmarks/speed.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
